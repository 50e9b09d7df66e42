//! Ollama's own API, `/api/chat` and `/api/generate` (<https://docs.ollama.com/api>, read 2026-11): a body, or JSON lines.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    lenient::{List, Object, Text},
    reader::Read,
    sink::{Call, Sink, Stop},
};

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow, default)]
    model: Text<'a>,
    #[serde(borrow, default)]
    message: Object<Message<'a>>,
    /// The text of `/api/generate`.
    #[serde(borrow, default)]
    response: Text<'a>,
    #[serde(borrow, default)]
    thinking: Text<'a>,
    #[serde(default)]
    done: bool,
    #[serde(borrow, default)]
    done_reason: Text<'a>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow, default)]
    content: Text<'a>,
    #[serde(borrow, default)]
    thinking: Text<'a>,
    #[serde(borrow, default)]
    tool_calls: List<ToolCall<'a>>,
}

#[derive(Deserialize)]
struct ToolCall<'a> {
    #[serde(borrow, default)]
    id: Text<'a>,
    #[serde(borrow, default)]
    function: Object<Function<'a>>,
}

#[derive(Deserialize)]
struct Function<'a> {
    #[serde(borrow, default)]
    name: Text<'a>,
    /// An object.
    #[serde(borrow, default)]
    arguments: Option<&'a RawValue>,
}

/// A body, or a stream, whose lines are bodies too.
#[derive(Default)]
pub(in crate::normalize) struct Ollama {
    calls: u64,
}

impl Ollama {
    pub(super) fn read(&mut self, json: &[u8], sink: &mut dyn Sink) -> Read {
        let answer: Answer<'_> = serde_json::from_slice(json)?;
        sink.names(None, answer.model.some());
        sink.begin(0);
        sink.reasoning(0, answer.thinking.or_empty());
        sink.text(0, answer.response.or_empty());
        if let Some(message) = &answer.message.0 {
            sink.reasoning(0, message.thinking.or_empty());
            sink.text(0, message.content.or_empty());
            for call in &message.tool_calls.0 {
                self.say_call(call, sink);
            }
        }
        if answer.done {
            let stop = Stop {
                word: answer.done_reason.some(),
                message: None,
            };
            sink.stop(0, stop);
            sink.done();
        }
        Ok(())
    }

    fn say_call(&mut self, call: &ToolCall<'_>, sink: &mut dyn Sink) {
        let Some(function) = &call.function.0 else {
            return;
        };
        let key = self.calls;
        self.calls += 1;
        sink.call(Call {
            choice: 0,
            key,
            id: call.id.some(),
            name: function.name.or_empty(),
            input: function.arguments.map(RawValue::get),
        });
        sink.call_end(0, key);
    }
}
