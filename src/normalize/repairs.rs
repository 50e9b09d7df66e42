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
    /// Thoughts stood elsewhere than they were wanted.
    Reasoning = "reasoning",
    /// A list of embeddings or models was missing, under another name or of another shape.
    Data = "data",
    /// `owned_by` of a model was missing.
    OwnedBy = "owned_by",
    /// `[DONE]` was missing from a stream that had ended.
    Done = "done",
    /// An error had another shape than OpenAI's, or stood in an answer of status 200.
    Error = "error",
    /// An error's status, or its `code`, said less than OpenAI's would have.
    ErrorStatus = "error_status",
    /// JSON came under another content type.
    ContentType = "content_type",
    /// The answer came as one body to a caller who had asked for a stream.
    Stream = "stream",
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
pub(super) struct Repairs {
    set: u32,
    first: Option<Fault>,
    at: Place,
    failed: Option<&'static str>,
}

/// What is wrong, and where: for whoever refuses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fault {
    repair: Repair,
    at: Place,
}

/// The part of an answer that is looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Place {
    choice: Option<usize>,
    tool_call: Option<usize>,
}

impl Repairs {
    pub(super) fn add(&mut self, repair: Repair) {
        self.set |= 1 << repair as u32;
        let at = self.at;
        self.first.get_or_insert(Fault { repair, at });
    }

    /// Notes a change that was asked for: whoever refuses what is wrong does not refuse this.
    pub(super) fn want(&mut self, repair: Repair) {
        self.set |= 1 << repair as u32;
    }

    pub(super) fn merge(&mut self, other: Self) {
        self.set |= other.set;
        self.first = self.first.or(other.first);
        self.failed = self.failed.or(other.failed);
    }

    pub(super) fn without(self, other: Self) -> Self {
        Self {
            set: self.set & !other.set,
            ..self
        }
    }

    pub(super) fn iter(self) -> impl Iterator<Item = Repair> {
        let holds = move |repair: &Repair| self.set & (1 << *repair as u32) != 0;
        Repair::ALL.iter().copied().filter(holds)
    }

    pub(super) fn is_empty(self) -> bool {
        self.set == 0
    }

    /// What comes next is found in this choice.
    pub(super) fn in_choice(&mut self, choice: Option<usize>) {
        self.at = Place {
            choice,
            tool_call: None,
        };
    }

    /// What comes next is found in this tool call of the choice.
    pub(super) fn in_tool_call(&mut self, tool_call: Option<usize>) {
        self.at.tool_call = tool_call;
    }

    /// What was found first.
    pub(super) fn first(self) -> Option<Fault> {
        self.first
    }

    /// Notes that a choice ended in a failure, by the provider's word for it.
    pub(super) fn fail(&mut self, word: &'static str) {
        self.add(Repair::Error);
        self.failed.get_or_insert(word);
    }

    /// The provider's word for the failure in which a choice ended.
    pub(super) fn failed(self) -> Option<&'static str> {
        self.failed
    }
}

impl fmt::Display for Repairs {
    /// The names, as the span has them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, repair) in self.iter().enumerate() {
            let comma = if at > 0 { "," } else { "" };
            write!(f, "{comma}{repair}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.repair)?;
        match (self.at.choice, self.at.tool_call) {
            (Some(choice), Some(call)) => write!(f, " at choices[{choice}], tool call {call}"),
            (Some(choice), None) => write!(f, " at choices[{choice}]"),
            (None, _) => Ok(()),
        }
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
