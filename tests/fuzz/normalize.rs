//! What must hold of the normaliser whatever an upstream sends. Run with mutated answers here, and by the targets in `fuzz/`.

use std::convert::Infallible;

use bytes::Bytes;
use futures_util::{FutureExt, stream};
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use serde_json::value::RawValue;
use tower::{Layer, ServiceExt, service_fn};
use tower_relay::{
    message::{RequestBody, ResponseBody},
    normalize::{Reasoning, ResponseNormalizeLayer},
};

/// How it is asked and answered: of the first bytes of the input.
struct Case {
    path: &'static str,
    reasoning: Reasoning,
    openai: bool,
    usage: bool,
    /// The caller asked for a stream, whatever comes.
    stream: bool,
    piece: usize,
}

const PATHS: [&str; 4] = [
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/embeddings",
    "/v1/models",
];

const LINES: &str = "application/x-ndjson";

impl Case {
    fn of(data: &[u8]) -> Option<(Self, &[u8])> {
        let [what, piece, answer @ ..] = data else {
            return None;
        };
        let case = Self {
            path: PATHS[usize::from(what % 4)],
            reasoning: [
                Reasoning::Keep,
                Reasoning::Unify,
                Reasoning::Drop,
                Reasoning::Split,
            ][usize::from(what / 4 % 4)],
            openai: what / 16 % 2 == 1,
            usage: what / 32 % 2 == 1,
            stream: false,
            piece: usize::from(*piece).max(1),
        };
        Some((case, answer))
    }

    /// What the caller gets of an answer that comes in pieces.
    fn seen(&self, media: &'static str, answer: &[u8], piece: usize) -> Bytes {
        let frames: Vec<_> = answer
            .chunks(piece)
            .map(|piece| Ok::<_, std::io::Error>(Frame::data(Bytes::copy_from_slice(piece))))
            .collect();
        let mut frames = Some(frames);
        let inner = service_fn(|_: Request<RequestBody>| {
            let frames = frames.take().expect("one call");
            let mut response = Response::new(StreamBody::new(stream::iter(frames)));
            let headers = response.headers_mut();
            headers.insert("content-type", media.parse().unwrap());
            if self.openai {
                headers.insert("openai-version", "2020-10-01".parse().unwrap());
            }
            std::future::ready(Ok::<_, Infallible>(ResponseBody::wrap(response)))
        });
        let layer = ResponseNormalizeLayer::builder()
            .reasoning(self.reasoning)
            .build()
            .unwrap();
        let asked = format!(
            r#"{{"model":"m","stream":{},"stream_options":{{"include_usage":{}}}}}"#,
            self.stream, self.usage
        );
        let method = if self.path == "/v1/models" {
            "GET"
        } else {
            "POST"
        };
        let request = Request::builder().method(method).uri(self.path);
        let request = request.body(RequestBody::json(asked)).unwrap();
        let response = layer.layer(inner).oneshot(request).now_or_never();
        let mut body = response.expect("no wait").unwrap().into_body();
        let mut seen = Vec::new();
        // An error may come a poll later, so that what came before it is sent.
        let mut next = || {
            let mut frame = body.frame().now_or_never();
            frame = frame.or_else(|| body.frame().now_or_never());
            frame.expect("no wait")
        };
        while let Some(Ok(frame)) = next() {
            seen.extend_from_slice(&frame.into_data().unwrap_or_default());
        }
        seen.into()
    }

    fn hold(&self, media: &'static str, answer: &[u8]) -> Bytes {
        let whole = self.seen(media, answer, usize::MAX);
        // What is added to a choice or a chunk is bounded, and each takes some bytes itself.
        let bound = (1 << 12) + 256 * answer.len();
        assert!(whole.len() <= bound, "{} of {}", whole.len(), answer.len());
        // Ids and times of our own are as long each time.
        let pieces = self.seen(media, answer, self.piece);
        assert_eq!(pieces.len(), whole.len(), "in pieces of {}", self.piece);
        // A stream of lines becomes one of events, or a body.
        if self.reasoning == Reasoning::Keep && media != LINES && !is_of_two_apis(answer) {
            let again = self.seen(media, &whole, usize::MAX);
            assert_eq!(show(&again), show(&whole), "a second time");
        }
        whole
    }
}

/// A body: JSON stays JSON, and what is none stays as it is, unless it becomes an error. To who asked for a stream it is one that
/// is OpenAI's already.
pub(crate) fn body(data: &[u8]) {
    let Some((case, answer)) = Case::of(data) else {
        return;
    };
    let seen = case.hold("application/json", answer);
    assert!(is_json(&seen) || seen == answer, "{}", show(&seen));
    let asked = Case {
        stream: true,
        ..case
    };
    let stream = asked.seen("application/json", answer, usize::MAX);
    assert!(stream.len() <= (1 << 12) + 256 * answer.len());
    if stream.starts_with(b"data: ") && stream != answer && asked.reasoning == Reasoning::Keep {
        let again = asked.seen("text/event-stream", &stream, usize::MAX);
        assert_eq!(show(&again), show(&stream), "a second time");
    }
}

/// How each API says that it has come to its end.
const FINISHES: [&str; 8] = [
    "finish_reason",
    "finishReason",
    "stop_reason",
    "message_stop",
    "stopReason",
    "messageStop",
    "\"done\"",
    "is_finished",
];

/// A stream: it ends once, and as complete only where it was.
pub(crate) fn events(data: &[u8]) {
    const DONE: &[u8] = b"[DONE]";
    let Some((case, answer)) = Case::of(data) else {
        return;
    };
    let media = if data.first().is_some_and(|what| what / 64 % 2 == 1) {
        LINES
    } else {
        "text/event-stream"
    };
    let seen = case.hold(media, answer);
    let ends = |text: &[u8]| {
        text.windows(DONE.len())
            .filter(|part| *part == DONE)
            .count()
    };
    let added = ends(&seen).saturating_sub(ends(answer));
    let said = String::from_utf8_lossy(answer);
    let finishes = FINISHES.iter().any(|word| said.contains(word));
    assert!(added <= usize::from(finishes), "{}", show(&seen));
}

/// Whether it has events of OpenAI's and of another API. The first tells whose it is, and may be one that is left out: then the next one
/// tells, the second time.
fn is_of_two_apis(answer: &[u8]) -> bool {
    const OTHERS: [&str; 14] = [
        "message_",
        "content_block",
        "ping",
        "message-",
        "content-",
        "tool-",
        "citation-",
        "candidates",
        "promptFeedback",
        "usageMetadata",
        "\"done\"",
        "event_type",
        "messageSt",
        "contentBlock",
    ];
    let said = String::from_utf8_lossy(answer);
    said.contains("choices") && OTHERS.iter().any(|word| said.contains(word))
}

fn is_json(text: &[u8]) -> bool {
    serde_json::from_slice::<&RawValue>(text).is_ok()
}

fn show(text: &[u8]) -> String {
    String::from_utf8_lossy(text).into_owned()
}
