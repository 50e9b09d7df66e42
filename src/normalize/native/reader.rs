//! One reader for each API.

use super::{
    anthropic, bedrock, cohere, cohere_v1, detect::Api, gemini::Gemini, ollama::Ollama, sink::Sink,
};

/// Reads one answer.
pub(in crate::normalize) enum Reader {
    Anthropic,
    Gemini(Gemini),
    Cohere,
    CohereV1(cohere_v1::Stream),
    Ollama(Ollama),
    Bedrock,
}

/// What cannot be read says nothing, and what follows it is not to be trusted.
pub(in crate::normalize) type Read = Result<(), serde_json::Error>;

impl Reader {
    pub(in crate::normalize) fn new(api: Api) -> Self {
        match api {
            Api::Anthropic => Self::Anthropic,
            Api::Gemini => Self::Gemini(Gemini::default()),
            Api::Cohere => Self::Cohere,
            Api::CohereV1 => Self::CohereV1(cohere_v1::Stream::default()),
            Api::Ollama => Self::Ollama(Ollama::default()),
            Api::Bedrock => Self::Bedrock,
        }
    }

    /// Reads a whole body.
    pub(in crate::normalize) fn body(mut self, json: &[u8], sink: &mut dyn Sink) -> Read {
        match &mut self {
            Self::Anthropic => anthropic::body(json, sink),
            Self::Gemini(gemini) => gemini.body(json, sink),
            Self::Cohere => cohere::body(json, sink),
            Self::CohereV1(_) => cohere_v1::body(json, sink),
            Self::Ollama(ollama) => ollama.read(json, sink),
            Self::Bedrock => bedrock::body(json, sink),
        }
    }

    /// Reads the next event of a stream, or line.
    pub(in crate::normalize) fn event(
        &mut self,
        name: Option<&[u8]>,
        json: &[u8],
        sink: &mut dyn Sink,
    ) -> Read {
        match self {
            Self::Anthropic => anthropic::event(json, sink),
            Self::Gemini(gemini) => gemini.event(json, sink),
            Self::Cohere => cohere::event(json, sink),
            Self::CohereV1(stream) => stream.event(json, sink),
            Self::Ollama(ollama) => ollama.read(json, sink),
            Self::Bedrock => bedrock::event(name, json, sink),
        }
    }

    /// Says what was held back until it was known to be the last word.
    pub(in crate::normalize) fn end(&mut self, sink: &mut dyn Sink) {
        if let Self::Gemini(gemini) = self {
            gemini.end(sink);
        }
    }
}
