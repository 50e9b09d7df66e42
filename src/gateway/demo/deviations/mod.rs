//! How real providers deviate from OpenAI's schema: each a small change to an honest answer.
//!
//! To add one: a row in [`DEVIATIONS`], and a function for each thing that it changes.

mod gateways;
mod labs;
mod mistral;
mod open_weights;
mod parts;
mod speed;

use serde_json::Value;

use http::StatusCode;

use super::{
    answer::Answer,
    failure::Failure,
    fields::Fields,
    reply::{Event, Json, Stream},
};

/// The habits of one provider.
#[derive(Debug)]
pub(super) struct Deviation {
    /// The model that has them.
    pub(super) model: &'static str,
    pub(super) about: &'static str,
    /// Requests that OpenAI takes and this provider does not.
    pub(super) refuse: fn(Fields<'_>) -> Option<Failure>,
    /// Changes a chat completion.
    pub(super) completion: fn(&Answer, &mut Json),
    /// Changes a streamed chat completion.
    pub(super) stream: fn(&Answer, &mut Stream),
    /// Changes an error that is already in OpenAI's shape.
    pub(super) error: fn(&Failure, &mut Json),
    /// The event that breaks a stream off.
    pub(super) error_event: fn(&Failure, Value) -> Event,
}

/// OpenAI itself, and what a deviation does not mention.
pub(super) const HONEST: Deviation = Deviation {
    model: "",
    about: "",
    refuse: |_| None,
    completion: |_, _| {},
    stream: |_, _| {},
    error: |_, _| {},
    error_event: |_, error| Event::Data(error),
};

/// Every provider that the deviant upstream imitates.
pub(super) static DEVIATIONS: [Deviation; 14] = [
    Deviation {
        model: "deviant-perplexity",
        about: "CRLF, the whole message beside each delta, cumulative usage on every chunk, no [DONE].",
        completion: gateways::perplexity_completion,
        stream: gateways::perplexity_stream,
        error: gateways::perplexity_error,
        ..HONEST
    },
    Deviation {
        model: "deviant-groq",
        about: "Usage up to three times in a stream, x_groq, errors as `event: error`.",
        completion: speed::groq_completion,
        stream: speed::groq_stream,
        error: speed::groq_error,
        error_event: speed::groq_error_event,
        ..HONEST
    },
    Deviation {
        model: "deviant-groq-tool-error",
        about: "As deviant-groq, but every stream breaks off with `event: error` tool_use_failed.",
        completion: speed::groq_completion,
        stream: speed::groq_tool_error,
        error: speed::groq_error,
        error_event: speed::groq_error_event,
        ..HONEST
    },
    Deviation {
        model: "deviant-openrouter",
        about: "Keep-alive comments, whitespace before JSON, native_finish_reason, cost in an unasked usage.",
        completion: gateways::openrouter_completion,
        stream: gateways::openrouter_stream,
        error: gateways::openrouter_error,
        error_event: gateways::openrouter_error_event,
        ..HONEST
    },
    Deviation {
        model: "deviant-mistral",
        about: "Content as a list of thinking and text, padding, unasked usage, stream_options refused with 422.",
        refuse: mistral::refuse,
        completion: mistral::completion,
        stream: mistral::stream,
        error: mistral::error,
        ..HONEST
    },
    Deviation {
        model: "deviant-azure",
        about: "A first chunk with no choices but prompt_filter_results, a last one without a delta.",
        completion: gateways::azure_completion,
        stream: gateways::azure_stream,
        error: gateways::azure_error,
        ..HONEST
    },
    Deviation {
        model: "deviant-gemini",
        about: "Tool deltas without an index and with an empty id, thinking missing from completion_tokens.",
        completion: labs::gemini_completion,
        stream: labs::gemini_stream,
        error: labs::gemini_error,
        ..HONEST
    },
    Deviation {
        model: "deviant-deepseek",
        about: "Blank lines before JSON, keep-alive comments, usage:null and then usage on the last choice.",
        completion: labs::deepseek_completion,
        stream: labs::deepseek_stream,
        ..HONEST
    },
    Deviation {
        model: "deviant-together",
        about: "finish_reason eos, a top-level prompt, 403 for a prompt that is too long.",
        completion: open_weights::together_completion,
        stream: open_weights::together_stream,
        error: open_weights::together_error,
        ..HONEST
    },
    Deviation {
        model: "deviant-zai",
        about: "No object, finish_reason absent until the end, a content type without a space.",
        completion: open_weights::zai_completion,
        stream: open_weights::zai_stream,
        error: open_weights::zai_error,
        ..HONEST
    },
    Deviation {
        model: "deviant-ollama",
        about: "A whole tool call per delta, the role on every delta, usage without details.",
        completion: open_weights::ollama_completion,
        stream: open_weights::ollama_stream,
        error: open_weights::ollama_error,
        ..HONEST
    },
    Deviation {
        model: "deviant-cerebras",
        about: "No [DONE], finish_reason absent until the end, time_info, unasked usage.",
        completion: speed::cerebras_completion,
        stream: speed::cerebras_stream,
        error: speed::cerebras_error,
        ..HONEST
    },
    Deviation {
        model: "deviant-xai",
        about: "completion_tokens excludes reasoning_tokens, a whole tool call per delta, errors as a string.",
        completion: labs::xai_completion,
        stream: labs::xai_stream,
        error: labs::xai_error,
        ..HONEST
    },
    Deviation {
        model: "deviant-lmstudio",
        about: "A prompt that is too long is answered with 200 and an error body.",
        error: open_weights::lmstudio_error,
        ..HONEST
    },
];

impl Deviation {
    pub(super) fn fail(&self, failure: &Failure) -> Json {
        let mut json = Json {
            status: failure.status,
            retry_after: failure.retry_after,
            ..Json::ok(failure.openai())
        };
        (self.error)(failure, &mut json);
        json
    }

    /// Ends a stream with this provider's error after `events` events, if it has that many.
    pub(super) fn break_stream(&self, stream: &mut Stream, events: usize) {
        if events > stream.events.len() {
            return;
        }
        let failure = Failure::on_request(StatusCode::INTERNAL_SERVER_ERROR);
        stream.events.truncate(events);
        stream
            .events
            .push((self.error_event)(&failure, self.fail(&failure).value));
    }
}
