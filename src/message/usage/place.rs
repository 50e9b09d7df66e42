/// A member of an answer, of one of its choices, or of an object that wraps an answer.
#[derive(Clone, Copy)]
pub(super) enum Key {
    Usage,
    Wrapper,
    Metadata,
    Choices,
    /// Lists of Amazon's and Mistral's models on Bedrock.
    Results,
    FinishReason,
    StopReason,
    Incomplete,
    Reason,
    Status,
    Model,
    Tier,
    Input,
    Output,
    TokenCount,
    /// Venice's.
    Cost,
    Other,
}

impl Key {
    /// What the member with this name means.
    pub(super) fn of(name: &[u8]) -> Self {
        match name {
            b"usage"
            | b"usageMetadata"
            | b"usage_metadata"
            | b"amazon-bedrock-invocationMetrics"
            | b"meta"
            | b"token_count"
            | b"metrics" => Self::Usage,
            b"response" | b"message" | b"delta" | b"details" | b"interaction" | b"messageStop"
            | b"result" | b"x_groq" => Self::Wrapper,
            b"metadata" => Self::Metadata,
            b"choices" | b"candidates" => Self::Choices,
            b"results" | b"outputs" => Self::Results,
            b"finish_reason" | b"finishReason" => Self::FinishReason,
            b"stop_reason" | b"stopReason" | b"done_reason" | b"completionReason" => {
                Self::StopReason
            }
            b"incomplete_details" => Self::Incomplete,
            b"reason" => Self::Reason,
            b"status" => Self::Status,
            b"model" | b"modelVersion" | b"model_version" => Self::Model,
            b"service_tier" | b"serviceTier" => Self::Tier,
            b"prompt_eval_count"
            | b"prompt_token_count"
            | b"inputTextTokenCount"
            | b"input_length" => Self::Input,
            b"eval_count"
            | b"generation_token_count"
            | b"totalOutputTextTokenCount"
            | b"generated_tokens" => Self::Output,
            b"tokenCount" => Self::TokenCount,
            b"cost" => Self::Cost,
            _ => Self::Other,
        }
    }
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
