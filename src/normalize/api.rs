//! The APIs whose answers are normalised.

use bytes::Bytes;

use super::{
    choice::Place,
    embeddings,
    head::{self, Answer},
    models,
    repairs::Repairs,
};
use crate::message::Endpoint;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Api {
    Chat,
    Completions,
    Embeddings,
    Models,
}

impl Api {
    pub(super) fn of(endpoint: Endpoint) -> Option<Self> {
        match endpoint {
            Endpoint::ChatCompletions => Some(Self::Chat),
            Endpoint::Completions => Some(Self::Completions),
            Endpoint::Embeddings => Some(Self::Embeddings),
            Endpoint::Models => Some(Self::Models),
            _ => None,
        }
    }

    pub(super) fn has_streams(self) -> bool {
        matches!(self, Self::Chat | Self::Completions)
    }

    /// What the ids of its answers begin with.
    pub(super) fn id_prefix(self) -> &'static str {
        match self {
            Self::Completions => "cmpl",
            _ => "chatcmpl",
        }
    }

    /// The `object` of an answer, or of a chunk of one.
    pub(super) fn object(self, in_stream: bool) -> &'static str {
        match self {
            Self::Chat if in_stream => "chat.completion.chunk",
            Self::Chat => "chat.completion",
            Self::Completions => "text_completion",
            Self::Embeddings | Self::Models => "list",
        }
    }

    /// A whole body as OpenAI would have sent it; `None` where it is so already, or is no answer.
    pub(super) fn repaired(
        self,
        text: &[u8],
        answer: &Answer,
        repairs: &mut Repairs,
    ) -> Option<Bytes> {
        match self {
            Self::Chat | Self::Completions => {
                head::repaired(text, answer, &mut Place::Body, repairs)
            }
            Self::Embeddings => embeddings::repaired(text, answer, repairs),
            Self::Models => models::repaired(text, repairs),
        }
    }
}
