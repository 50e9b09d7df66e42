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
#[derive(Debug)]
pub(crate) struct Shutdown(watch::Receiver<bool>);

impl Worker {
    pub(crate) fn new<F, R>(run: F) -> Self
    where
        F: FnOnce(Shutdown) -> R,
        R: Future<Output = ()> + Send + 'static,
    {
        let (stop, stopped) = watch::channel(false);
        Self { future: Box::pin(run(Shutdown(stopped))), stop }
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
}

impl Shutdown {
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
