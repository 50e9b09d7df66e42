use std::{convert::Infallible, pin::pin, sync::Arc, time::Duration};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use tokio::{net::TcpListener, task::JoinSet, time};

use super::Demo;

/// Connections served at once; more wait in the listener's backlog.
const MAX_CONNECTIONS: usize = 4_096;
/// How long open answers may go on after the shutdown.
const GRACE: Duration = Duration::from_secs(1);
/// How long to wait after a failed accept, which is mostly a lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

impl Demo {
    /// Serves HTTP/1.1 until `shutdown` is ready; open answers then have a second to end.
    ///
    /// Dropping the future ends every connection at once.
    pub async fn serve(self, listener: TcpListener, shutdown: impl Future<Output = ()>) {
        let demo = Arc::new(self);
        let graceful = GracefulShutdown::new();
        let mut connections = JoinSet::new();
        let mut shutdown = pin!(shutdown);
        loop {
            let accepted = tokio::select! {
                () = &mut shutdown => break,
                Some(_) = connections.join_next() => continue,
                accepted = listener.accept(), if connections.len() < MAX_CONNECTIONS => accepted,
            };
            let Ok((stream, _)) = accepted else {
                time::sleep(ACCEPT_PAUSE).await;
                continue;
            };
            // Without it an event may wait for the acknowledgement of the one before; a failure
            // costs only speed.
            let _ = stream.set_nodelay(true);
            let demo = Arc::clone(&demo);
            let service = service_fn(move |request| {
                let demo = Arc::clone(&demo);
                async move { Ok::<_, Infallible>(demo.respond(request).await) }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(stream), service);
            let connection = graceful.watch(connection);
            connections.spawn(async move {
                // The caller is gone or the stream was cut on request: nobody is left to tell.
                let _ = connection.await;
            });
        }
        drop(listener);
        let _ = time::timeout(GRACE, graceful.shutdown()).await;
    }
}
