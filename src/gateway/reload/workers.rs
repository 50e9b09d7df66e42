//! The work of all stacks.

use std::{
    collections::HashMap,
    mem,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::{sync::Notify, task::JoinSet};

use crate::worker::{ShutdownHandle, Worker};

/// Workers that are still to be begun.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    workers: Mutex<Vec<Worker>>,
    has_more: Notify,
}

impl Inbox {
    pub(super) fn add(&self, more: impl IntoIterator<Item = Worker>) {
        let mut workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        workers.extend(more);
        drop(workers);
        self.has_more.notify_one();
    }

    fn take(&self) -> Vec<Worker> {
        let mut workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        mem::take(&mut workers)
    }
}

/// Runs what is put into `inbox`, now and later, and ends all of it when it is ended itself.
pub(super) fn run_all(inbox: Arc<Inbox>) -> Worker {
    Worker::new(|mut shutdown| async move {
        let mut running = JoinSet::new();
        let mut handles = HashMap::new();
        let mut ends = false;
        loop {
            for worker in inbox.take() {
                let handle = worker.shutdown_handle();
                if ends {
                    handle.shutdown();
                }
                handles.insert(running.spawn(worker).id(), handle);
            }
            tokio::select! {
                () = shutdown.fired(), if !ends => {
                    ends = true;
                    handles.values().for_each(ShutdownHandle::shutdown);
                }
                Some(ended) = running.join_next_with_id() => {
                    let id = match ended {
                        Ok((id, ())) => id,
                        Err(error) => {
                            tracing::error!(%error, "a worker has ended by a mistake of its own");
                            error.id()
                        }
                    };
                    handles.remove(&id);
                }
                () = inbox.has_more.notified(), if !ends => {}
                else => break,
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::watch;

    use super::*;

    /// Tells when it has begun, and when it has flushed.
    fn telling(stage: &watch::Sender<&'static str>) -> Worker {
        let stage = stage.clone();
        Worker::new(|mut shutdown| async move {
            stage.send_replace("runs");
            shutdown.fired().await;
            tokio::time::sleep(Duration::from_secs(1)).await;
            stage.send_replace("flushed");
        })
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_later_is_run_too_and_all_is_flushed_at_the_end() {
        let inbox = Arc::new(Inbox::default());
        let (early, _) = watch::channel("waits");
        let (late, mut late_runs) = watch::channel("waits");
        inbox.add([telling(&early)]);
        let all = run_all(Arc::clone(&inbox));
        let end = all.shutdown_handle();
        let all = tokio::spawn(all);
        tokio::task::yield_now().await;
        inbox.add([telling(&late)]);
        late_runs.wait_for(|stage| *stage == "runs").await.unwrap();
        end.shutdown();
        all.await.unwrap();
        assert_eq!((*early.borrow(), *late.borrow()), ("flushed", "flushed"));
    }
}
