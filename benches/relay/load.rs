//! Load on one server: a closed loop over keep-alive connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
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
    pub(crate) async fn send(&mut self, workload: &Arc<Workload>, requests: u32, seen: &mut Seen) {
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
        for (connection, latencies, first) in callers.join_all().await {
            self.idle.push(connection);
            seen.latencies.0.extend(latencies);
            seen.first.0.extend(first);
        }
        seen.wall += started.elapsed();
    }
}

async fn call(
    mut connection: SendRequest<Full<Bytes>>,
    host: HeaderValue,
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
        connection.ready().await.expect("a connection kept alive");
        let started = Instant::now();
        let response = connection
            .send_request(workload.request(&host))
            .await
            .expect("an answer");
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
            workload.accepts(&answer),
            "{}: not the upstream's answer: {answer:?}",
            workload.name
        );
    }
    (connection, latencies, first)
}
