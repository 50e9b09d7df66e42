//! Accepting connections, and letting them end.

mod activity;
mod connection;
mod stream;
mod streams;
mod tracked;

use std::{io, pin::pin, time::Duration};

use hyper_util::{rt::TokioTimer, server::conn::auto};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};

use self::{
    activity::{Activity, Limits},
    connection::Connection,
    stream::Stream,
    streams::Streams,
    tracked::Tracked,
};
use super::{GatewayService, ServerConfig, Stack};
use crate::worker::Worker;

/// How long to wait after an accept failed for a lack of something, mostly of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long the workers may take for what they have in hand at the end.
const FLUSH: Duration = Duration::from_secs(5);

pub(super) async fn serve<S: Stack>(
    service: GatewayService<S>,
    config: &ServerConfig,
    workers: Vec<Worker>,
    listener: TcpListener,
    shutdown: impl Future<Output = ()>,
) {
    let handles: Vec<_> = workers.iter().map(Worker::shutdown_handle).collect();
    let mut working: JoinSet<()> = workers.into_iter().collect();
    let mut connections = JoinSet::new();
    let (stop, stopped) = watch::channel(false);
    let mut shutdown = pin!(shutdown);

    let server = Server::new(service, config);
    loop {
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept(), if connections.len() < config.max_connections => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                connections.spawn(server.connection(stream, stopped.clone()));
            }
            // The caller gave up while it waited; the next one may not have.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
                ) => {}
            Err(error) => {
                tracing::error!(%error, "cannot accept connections at present");
                tokio::select! {
                    () = &mut shutdown => break,
                    () = sleep(ACCEPT_PAUSE) => {}
                }
            }
        }
    }

    drop(listener);
    stop.send_replace(true);
    let ended = timeout(config.shutdown_timeout, async {
        while connections.join_next().await.is_some() {}
    });
    if ended.await.is_err() {
        tracing::warn!(
            connections = connections.len(),
            "closed before their answers ended"
        );
        connections.shutdown().await;
    }
    for handle in handles {
        handle.shutdown();
    }
    let flushed = timeout(FLUSH, async {
        while working.join_next().await.is_some() {}
    });
    if flushed.await.is_err() {
        tracing::warn!(workers = working.len(), "ended before they had finished");
        working.shutdown().await;
    }
}

/// What connections are made with.
struct Server<S> {
    service: GatewayService<S>,
    http: auto::Builder<Streams>,
    limits: Limits,
}

impl<S: Stack> Server<S> {
    fn new(service: GatewayService<S>, config: &ServerConfig) -> Self {
        let mut http = auto::Builder::new(Streams);
        if !config.http2 {
            http = http.http1_only();
        }
        // hyper's own timeout for the head would also close kept connections: `Activity` tells the two apart.
        http.http1()
            .timer(TokioTimer::new())
            .header_read_timeout(None);
        http.http2().timer(TokioTimer::new());
        let limits = Limits {
            head: config.header_timeout,
            idle: config.idle_timeout,
        };
        Self {
            service,
            http,
            limits,
        }
    }

    fn connection(
        &self,
        stream: TcpStream,
        mut stopped: watch::Receiver<bool>,
    ) -> impl Future<Output = ()> + Send + use<S> {
        // Without it an event may wait for the acknowledgement of the one before. A failure costs only speed.
        let _ = stream.set_nodelay(true);
        let activity = Activity::new();
        let service = Tracked::new(self.service.clone(), activity.clone());
        let connection = self
            .http
            .serve_connection(Stream::new(stream, activity.clone()), service)
            .into_owned();
        // An error is a gateway that is no more.
        let stop = async move { drop(stopped.wait_for(|stop| *stop).await) };
        Connection::new(connection, activity, self.limits, stop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{gateway::Gateway, message::ResponseBody, server::EdgeLayer, testing::answering};
    use http::Response;

    #[tokio::test(start_paused = true)]
    async fn a_worker_that_does_not_end_holds_up_the_shutdown_only_for_a_while() {
        let stack = answering(|_| Response::new(ResponseBody::empty()));
        let service = Gateway::new(&EdgeLayer::default(), stack).service();
        let (flushed, has_flushed) = watch::channel(false);
        let workers = vec![
            Worker::new(|_| std::future::pending()),
            Worker::new(|mut shutdown| async move {
                shutdown.fired_within(Duration::MAX).await;
                sleep(FLUSH / 2).await;
                flushed.send_replace(true);
            }),
        ];
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let start = tokio::time::Instant::now();
        let shutdown = std::future::ready(());
        serve(
            service,
            &ServerConfig::default(),
            workers,
            listener,
            shutdown,
        )
        .await;
        assert_eq!(start.elapsed().as_secs(), FLUSH.as_secs());
        assert!(*has_flushed.borrow());
    }
}
