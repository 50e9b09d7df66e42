//! Load on one server: a closed loop over keep-alive connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::workload::Workload;

/// Open connections to one server.
#[derive(Debug)]
pub(crate) struct Connections {
    asks: Arc<Asks>,
    idle: Vec<SendRequest<Full<Bytes>>>,
}

/// What every request to a server has, and what its answers are held to.
#[derive(Clone, Debug)]
pub(crate) struct Asks {
    pub(crate) host: HeaderValue,
    /// Besides those of the workload.
    pub(crate) headers: HeaderMap,
    /// Whether an answer must be the upstream's, byte for byte.
    pub(crate) is_exact: bool,
}

impl Asks {
    /// Of a server at `address`, a host and port, that hands every answer on as it came.
    pub(crate) fn of(address: &str) -> Self {
        Self {
            host: address.parse().expect("a header value"),
            headers: HeaderMap::new(),
            is_exact: true,
        }
    }
}

/// What callers saw.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// From the first request to the last answer, idle time between turns left out.
    pub(crate) wall: Duration,
    /// From each request to the end of its answer.
    pub(crate) latencies: Latencies,
    /// From each request to the first bytes of its answer's body.
    pub(crate) first: Latencies,
}

#[derive(Debug, Default)]
pub(crate) struct Latencies(Vec<Duration>);

impl Latencies {
    /// The time that `percent` of them do not exceed (by nearest rank).
    pub(crate) fn percentile(&self, percent: usize) -> Duration {
        let mut ascending = self.0.clone();
        ascending.sort_unstable();
        let rank = (ascending.len() * percent).div_ceil(100);
        ascending
            .get(rank.saturating_sub(1))
            .copied()
            .unwrap_or_default()
    }
}

impl Connections {
    pub(crate) async fn open(asks: Asks, connections: u32) -> Self {
        let mut idle = Vec::new();
        for _ in 0..connections {
            idle.push(connect(&asks).await);
        }
        Self {
            asks: Arc::new(asks),
            idle,
        }
    }

    /// Sends `requests` requests, one at a time on each connection, and checks every answer.
    pub(crate) async fn send(&mut self, workload: &Arc<Workload>, requests: u32, seen: &mut Seen) {
        let left = Arc::new(AtomicU32::new(requests));
        let started = Instant::now();
        let mut callers = JoinSet::new();
        for connection in self.idle.drain(..) {
            callers.spawn(call(
                connection,
                self.asks.clone(),
                workload.clone(),
                left.clone(),
            ));
        }
        for (connection, latencies, first) in callers.join_all().await {
            self.idle.push(connection);
            seen.latencies.0.extend(latencies);
            seen.first.0.extend(first);
        }
        seen.wall += started.elapsed();
    }
}

async fn connect(asks: &Asks) -> SendRequest<Full<Bytes>> {
    let address = asks.host.to_str().expect("an address");
    let stream = TcpStream::connect(address).await.expect("a connection");
    stream.set_nodelay(true).expect("TCP_NODELAY");
    let (sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .expect("a handshake");
    tokio::spawn(connection);
    sender
}

async fn call(
    mut connection: SendRequest<Full<Bytes>>,
    asks: Arc<Asks>,
    workload: Arc<Workload>,
    left: Arc<AtomicU32>,
) -> (SendRequest<Full<Bytes>>, Vec<Duration>, Vec<Duration>) {
    let (mut latencies, mut first) = (Vec::new(), Vec::new());
    // The callers share one count, so that all are busy until the round ends.
    while left
        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
            left.checked_sub(1)
        })
        .is_ok()
    {
        if connection.ready().await.is_err() {
            // Some close what rests for seconds, while others have their turns.
            assert!(!asks.is_exact, "a connection is kept alive");
            connection = connect(&asks).await;
        }
        let mut request = workload.request(&asks.host);
        request.headers_mut().extend(asks.headers.clone());
        let started = Instant::now();
        let response = connection.send_request(request).await.expect("an answer");
        assert_eq!(response.status(), StatusCode::OK, "{}", workload.name);
        let mut body = response.into_body();
        let mut answer = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let data = frame.expect("a whole answer").into_data();
            if answer.is_empty() {
                first.push(started.elapsed());
            }
            answer.extend_from_slice(&data.unwrap_or_default());
        }
        latencies.push(started.elapsed());
        assert!(
            !asks.is_exact && !answer.is_empty() || workload.accepts(&answer),
            "{}: not the upstream's answer: {answer:?}",
            workload.name
        );
    }
    (connection, latencies, first)
}
