//! What keeps a rollout going: the time, where its state is kept, and who is told.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use tokio::{sync::mpsc::Receiver, task::spawn_blocking, time::Instant};

#[cfg(feature = "redis")]
use super::replicas::Replicas;
use super::{
    builder::Alert,
    file::{Found, StateFile},
    saved::Saved,
    shared::RolloutShared,
    state::Machine,
    status::{RolloutEvent, RolloutState},
};
use crate::worker::{Shutdown, Worker};

/// How often it looks at the time and at its state where that is kept. What is decided here is written down at once, so whoever else looks as often
/// knows of it after as long, and what both ask of the store.
const EVERY: Duration = Duration::from_millis(250);

/// How often the time spent in a stage is written down while nothing else changes.
const SAVE_EVERY: Duration = Duration::from_secs(60);

/// Where a rollout is written down.
pub(super) enum Keep {
    Nowhere,
    File(StateFile),
    #[cfg(feature = "redis")]
    Replicas(Box<Replicas>),
}

pub(super) fn run(
    shared: Arc<RolloutShared>,
    mut events: Receiver<RolloutEvent>,
    keep: Keep,
    alert: Option<Alert>,
) -> Worker {
    Worker::new(move |mut shutdown| async move {
        let mut keeper = Keeper {
            keep,
            written: Written::default(),
            told: false,
        };
        let mut wait = Duration::ZERO;
        loop {
            let ends = fired_before(&mut shutdown, wait, &shared).await;
            wait = EVERY;
            shared.with(Machine::tick);
            keeper.turn(&shared, ends).await;
            while let Ok(event) = events.try_recv() {
                if let Some(alert) = &alert {
                    alert(&event);
                }
            }
            if ends {
                break;
            }
        }
    })
}

/// Waits at most for `wait`, and no longer once the rollout has changed; whether the shutdown has fired.
async fn fired_before(shutdown: &mut Shutdown, wait: Duration, shared: &RolloutShared) -> bool {
    let (mut fired, mut changed) = (pin!(shutdown.fired_within(wait)), pin!(shared.changed()));
    // `tokio::select!` would want tokio's macros.
    poll_fn(|cx| match fired.as_mut().poll(cx) {
        Poll::Ready(fired) => Poll::Ready(fired),
        Poll::Pending => changed.as_mut().poll(cx).map(|()| false),
    })
    .await
}

struct Keeper {
    keep: Keep,
    written: Written,
    /// Somebody was told that its state cannot be read or written.
    told: bool,
}

impl Keeper {
    /// Takes over what somebody has written down, and writes what has changed.
    async fn turn(&mut self, shared: &Arc<RolloutShared>, ends: bool) {
        let result = match std::mem::replace(&mut self.keep, Keep::Nowhere) {
            Keep::Nowhere => return,
            Keep::File(mut file) => {
                let (rollout, mut written) = (Arc::clone(shared), self.written);
                let turn = move || {
                    let result = look_and_write(&mut file, &rollout, &mut written, ends);
                    (file, written, result)
                };
                // An error: the runtime is shutting down.
                let Ok((file, written, result)) = spawn_blocking(turn).await else {
                    return;
                };
                self.keep = Keep::File(file);
                self.written = written;
                result
            }
            #[cfg(feature = "redis")]
            Keep::Replicas(mut replicas) => {
                let result = replicas.turn(shared, &mut self.written, ends).await;
                self.keep = Keep::Replicas(replicas);
                result
            }
        };
        match result {
            Ok(()) => self.told = false,
            Err(reason) if !self.told => {
                self.told = true;
                shared.tell(RolloutEvent::StateNotKept { reason });
            }
            Err(_) => {}
        }
    }
}

/// What was written last.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Written {
    /// The revision, and when.
    last: Option<(u64, Instant)>,
}

impl Written {
    /// The revision that is written down, by whomever.
    pub(super) fn note(&mut self, revision: u64) {
        self.last = Some((revision, Instant::now()));
    }

    /// Whether whoever wrote down `other` did not know yet what holds here all the same: that it has gone back, or what an operator has decided
    /// meanwhile. Going back overrules whatever else was decided.
    pub(super) fn overrules(&self, machine: &Machine, other: &Saved) -> bool {
        let is_back = |state| matches!(state, RolloutState::RollingBack | RolloutState::RolledBack);
        let last = self.last.map_or(0, |(revision, _)| revision);
        let is_new = self.last.is_none() || last != machine.revision();
        let is_decided = machine.decided() > last && !is_back(other.state);
        is_new && (is_back(machine.state()) || is_decided)
    }

    /// What is to be written down now, and its revision.
    pub(super) fn due(
        &self,
        shared: &RolloutShared,
        is_missing: bool,
        ends: bool,
    ) -> Option<(u64, Saved)> {
        let now = Instant::now();
        shared.with(|machine, _| {
            let revision = machine.revision();
            let is_judged = !matches!(
                machine.state(),
                RolloutState::RolledBack | RolloutState::Complete
            );
            let is_due = match self.last {
                None => true,
                Some((last, at)) => {
                    let is_old = now.saturating_duration_since(at) >= SAVE_EVERY;
                    last != revision || is_missing || (is_judged && (is_old || ends))
                }
            };
            is_due.then(|| (revision, machine.saved()))
        })
    }
}

fn look_and_write(
    file: &mut StateFile,
    shared: &RolloutShared,
    written: &mut Written,
    ends: bool,
) -> Result<(), String> {
    let found = file.look(&shared.plan).map_err(|error| error.to_string())?;
    let is_missing = found == Found::Missing;
    match found {
        Found::Known | Found::Missing => {}
        Found::Broken(reason) => shared.tell(RolloutEvent::StateRefused { reason }),
        Found::Edited(edited) => shared.with(|machine, _| {
            if !written.overrules(machine, &edited) {
                machine.adopt(&edited);
            }
        }),
    }
    if let Some((revision, saved)) = written.due(shared, is_missing, ends) {
        file.write(&saved).map_err(|error| error.to_string())?;
        written.note(revision);
    }
    Ok(())
}
