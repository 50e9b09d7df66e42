//! Work that a layer does beside the requests.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{sync::watch, time::timeout};

/// The background work of a layer, as a future for the user to spawn.
///
/// It runs as long as it is polled, and ends, after finishing what it has in hand, when its [`ShutdownHandle`] fires.
#[must_use = "a worker does nothing unless it is spawned"]
pub struct Worker {
    future: Pin<Box<dyn Future<Output = ()> + Send>>,
    stop: watch::Sender<bool>,
}

/// Ends a [`Worker`].
#[derive(Debug, Clone)]
pub struct ShutdownHandle(watch::Sender<bool>);

/// The worker's side of its shutdown.
#[derive(Debug, Clone)]
pub(crate) struct Shutdown(watch::Receiver<bool>);

impl Worker {
    pub(crate) fn new<F, R>(run: F) -> Self
    where
        F: FnOnce(Shutdown) -> R,
        R: Future<Output = ()> + Send + 'static,
    {
        let (stop, stopped) = watch::channel(false);
        Self {
            future: Box::pin(run(Shutdown(stopped))),
            stop,
        }
    }

    /// What ends this worker.
    pub fn shutdown_handle(&self) -> ShutdownHandle {
        ShutdownHandle(self.stop.clone())
    }
}

impl Future for Worker {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.future.as_mut().poll(cx)
    }
}

impl ShutdownHandle {
    /// Asks the worker to finish what it has in hand and end.
    pub fn shutdown(&self) {
        self.0.send_replace(true);
    }

    /// Whether both end the same worker.
    #[cfg(feature = "gateway")]
    pub(crate) fn is_of(&self, other: &Self) -> bool {
        self.0.same_channel(&other.0)
    }
}

impl Shutdown {
    /// Waits until the shutdown fires.
    pub(crate) async fn fired(&mut self) {
        // The worker holds the sender, so the channel cannot close under it.
        let _ = self.0.wait_for(|stop| *stop).await;
    }

    /// Waits until the shutdown fires, at most for `wait`; whether it did.
    pub(crate) async fn fired_within(&mut self, wait: Duration) -> bool {
        // The worker holds the sender, so the channel cannot close under it.
        timeout(wait, self.0.wait_for(|stop| *stop)).await.is_ok()
    }
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use tokio_test::{assert_pending, assert_ready, task};

    use super::*;

    /// Counts its rounds into `rounds`, one a second, until it is stopped, and then flushes.
    fn counting(rounds: &watch::Sender<u32>) -> Worker {
        let rounds = rounds.clone();
        Worker::new(|mut shutdown| async move {
            while !shutdown.fired_within(Duration::from_secs(1)).await {
                rounds.send_modify(|rounds| *rounds += 1);
            }
            rounds.send_modify(|rounds| *rounds += 100);
        })
    }

    #[tokio::test(start_paused = true)]
    async fn a_worker_works_until_its_shutdown_fires_and_flushes() {
        let (rounds, _) = watch::channel(0);
        let worker = counting(&rounds);
        let shutdown = worker.shutdown_handle();
        let worker = tokio::spawn(worker);
        tokio::time::sleep(Duration::from_millis(3500)).await;
        assert_eq!(*rounds.borrow(), 3);
        shutdown.clone().shutdown();
        worker.await.unwrap();
        assert_eq!(*rounds.borrow(), 103);
        // Once more does no harm.
        shutdown.shutdown();
    }

    #[tokio::test(start_paused = true)]
    async fn a_shutdown_before_the_first_poll_is_not_missed() {
        let (rounds, _) = watch::channel(0);
        let worker = counting(&rounds);
        worker.shutdown_handle().shutdown();
        let mut worker = task::spawn(worker);
        assert_ready!(worker.poll());
        assert_eq!(*rounds.borrow(), 100);
    }

    #[tokio::test(start_paused = true)]
    async fn a_worker_whose_handles_are_gone_works_on() {
        let (rounds, _) = watch::channel(0);
        let worker = counting(&rounds);
        drop(worker.shutdown_handle());
        let mut worker = task::spawn(worker);
        assert_pending!(worker.poll());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_pending!(worker.poll());
        assert_eq!(*rounds.borrow(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_shutdown_wakes_a_waiting_worker() {
        let (rounds, _) = watch::channel(0);
        let worker = counting(&rounds);
        let shutdown = worker.shutdown_handle();
        let mut worker = task::spawn(worker);
        assert_pending!(worker.poll());
        shutdown.shutdown();
        assert!(worker.is_woken());
        assert_ready!(worker.poll());
    }
}
