//! Load on one server: a closed loop over keep-alive connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, StatusCode};
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
    host: HeaderValue,
    idle: Vec<SendRequest<Full<Bytes>>>,
}

/// What the callers of one round saw.
#[derive(Debug)]
pub(crate) struct Seen {
    /// From the first request to the last answer.
    pub(crate) wall: Duration,
    /// From a request to the end of its answer: median and 99th percentile, by nearest rank.
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
}

impl Connections {
    pub(crate) async fn open(address: &str, connections: u32) -> Self {
        let mut idle = Vec::new();
        for _ in 0..connections {
            let stream = TcpStream::connect(address).await.expect("a connection");
            stream.set_nodelay(true).expect("TCP_NODELAY");
            let (sender, connection) = http1::handshake(TokioIo::new(stream))
                .await
                .expect("a handshake");
            tokio::spawn(connection);
            idle.push(sender);
        }
        Self {
            host: address.parse().expect("a header value"),
            idle,
        }
    }

    /// Sends `requests` requests, one at a time on each connection, and checks every answer.
    pub(crate) async fn send(&mut self, workload: &Arc<Workload>, requests: u32) -> Seen {
        let left = Arc::new(AtomicU32::new(requests));
        let started = Instant::now();
        let mut callers = JoinSet::new();
        for connection in self.idle.drain(..) {
            callers.spawn(call(
                connection,
                self.host.clone(),
                workload.clone(),
                left.clone(),
            ));
        }
        let mut latencies = Vec::new();
        for (connection, seen) in callers.join_all().await {
            self.idle.push(connection);
            latencies.extend(seen);
        }
        let wall = started.elapsed();
        latencies.sort_unstable();
        Seen {
            wall,
            p50: percentile(&latencies, 50),
            p99: percentile(&latencies, 99),
        }
    }
}

async fn call(
    mut connection: SendRequest<Full<Bytes>>,
    host: HeaderValue,
    workload: Arc<Workload>,
    left: Arc<AtomicU32>,
) -> (SendRequest<Full<Bytes>>, Vec<Duration>) {
    let mut latencies = Vec::new();
    // The callers share one count, so that all are busy until the round ends.
    while left
        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
            left.checked_sub(1)
        })
        .is_ok()
    {
        connection.ready().await.expect("a connection kept alive");
        let started = Instant::now();
        let response = connection
            .send_request(workload.request(&host))
            .await
            .expect("an answer");
        assert_eq!(response.status(), StatusCode::OK, "{}", workload.name);
        let answer = response
            .into_body()
            .collect()
            .await
            .expect("a whole answer")
            .to_bytes();
        latencies.push(started.elapsed());
        assert!(
            answer == workload.answer,
            "{}: not the upstream's answer: {answer:?}",
            workload.name
        );
    }
    (connection, latencies)
}

fn percentile(ascending: &[Duration], percent: usize) -> Duration {
    let rank = (ascending.len() * percent).div_ceil(100);
    ascending
        .get(rank.saturating_sub(1))
        .copied()
        .unwrap_or_default()
}
