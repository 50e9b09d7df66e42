//! Whether an event carries output.

use memchr::memmem;
use serde::{Deserialize, de::IgnoredAny};
use serde_json::value::RawValue;

/// Whether the data of a stream's event carries anything that a model made: text, reasoning, a refusal, audio, a tool call. What only
/// opens a stream (a role, an empty delta, `message_start`, a ping) does not.
///
/// Reads the events of OpenAI's chat, completions and Responses, Anthropic, Gemini, Cohere, Ollama and Bedrock by their shape.
pub(crate) fn has_output(data: &[u8]) -> bool {
    if !data.trim_ascii_start().starts_with(b"{") {
        return false;
    }
    serde_json::from_slice::<Event<'_>>(data).is_ok_and(|event| event.has_output())
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow, default)]
    choices: Option<Vec<Choice<'a>>>,
    #[serde(borrow, default)]
    candidates: Option<Vec<Candidate<'a>>>,
    /// The name of an event of the Responses API, Anthropic or Cohere.
    #[serde(borrow, default, rename = "type")]
    kind: Option<&'a RawValue>,
    /// The block that an Anthropic event opens.
    #[serde(borrow, default)]
    content_block: Option<Typed<'a>>,
    /// Ollama's chat, and Bedrock's.
    #[serde(borrow, default)]
    message: Option<&'a RawValue>,
    /// Ollama's generate.
    #[serde(borrow, default)]
    response: Option<&'a RawValue>,
    #[serde(default, rename = "contentBlockDelta")]
    content_block_delta: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(borrow, default)]
    delta: Option<Delta<'a>>,
    #[serde(borrow, default)]
    text: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Delta<'a> {
    #[serde(borrow, default)]
    content: Option<&'a RawValue>,
    #[serde(borrow, default)]
    refusal: Option<&'a RawValue>,
    #[serde(borrow, default)]
    reasoning: Option<&'a RawValue>,
    #[serde(borrow, default)]
    reasoning_content: Option<&'a RawValue>,
    #[serde(borrow, default)]
    tool_calls: Option<&'a RawValue>,
    #[serde(borrow, default)]
    function_call: Option<&'a RawValue>,
    #[serde(borrow, default)]
    audio: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Candidate<'a> {
    #[serde(borrow, default)]
    content: Option<Parts<'a>>,
}

#[derive(Deserialize)]
struct Parts<'a> {
    #[serde(borrow, default)]
    parts: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Typed<'a> {
    #[serde(borrow, rename = "type")]
    kind: &'a RawValue,
}

impl Event<'_> {
    fn has_output(&self) -> bool {
        let chat = || self.choices.iter().flatten().any(Choice::has_output);
        let gemini = || {
            let mut contents = self
                .candidates
                .iter()
                .flatten()
                .filter_map(|candidate| candidate.content.as_ref());
            contents.any(|content| says_something(content.parts))
        };
        let ollama = || {
            let is_text = |raw: &RawValue| raw.get().starts_with('"');
            let response = self.response.filter(|raw| is_text(raw));
            says_something(response)
                || self
                    .message
                    .is_some_and(|message| self.kind.is_none() && speaks(message))
        };
        chat()
            || gemini()
            || self.kind_has_output()
            || self.content_block_delta.is_some()
            || ollama()
    }

    fn kind_has_output(&self) -> bool {
        let Some(kind) = self.kind.map(|kind| kind.get().trim_matches('"')) else {
            return false;
        };
        match kind {
            // Anthropic and Cohere.
            "content_block_delta"
            | "content-delta"
            | "tool-call-start"
            | "tool-call-delta"
            | "tool-plan-delta" => true,
            "content_block_start" => self
                .content_block
                .as_ref()
                .is_some_and(|block| block.kind.get().contains("tool_use")),
            // Responses.
            _ => {
                kind.starts_with("response.") && memmem::find(kind.as_bytes(), b".delta").is_some()
            }
        }
    }
}

impl Choice<'_> {
    fn has_output(&self) -> bool {
        says_something(self.text)
            || self.delta.as_ref().is_some_and(|delta| {
                [
                    delta.content,
                    delta.refusal,
                    delta.reasoning,
                    delta.reasoning_content,
                    delta.tool_calls,
                    delta.function_call,
                    delta.audio,
                ]
                .into_iter()
                .any(says_something)
            })
    }
}

/// Whether a message of Ollama's has text, thinking or a tool call.
fn speaks(message: &RawValue) -> bool {
    serde_json::from_str::<OllamaMessage<'_>>(message.get()).is_ok_and(|message| {
        [message.content, message.thinking, message.tool_calls]
            .into_iter()
            .any(says_something)
    })
}

#[derive(Deserialize)]
struct OllamaMessage<'a> {
    #[serde(borrow, default)]
    content: Option<&'a RawValue>,
    #[serde(borrow, default)]
    thinking: Option<&'a RawValue>,
    #[serde(borrow, default)]
    tool_calls: Option<&'a RawValue>,
}

/// Whether a value is there and is not null, `""`, `[]` or `{}`.
fn says_something(value: Option<&RawValue>) -> bool {
    value.is_some_and(|raw| {
        let text = raw.get();
        !matches!(text, "null" | "\"\"" | "[]" | "{}") && !is_hollow(text)
    })
}

/// `[ ]` and `{ }` with white space in between.
fn is_hollow(text: &str) -> bool {
    let inner = text
        .strip_prefix(['[', '{'])
        .and_then(|text| text.strip_suffix([']', '}']));
    inner.is_some_and(|inner| inner.trim_ascii().is_empty())
}
