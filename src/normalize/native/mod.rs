//! Answers in the APIs of others than OpenAI, told in OpenAI's.
//!
//! A chat request that went to Anthropic's Messages, Gemini's `generateContent`, Cohere's chat (both versions), Ollama's own API or
//! Bedrock's Converse is answered in that API's form. The answer itself says which: no host and no path is looked at.
//!
//! A reader of each API says what it reads into a [`Sink`](sink::Sink): text, reasoning, tool calls, why the model stopped. Two
//! sinks write it down as OpenAI would: [`Whole`](whole::Whole) a `chat.completion`, [`Chunks`](chunks::Chunks) the chunks of a stream.

mod anthropic;
mod arguments;
mod bedrock;
mod chunks;
mod cohere;
mod cohere_v1;
mod delta;
mod detect;
mod gathered;
mod gemini;
pub(super) mod lenient;
mod ollama;
mod piece;
mod reader;
pub(super) mod sink;
mod stream;
#[cfg(test)]
mod tests;
mod usage;
mod whole;

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Response, header};

pub(super) use self::{detect::Api, reader::Reader};
use self::{gathered::Gathered, piece::Framer, sink::Sink, stream::Stream, whole::Whole};
use super::{
    NormalizePolicy,
    asked::Asked,
    head::Answer,
    layer::Shared,
    repairs::{Repair, Repairs},
    tally::Tally,
};
use crate::message::{ApiError, Media, ResponseBody, transform, usage::UsageScan};

/// What stands for the names that an answer lacks.
#[derive(Debug, Clone)]
struct Names {
    id: String,
    /// Seconds since the epoch.
    created: u64,
    model: String,
}

impl Names {
    fn of(answer: &Answer) -> Self {
        Self {
            id: answer.id.clone(),
            created: answer.created,
            model: answer.model.clone(),
        }
    }

    fn none() -> Self {
        Self {
            id: String::new(),
            created: 0,
            model: String::new(),
        }
    }
}

/// The body `text` as a `chat.completion`, or the error that it is where the model failed; `None` where it is in none of the APIs
/// known here.
pub(super) fn body(
    text: &[u8],
    answer: &Answer,
    repairs: &mut Repairs,
) -> Option<Result<Bytes, ApiError>> {
    let api = Api::of_body(text)?;
    let mut usage = UsageScan::default();
    usage.body(text);
    let mut whole = Whole::new(Names::of(answer));
    Reader::new(api).body(text, &mut whole).ok()?;
    repairs.add(Repair::Native);
    whole.done();
    Some(whole.finish(usage.usage().as_ref(), repairs))
}

/// A stream as OpenAI's events, if it is in one of the APIs known here; any other passes as it came.
///
/// JSON lines become events too, whatever they say, or one body for a caller who asked for no stream: Ollama streams unless told
/// not to, OpenAI only when told to.
pub(super) fn stream(
    response: Response<ResponseBody>,
    answer: &Answer,
    asked: &Asked,
    shared: &Arc<Shared>,
) -> Response<ResponseBody> {
    let (names, policy) = (Names::of(answer), shared.settings.policy);
    let tally = Tally::new(Arc::clone(shared));
    match response.body().media() {
        Media::EventStream => {
            let stream = Stream::new(Framer::of_events(), names, asked.usage, policy, tally);
            transform(response, stream)
        }
        Media::JsonLines if policy == NormalizePolicy::Observe => response,
        Media::JsonLines if asked.stream => {
            let stream = Stream::new(Framer::of_lines(), names, asked.usage, policy, tally);
            let media = HeaderValue::from_static("text/event-stream");
            restated(transform(response, stream), Media::EventStream, media)
        }
        Media::JsonLines => {
            let gathered = Gathered::new(names, policy, tally);
            let media = HeaderValue::from_static("application/json");
            restated(transform(response, gathered), Media::Json, media)
        }
        Media::Json | Media::Opaque => response,
    }
}

/// States what the body is by now.
fn restated(
    mut response: Response<ResponseBody>,
    media: Media,
    content_type: HeaderValue,
) -> Response<ResponseBody> {
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, content_type);
    // What watches the answer reads the upstream's bytes, by the media that it finds when it is first registered.
    response.map(|body| body.turned_into(media))
}
