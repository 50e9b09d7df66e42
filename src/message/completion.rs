//! How an answer ended.

use http::{HeaderMap, HeaderValue, header};
use tokio::time::Instant;

use super::{ApiError, Bill, catalog::Cost, usage::Usage};

/// What was seen of an answer by the time it ended; given to every callback of
/// [`ResponseBody::on_end`](super::ResponseBody::on_end).
#[non_exhaustive]
#[derive(Debug, Clone)]
pub struct Completion {
    /// How it ended.
    pub end: End,
    /// The tokens that it used, as far as it said; `None` where it said nothing. Zeros that were stated are `Some`.
    pub usage: Option<Usage>,
    /// Whether `usage` is the last word: the answer is whole. A stream that broke or was left may have stated part of it.
    pub usage_is_final: bool,
    /// Why the model stopped, in the provider's own word.
    pub finish_reason: Option<Box<str>>,
    /// The model that the answer names.
    pub model: Option<Box<str>>,
    /// The service tier that the answer names.
    pub service_tier: Option<Box<str>>,
    /// The error that stands in an answer whose status is a success.
    pub error: Option<ApiError>,
    /// The output that was seen, in tokens by the weight of its text: an estimate for when `usage` is not the last word. Only where
    /// somebody [asked](super::ResponseBody::weigh_output).
    pub output_weight: Option<u64>,
    /// What the answer cost, where its provider says so.
    pub stated_cost: Option<Cost>,
    /// What the request has cost with all its attempts so far, where a meter stands in the stack.
    pub bill: Option<Bill>,
    /// When the first byte of the body came from the upstream; `None` for a body without bytes.
    pub first_byte_at: Option<Instant>,
    /// When the first output came (text, reasoning, a tool call), rather than what opens a stream; for a JSON body, when it
    /// was whole.
    pub first_token_at: Option<Instant>,
    /// When it ended: when its last byte or its terminal event came from the upstream, it broke, or its caller let go of it.
    pub ended_at: Instant,
    /// The events of a stream that carried data, but for the one that only says that it is over; 0 for any other answer.
    pub chunks: u64,
    /// Bytes of the body as the upstream sent it, before any layer changed it.
    pub bytes: u64,
}

/// How an answer ended.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum End {
    /// In full: the body ended, or its declared length was reached, or its terminal event was seen. Whatever
    /// happens after that does not change it.
    Complete,
    /// It broke before its end.
    Failed(Failure),
    /// The caller let go of it before its end. Neither the caller's nor the upstream's fault.
    Cancelled,
}

#[cfg(feature = "telemetry")]
impl Completion {
    /// What was used for the answer: as it says itself or, where it does not say so to whoever reads it here, as its bill has it. One that is
    /// [cached](super::Cached) used nothing, whatever it states.
    pub(crate) fn used(&self, is_cached: bool) -> Option<Usage> {
        if is_cached {
            return None;
        }
        let bill = self.bill.as_ref().filter(|bill| bill.attempts() > 0);
        self.usage.or_else(|| bill.map(Bill::usage))
    }
}

/// Why an answer broke.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Failure {
    /// The body reported an error: a reset connection, a broken encoding.
    Body,
    /// The request's [`Deadline`](super::Deadline) passed, or a layer's limit on the upstream's silence or slowness.
    Deadline,
    /// A stream ended without its terminal event.
    Truncated,
    /// The answer states an error, whatever its status: [`Completion::error`].
    Stated,
    /// A layer that was to change the answer could not go on.
    Transform,
}

/// What an answer's bytes are, and so how its end is told.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Media {
    /// A `text/event-stream`, uncompressed.
    EventStream,
    /// JSON, uncompressed.
    Json,
    /// A stream of JSON values, each a line, uncompressed: Ollama's own API (`application/x-ndjson`), Cohere's first one
    /// (`application/stream+json`).
    JsonLines,
    /// Anything else, and all that is compressed: never parsed.
    #[default]
    Opaque,
}

impl Media {
    /// The media of an answer with these headers.
    pub fn of(headers: &HeaderMap) -> Self {
        if headers
            .get(header::CONTENT_ENCODING)
            .is_some_and(|encoding| encoding != "identity")
        {
            return Self::Opaque;
        }
        match headers.get(header::CONTENT_TYPE) {
            Some(value) if value == "application/json" => Self::Json,
            Some(value) => {
                let essence = essence(value);
                if essence.eq_ignore_ascii_case("text/event-stream") {
                    Self::EventStream
                } else if is_json_lines(essence) {
                    Self::JsonLines
                } else if is_json(essence) {
                    Self::Json
                } else {
                    Self::Opaque
                }
            }
            None => Self::Opaque,
        }
    }
}

/// A content type without its parameters.
fn essence(value: &HeaderValue) -> &str {
    value
        .to_str()
        .unwrap_or_default()
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
}

/// Whether a body with these headers is JSON as it stands: of that type, or of none, and not compressed.
pub(crate) fn is_readable_json(headers: &HeaderMap) -> bool {
    let json = headers
        .get(header::CONTENT_TYPE)
        .is_none_or(|value| value == "application/json" || is_json(essence(value)));
    json && headers
        .get(header::CONTENT_ENCODING)
        .is_none_or(|encoding| encoding == "identity")
}

/// Whether a content type, without its parameters, is a stream of JSON lines.
fn is_json_lines(essence: &str) -> bool {
    [
        "application/x-ndjson",
        "application/ndjson",
        "application/stream+json",
    ]
    .iter()
    .any(|lines| essence.eq_ignore_ascii_case(lines))
}

/// Whether a content type, without its parameters, is JSON: `application/json`, or any `+json`.
fn is_json(essence: &str) -> bool {
    let suffix = essence.rsplit_once('+').map_or("", |(_, suffix)| suffix);
    essence.eq_ignore_ascii_case("application/json") || suffix.eq_ignore_ascii_case("json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_content_type_tells_what_is_read_and_compression_hides_it() {
        for (content_type, media) in [
            ("text/event-stream;charset=UTF-8", Media::EventStream),
            ("application/json; charset=utf-8", Media::Json),
            ("application/problem+json", Media::Json),
            ("application/x-ndjson", Media::JsonLines),
            ("Application/Stream+JSON; charset=utf-8", Media::JsonLines),
            ("application/vnd.amazon.eventstream", Media::Opaque),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
            assert_eq!(Media::of(&headers), media, "{content_type}");
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            assert_eq!(Media::of(&headers), Media::Opaque, "{content_type}");
        }
        assert_eq!(Media::of(&HeaderMap::new()), Media::Opaque);
    }
}
