//! A recorded answer as the provider sent it, on its way through the real body.

use std::{convert::Infallible, iter};

use bytes::Bytes;
use futures_util::{FutureExt, stream};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use serde_json::Value;
use tower_relay::message::ResponseBody;

use super::Record;

/// The APIs whose events have names.
const NAMED_EVENTS: &[&str] = &["anthropic-messages", "openai-responses", "cohere-chat"];

/// An answer as it went over the wire, or, where the recording lost that, as it must have.
#[derive(Clone)]
pub(super) struct Sent {
    status: StatusCode,
    headers: HeaderMap,
    pub(super) body: Bytes,
    /// Where the recorded reads ended.
    reads: Option<Vec<usize>>,
}

/// How a body is cut into chunks.
#[derive(Debug, Clone, Copy)]
pub(super) enum Cut {
    Whole,
    /// Pieces of so many bytes.
    Every(usize),
    /// As it was read from the network when it was recorded.
    AsRead,
}

impl Sent {
    /// Bedrock's binary frames are not parsed by this crate: what was decoded of them stands for them, as an adapter would
    /// hand it on.
    pub(super) fn of(record: &Record) -> Self {
        let mut sent = Self::verbatim(record);
        let framed = if let Some(frames) = &record.response.decoded_events {
            let frame = |frame: &Value| {
                let name = frame["event"].as_str().unwrap_or("message");
                format!("event: {name}\ndata: {}\n\n", frame["payload"])
            };
            Some(frames.iter().map(frame).collect::<String>())
        } else {
            let has_names = NAMED_EVENTS.contains(&record.api.as_str());
            let lines = record.body().lines().filter(|line| !line.is_empty());
            record
                .lost_its_framing()
                .then(|| lines.map(|line| framed(line, has_names)).collect())
        };
        if let Some(body) = framed {
            sent.body = Bytes::from(body);
            let media = HeaderValue::from_static("text/event-stream");
            sent.headers.insert(header::CONTENT_TYPE, media);
        }
        sent
    }

    /// JSON that nobody recorded.
    pub(super) fn json(status: u16, body: &Bytes) -> Self {
        let media = HeaderValue::from_static("application/json");
        Self {
            status: StatusCode::from_u16(status).unwrap(),
            headers: HeaderMap::from_iter([(header::CONTENT_TYPE, media)]),
            body: body.clone(),
            reads: None,
        }
    }

    pub(super) fn status(&self) -> u16 {
        self.status.as_u16()
    }

    pub(super) fn has_header(&self, name: &str) -> bool {
        self.headers.contains_key(name)
    }

    /// The bytes that were recorded, in whatever form.
    pub(super) fn verbatim(record: &Record) -> Self {
        let body = match &record.response.body_b64 {
            Some(text) => from_base64(text),
            None => record.body().as_bytes().to_vec(),
        };
        Self {
            status: StatusCode::from_u16(record.status).unwrap(),
            headers: headers(record),
            body: Bytes::from(body),
            reads: record.source.chunk_end_offsets.clone(),
        }
    }

    /// An answer that was not recorded but made.
    pub(super) fn made(body: Bytes, headers: HeaderMap) -> Self {
        Self {
            status: StatusCode::OK,
            headers,
            body,
            reads: None,
        }
    }

    pub(super) fn was_recorded_with_reads(&self) -> bool {
        self.reads.is_some()
    }

    /// Whether it came as a stream that is not binary.
    pub(super) fn is_stream(&self) -> bool {
        self.is_lines() || self.is_media("text/event-stream")
    }

    /// Whether each line is a JSON value.
    pub(super) fn is_lines(&self) -> bool {
        self.is_media("application/x-ndjson") || self.is_media("application/stream+json")
    }

    fn is_media(&self, prefix: &str) -> bool {
        let media = self.headers.get(header::CONTENT_TYPE);
        media.is_some_and(|media| media.as_bytes().starts_with(prefix.as_bytes()))
    }

    /// The same answer with only its first bytes.
    pub(super) fn cut_off(&self, at: usize) -> Self {
        let body = self.body.slice(..at);
        Self {
            body,
            ..self.clone()
        }
    }

    /// The answer as a client gives it to the innermost layer.
    pub(super) fn response(&self, cut: Cut) -> Response<ResponseBody> {
        let chunks = self.chunks(cut).into_iter();
        let frames = chunks.map(|chunk| Ok::<_, Infallible>(Frame::data(chunk)));
        let mut response = Response::new(StreamBody::new(stream::iter(frames)));
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers.clone();
        ResponseBody::wrap(response)
    }

    fn chunks(&self, cut: Cut) -> Vec<Bytes> {
        let len = self.body.len();
        let ends: Vec<_> = match cut {
            Cut::Whole => vec![len],
            Cut::Every(size) => (size..len).step_by(size).chain([len]).collect(),
            Cut::AsRead => {
                let reads = self.reads.iter().flatten().copied();
                reads.filter(|end| *end < len).chain([len]).collect()
            }
        };
        let starts = iter::once(0).chain(ends.iter().copied());
        let ranges = starts.zip(&ends).filter(|(start, end)| start < end);
        ranges
            .map(|(start, end)| self.body.slice(start..*end))
            .collect()
    }
}

/// All bytes that reach the caller. Nothing in these bodies ever waits.
pub(super) fn collect(body: ResponseBody) -> Bytes {
    body.collect()
        .now_or_never()
        .expect("a body that never waits")
        .expect("a body that does not break")
        .to_bytes()
}

pub(super) fn headers(record: &Record) -> HeaderMap {
    let read = |(name, value): (&String, &String)| {
        Some((
            name.parse::<HeaderName>().ok()?,
            value.parse::<HeaderValue>().ok()?,
        ))
    };
    record.response.headers.iter().filter_map(read).collect()
}

/// A line of JSON as the event that it was.
fn framed(json: &str, has_names: bool) -> String {
    let event: Value = serde_json::from_str(json).unwrap_or_default();
    match event["type"].as_str().filter(|_| has_names) {
        Some(name) => format!("event: {name}\ndata: {json}\n\n"),
        None => format!("data: {json}\n\n"),
    }
}

fn from_base64(text: &str) -> Vec<u8> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits: Vec<_> = text
        .bytes()
        .filter_map(|byte| ALPHABET.iter().position(|digit| *digit == byte))
        .collect();
    let group = |digits: &[usize]| {
        let bits =
            digits.iter().fold(0, |bits, digit| bits << 6 | digit) << (6 * (4 - digits.len()));
        let bytes = [bits >> 16, bits >> 8, bits].map(|bits| u8::try_from(bits & 0xff).unwrap());
        bytes[..digits.len() - 1].to_vec()
    };
    digits.chunks(4).flat_map(group).collect()
}
