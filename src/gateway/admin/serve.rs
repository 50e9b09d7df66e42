//! The operators' port.

use std::{sync::Arc, time::Duration};

use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
    time::sleep,
};

use super::AdminService;
use crate::worker::{Shutdown, Worker};

/// The most connections at a time: a browser keeps up to six.
const MAX_CONNECTIONS: usize = 128;
/// How long the head of a request may take, and an idle connection is kept.
const HEAD: Duration = Duration::from_secs(75);
/// How long to wait after an accept failed.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves `service` on `listener` until the shutdown: then its connections are closed at once, as streams of events have no end.
pub(in crate::gateway) fn worker(service: AdminService, listener: TcpListener) -> Worker {
    Worker::new(|shutdown| serve(service, listener, shutdown))
}

async fn serve(service: AdminService, listener: TcpListener, mut shutdown: Shutdown) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        let place = Arc::clone(&places).acquire_owned();
        let accepted = tokio::select! {
            () = shutdown.fired() => return,
            Some(_) = connections.join_next() => continue,
            accepted = async { (place.await, listener.accept().await) } => accepted,
        };
        match accepted {
            (Ok(place), Ok((stream, _))) => {
                connections.spawn(connection(service.clone(), stream, place));
            }
            _ => sleep(PAUSE).await,
        }
    }
}

async fn connection(service: AdminService, stream: TcpStream, _place: OwnedSemaphorePermit) {
    let _ = stream.set_nodelay(true);
    let service = TowerToHyperService::new(service);
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .serve_connection(TokioIo::new(stream), service);
    // Whoever breaks off has had enough.
    let _ = served.await;
}
