//! What is repaired, by name.

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
};

macro_rules! repairs {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// One way in which an answer was not OpenAI's.
        #[non_exhaustive]
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Repair { $($(#[$doc])* $name,)* }

        impl Repair {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The name in metrics and logs.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

repairs! {
    /// `id` was missing or empty.
    Id = "id",
    /// `object` was missing or another's.
    Object = "object",
    /// `created` was missing or not a whole number.
    Created = "created",
    /// `model` was missing or empty.
    Model = "model",
    /// `choices` was missing, or no list.
    Choices = "choices",
    /// A choice or a tool call's fragment had no `index`.
    Index = "index",
    /// A `role` was missing, `null` or not `assistant`.
    Role = "role",
    /// `content` was missing, or a list of parts.
    Content = "content",
    /// `refusal` was missing or not text.
    Refusal = "refusal",
    /// `logprobs` was missing or lacked members.
    Logprobs = "logprobs",
    /// A member that OpenAI leaves out was `null` or an empty placeholder.
    Placeholder = "placeholder",
    /// `message` stood in a chunk, or `delta` in a body; or the right one was missing.
    MessageAndDelta = "message_and_delta",
    /// `finish_reason` was missing or a word of the provider's own.
    FinishReason = "finish_reason",
    /// `finish_reason` was a word that is not known: it became `stop`.
    FinishReasonUnknown = "finish_reason_unknown",
    /// `finish_reason` was `stop` although tools were called.
    FinishReasonToolCalls = "finish_reason_tool_calls",
    /// A tool call's `id`, `type` or `function` was missing, empty or of another form.
    ToolCall = "tool_call",
    /// `usage` had other fields, or other sums, than OpenAI's.
    Usage = "usage",
    /// Usage stood beside choices, in several chunks, or where nobody had asked for it.
    UsagePlace = "usage_place",
    /// `service_tier` or an annotation had a value that OpenAI does not have.
    Extra = "extra",
    /// `[DONE]` was missing from a stream that had ended.
    Done = "done",
    /// The answer was in another API's form: Anthropic's, Gemini's, Cohere's, Ollama's or Bedrock's own.
    Native = "native",
}

impl fmt::Display for Repair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The repairs of one text.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Repairs(u32);

impl Repairs {
    pub(super) fn add(&mut self, repair: Repair) {
        self.0 |= 1 << repair as u32;
    }

    pub(super) fn merge(&mut self, other: Self) {
        self.0 |= other.0;
    }

    pub(super) fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub(super) fn iter(self) -> impl Iterator<Item = Repair> {
        let holds = move |repair: &Repair| self.0 & (1 << *repair as u32) != 0;
        Repair::ALL.iter().copied().filter(holds)
    }
}

/// How many answers needed each repair; a stream counts once for each.
#[derive(Debug, Default)]
pub(super) struct Counters([AtomicU64; Repair::ALL.len()]);

impl Counters {
    pub(super) fn count(&self, repairs: Repairs) {
        for repair in repairs.iter() {
            if let Some(counter) = self.0.get(repair as usize) {
                counter.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    pub(super) fn snapshot(&self) -> impl Iterator<Item = (Repair, u64)> {
        let counts = self.0.iter().map(|counter| counter.load(Ordering::Relaxed));
        Repair::ALL.iter().copied().zip(counts)
    }
}
