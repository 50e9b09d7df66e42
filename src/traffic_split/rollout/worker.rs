//! What keeps a rollout going: the time, the file, and who is told.

use std::{sync::Arc, time::Duration};

use tokio::{sync::mpsc::Receiver, task::spawn_blocking, time::Instant};

use super::{
    builder::Alert,
    file::{Found, StateFile},
    shared::RolloutShared,
    state::Machine,
    status::{RolloutEvent, RolloutState},
};
use crate::worker::Worker;

/// How often it looks at the time, the file and what has happened.
const EVERY: Duration = Duration::from_millis(250);

/// How often the time spent in a stage is written down while nothing else changes.
const SAVE_EVERY: Duration = Duration::from_secs(60);

pub(super) fn run(
    shared: Arc<RolloutShared>,
    mut events: Receiver<RolloutEvent>,
    file: Option<StateFile>,
    alert: Option<Alert>,
) -> Worker {
    Worker::new(move |mut shutdown| async move {
        let mut keeper = file.map(|file| Keeper {
            file: Some(file),
            saved: None,
            told: false,
        });
        loop {
            let ends = shutdown.fired_within(EVERY).await;
            shared.with(Machine::tick);
            if let Some(keeper) = &mut keeper {
                keeper.keep(&shared, ends).await;
            }
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

struct Keeper {
    /// Away while it is read or written.
    file: Option<StateFile>,
    /// The revision that was written last, and when.
    saved: Option<(u64, Instant)>,
    /// Somebody was told that the file cannot be read or written.
    told: bool,
}

impl Keeper {
    /// Takes over what somebody has written into the file, and writes what has changed.
    async fn keep(&mut self, shared: &Arc<RolloutShared>, ends: bool) {
        let Some(mut file) = self.file.take() else {
            return;
        };
        let (rollout, saved) = (Arc::clone(shared), self.saved);
        let turn = move || {
            let result = look_and_write(&mut file, &rollout, saved, ends);
            (file, result)
        };
        // An error: the runtime is shutting down.
        let Ok((file, result)) = spawn_blocking(turn).await else {
            return;
        };
        self.file = Some(file);
        match result {
            Ok(written) => {
                self.told = false;
                self.saved = written.or(self.saved);
            }
            Err(reason) if !self.told => {
                self.told = true;
                shared.tell(RolloutEvent::FileNotWritten { reason });
            }
            Err(_) => {}
        }
    }
}

fn look_and_write(
    file: &mut StateFile,
    shared: &RolloutShared,
    saved: Option<(u64, Instant)>,
    ends: bool,
) -> Result<Option<(u64, Instant)>, String> {
    let found = file.look(&shared.plan).map_err(|error| error.to_string())?;
    let is_missing = found == Found::Missing;
    match found {
        Found::Known | Found::Missing => {}
        Found::Broken(reason) => shared.tell(RolloutEvent::FileRefused { reason }),
        Found::Edited(edited) => shared.with(|machine, _| {
            let is_new = saved.is_none_or(|(revision, _)| revision != machine.revision());
            let is_back = matches!(
                machine.state(),
                RolloutState::RollingBack | RolloutState::RolledBack
            );
            // Whoever edited the file did not know yet that it has gone back.
            if !(is_new && is_back) {
                machine.adopt(&edited);
            }
        }),
    }
    let (revision, is_running, now_saved) = shared.with(|machine, _| {
        let is_running = matches!(
            machine.state(),
            RolloutState::Active | RolloutState::RollingBack
        );
        (machine.revision(), is_running, machine.saved())
    });
    let now = Instant::now();
    let is_due = match saved {
        None => true,
        Some((last, at)) => {
            let is_old = now.saturating_duration_since(at) >= SAVE_EVERY;
            last != revision || is_missing || (is_running && (is_old || ends))
        }
    };
    if !is_due {
        return Ok(None);
    }
    file.write(&now_saved).map_err(|error| error.to_string())?;
    Ok(Some((revision, now)))
}
