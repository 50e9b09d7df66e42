//! A rollout that replicas have together: one state, and the attempts of all.

use std::time::Duration;

use tokio::sync::mpsc::Receiver;

use super::{
    saved::{Position, Saved},
    shared::RolloutShared,
    status::{RolloutEvent, RolloutState},
    view::{Answer, Sample},
    worker::Written,
};
use crate::{
    message::{RequestId, catalog::Cost},
    reserve::redis::Document,
};

/// Attempts that wait to be told at most; beyond that the other replicas do not learn of them.
pub(super) const MAX_WAITING: usize = 10_000;
/// As many are told in one message.
const BATCH: usize = 1_000;
/// How often the state is written anew where another replica was faster, in one turn.
const TRIES: usize = 3;

/// One replica's part in it.
pub(super) struct Replicas {
    document: Document,
    /// What tells this replica from others.
    name: String,
    /// What the state was last known to be, and where that says that the rollout is.
    known: Option<String>,
    position: Option<Position>,
    /// Up to where the others were listened to.
    place: Option<String>,
    attempts: Receiver<(usize, Sample)>,
}

/// An attempt as replicas tell of it: the target, how it ended, its spans in microseconds, and its cost.
type Told = (usize, Answer, Option<u64>, Option<u64>, Option<Cost>);

impl Replicas {
    pub(super) fn new(document: Document, attempts: Receiver<(usize, Sample)>) -> Self {
        Self {
            document,
            name: RequestId::generate().as_str().to_owned(),
            known: None,
            position: None,
            place: None,
            attempts,
        }
    }

    /// Takes over what others have done and seen, tells them what was seen here, and writes down what has changed.
    pub(super) async fn turn(
        &mut self,
        shared: &RolloutShared,
        written: &mut Written,
        ends: bool,
    ) -> Result<(), String> {
        self.look(shared, written).await?;
        self.tell().await?;
        // What stands there and cannot hold is for somebody to mend: this replica does not know better.
        if shared.with(|machine, _| machine.is_unknown()) {
            return Ok(());
        }
        for _ in 0..TRIES {
            let is_missing = self.known.is_none();
            let Some((revision, saved)) = written.due(shared, is_missing, ends) else {
                break;
            };
            let text = saved.to_text();
            let known = self.known.as_deref();
            if self.document.replace(known, &text).await? {
                self.known = Some(text);
                self.position = Some(saved.position());
                written.note(revision);
                break;
            }
            self.look(shared, written).await?;
        }
        Ok(())
    }

    async fn look(&mut self, shared: &RolloutShared, written: &mut Written) -> Result<(), String> {
        loop {
            let looked = self.document.look(self.place.as_deref()).await?;
            let is_all = looked.messages.is_empty();
            self.place = looked.place;
            for (by, message) in looked.messages {
                if by != self.name {
                    listen(shared, &message);
                }
            }
            self.take(looked.text, shared, written);
            if is_all {
                return Ok(());
            }
        }
    }

    /// Takes over the state, where somebody else has written it.
    fn take(&mut self, text: Option<String>, shared: &RolloutShared, written: &mut Written) {
        let Some(text) = text else {
            // A beginning; or the server has lost it, and it is written again.
            self.known = None;
            self.position = Some((RolloutState::Active, 0, 0, None));
            shared.with(|machine, _| machine.begin());
            return;
        };
        if self.known.as_ref() == Some(&text) {
            return;
        }
        match Saved::parse(&text, &shared.plan) {
            Err(reason) => shared.tell(RolloutEvent::StateRefused { reason }),
            Ok(saved) => shared.with(|machine, _| {
                let position = Some(saved.position());
                // What was written of the same place now and then overrules nothing that was decided here meanwhile.
                if position == self.position {
                    machine.keep_pace(&saved);
                } else if !written.overrules(machine, &saved) {
                    machine.join(&saved);
                    written.note(machine.revision());
                }
                self.position = position;
            }),
        }
        self.known = Some(text);
    }

    /// Tells the others of the attempts that were seen here.
    async fn tell(&mut self) -> Result<(), String> {
        loop {
            let mut batch: Vec<Told> = Vec::new();
            while batch.len() < BATCH
                && let Ok((target, sample)) = self.attempts.try_recv()
            {
                batch.push((
                    target,
                    sample.result,
                    sample.latency.map(micros),
                    sample.first_token.map(micros),
                    sample.cost,
                ));
            }
            if batch.is_empty() {
                return Ok(());
            }
            // Numbers and labels are always JSON.
            let message = serde_json::to_vec(&batch).unwrap_or_default();
            self.document.tell(&self.name, &message).await?;
        }
    }
}

/// Takes note of attempts that another replica has seen; of nothing in a message that is none.
fn listen(shared: &RolloutShared, message: &[u8]) {
    let Ok(batch) = serde_json::from_slice::<Vec<Told>>(message) else {
        return;
    };
    for (target, result, latency, first_token, cost) in batch.into_iter().take(BATCH) {
        let sample = Sample {
            result,
            latency: latency.map(Duration::from_micros),
            first_token: first_token.map(Duration::from_micros),
            cost,
        };
        shared.with(|machine, now| machine.record(target, &sample, now));
    }
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}
