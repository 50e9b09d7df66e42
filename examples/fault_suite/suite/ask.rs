//! A caller, and what the caller sees.

use std::{convert::Infallible, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Request, header};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, client::conn::http1, server, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::json;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, timeout_at},
};
use tower::ServiceExt;
use tower_relay::message::{BoxError, RequestBody};

use super::{
    gauge::Gauge,
    stacks::{Layers, Relay},
    wire::Line,
};

/// As much of an answer's beginning is kept, in bytes.
const KEPT: usize = 1 << 20;
/// As much of its end is kept.
pub(crate) const TAIL: usize = 64 << 10;

/// How an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// As its framing says that it should.
    Clean,
    /// By an error: the connection was closed or reset before that.
    Broken,
    /// Not at all, in all the time that the caller had.
    Never,
}

/// What a caller saw.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) status: Option<u16>,
    pub(crate) headers: HeaderMap,
    /// All of the body, or its beginning where it is longer.
    pub(crate) body: Vec<u8>,
    /// The last bytes of the body.
    pub(crate) tail: Vec<u8>,
    pub(crate) length: u64,
    pub(crate) end: End,
    pub(crate) elapsed: Duration,
}

/// The JSON of a chat request.
pub(crate) fn chat(streamed: bool) -> String {
    let messages = json!([{"role": "user", "content": "What do you say?"}]);
    json!({"model": "fault", "stream": streamed, "messages": messages}).to_string()
}

/// Asks `relay` over a connection in memory, through a server of its own.
pub(crate) async fn ask(
    relay: &Relay,
    layers: Layers,
    streamed: bool,
    patience: Duration,
    gauge: &Gauge,
) -> Seen {
    let (ours, theirs) = Line::pair();
    let service = relay.service.clone();
    let answer = service_fn(move |request: Request<Incoming>| {
        let service = service.clone();
        async move {
            let request = match layers {
                Layers::Full => request.map(RequestBody::new),
                // Without an edge somebody else has to collect the body.
                _ => collected(request).await?,
            };
            let Ok(response) = service.oneshot(request).await;
            Ok::<_, BoxError>(response)
        }
    });
    let serving = server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(theirs), answer);
    tokio::spawn(serving);
    asked(ours, "relay.test", "", streamed, patience, gauge).await
}

async fn collected(request: Request<Incoming>) -> Result<Request<RequestBody>, BoxError> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    Ok(Request::from_parts(head, RequestBody::json(body)))
}

/// Asks whoever is at the other end of `io`, under the path `base`.
pub(crate) async fn asked(
    io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    host: &str,
    base: &str,
    streamed: bool,
    patience: Duration,
    gauge: &Gauge,
) -> Seen {
    let start = Instant::now();
    let mut seen = Seen {
        status: None,
        headers: HeaderMap::new(),
        body: Vec::new(),
        tail: Vec::new(),
        length: 0,
        end: End::Broken,
        elapsed: Duration::ZERO,
    };
    let reading = read(io, host, base, streamed, gauge, &mut seen);
    let read = timeout_at(start + patience, reading).await;
    seen.end = match read {
        Ok(Ok(())) => End::Clean,
        Ok(Err(_)) => End::Broken,
        Err(_) => End::Never,
    };
    seen.elapsed = start.elapsed();
    seen
}

async fn read(
    io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    host: &str,
    base: &str,
    streamed: bool,
    gauge: &Gauge,
    seen: &mut Seen,
) -> Result<(), BoxError> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(io)).await?;
    let connection = Aborted(tokio::spawn(async move {
        // What went wrong is the answer's to say.
        let _ = connection.await;
        Ok::<_, Infallible>(())
    }));
    let request = Request::post(format!("{base}/v1/chat/completions"))
        .header(header::HOST, host)
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::AUTHORIZATION, "Bearer sk-fault")
        .body(Full::new(Bytes::from(chat(streamed))))?;
    let response = sender.send_request(request).await?;
    seen.status = Some(response.status().as_u16());
    seen.headers = response.headers().clone();
    let mut body = response.into_body();
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame?.into_data() {
            gauge.read(data.len());
            seen.take(&data);
        }
    }
    drop(connection);
    Ok(())
}

impl Seen {
    fn take(&mut self, data: &[u8]) {
        self.length += data.len() as u64;
        let room = KEPT.saturating_sub(self.body.len()).min(data.len());
        self.body
            .extend_from_slice(data.get(..room).unwrap_or_default());
        self.tail.extend_from_slice(data);
        let surplus = self.tail.len().saturating_sub(TAIL);
        self.tail.drain(..surplus);
    }
}

/// Closes the caller's connection when the caller is done.
struct Aborted(tokio::task::JoinHandle<Result<(), Infallible>>);

impl Drop for Aborted {
    fn drop(&mut self) {
        self.0.abort();
    }
}
