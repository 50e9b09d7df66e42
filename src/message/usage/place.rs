use serde::Deserialize;

/// A member of an answer, of one of its choices, or of an object that wraps an answer.
#[derive(Deserialize, Clone, Copy)]
#[serde(field_identifier)]
pub(super) enum Key {
    #[serde(
        rename = "usage",
        alias = "usageMetadata",
        alias = "usage_metadata",
        alias = "amazon-bedrock-invocationMetrics",
        alias = "meta",
        alias = "token_count",
        alias = "metrics"
    )]
    Usage,
    #[serde(
        rename = "response",
        alias = "message",
        alias = "delta",
        alias = "details",
        alias = "interaction",
        alias = "messageStop",
        alias = "result",
        alias = "x_groq"
    )]
    Wrapper,
    #[serde(rename = "metadata")]
    Metadata,
    #[serde(rename = "choices", alias = "candidates")]
    Choices,
    /// Lists of Amazon's and Mistral's models on Bedrock.
    #[serde(rename = "results", alias = "outputs")]
    Results,
    #[serde(rename = "finish_reason", alias = "finishReason")]
    FinishReason,
    #[serde(
        rename = "stop_reason",
        alias = "stopReason",
        alias = "done_reason",
        alias = "completionReason"
    )]
    StopReason,
    #[serde(rename = "incomplete_details")]
    Incomplete,
    #[serde(rename = "reason")]
    Reason,
    #[serde(rename = "status")]
    Status,
    #[serde(rename = "model", alias = "modelVersion", alias = "model_version")]
    Model,
    #[serde(rename = "service_tier", alias = "serviceTier")]
    Tier,
    #[serde(
        rename = "prompt_eval_count",
        alias = "prompt_token_count",
        alias = "inputTextTokenCount",
        alias = "input_length"
    )]
    Input,
    #[serde(
        rename = "eval_count",
        alias = "generation_token_count",
        alias = "totalOutputTextTokenCount",
        alias = "generated_tokens"
    )]
    Output,
    #[serde(rename = "tokenCount")]
    TokenCount,
    #[serde(other)]
    Other,
}

/// Where in an answer an object stands, and so which of its members mean something.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// The answer itself, or a list of its parts (Gemini without `alt=sse`).
    Top,
    /// Inside as many objects that wrap an answer.
    Wrapped(u8),
    /// An element of `choices` or `candidates`.
    Choice,
    /// An element of `results` or `outputs`.
    Result,
    /// The Responses API's `incomplete_details`.
    Incomplete,
}

impl Place {
    /// Where an object stands that the member `key` of an object here holds, if it is of interest.
    pub(super) fn inside(self, key: Key) -> Option<Self> {
        const DEEPEST: u8 = 2;
        match (self, key) {
            (Self::Top, Key::Wrapper) => Some(Self::Wrapped(1)),
            (Self::Wrapped(depth), Key::Wrapper) if depth < DEEPEST => {
                Some(Self::Wrapped(depth + 1))
            }
            (Self::Top | Self::Wrapped(_), Key::Incomplete) => Some(Self::Incomplete),
            _ => None,
        }
    }

    pub(super) fn is_answer(self) -> bool {
        matches!(self, Self::Top | Self::Wrapped(_))
    }
}
