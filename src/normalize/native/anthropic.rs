//! Anthropic's Messages (<https://platform.claude.com/docs/en/api/messages>, read 2026-11).
//!
//! Tools that Anthropic runs itself, what they answer, signatures, citations and redacted thinking have no place in OpenAI's form.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    lenient::{List, Object, Text},
    reader::Read,
    sink::{Call, Sink, Stop},
};

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow, default)]
    id: Text<'a>,
    #[serde(borrow, default)]
    model: Text<'a>,
    #[serde(borrow, default)]
    content: List<Block<'a>>,
    #[serde(borrow, default)]
    stop_reason: Text<'a>,
}

#[derive(Deserialize)]
struct Block<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Text<'a>,
    #[serde(borrow, default)]
    text: Text<'a>,
    #[serde(borrow, default)]
    thinking: Text<'a>,
    #[serde(borrow, default)]
    id: Text<'a>,
    #[serde(borrow, default)]
    name: Text<'a>,
    #[serde(borrow, default)]
    input: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Text<'a>,
    #[serde(borrow, default)]
    message: Object<Message<'a>>,
    #[serde(default)]
    index: u64,
    #[serde(borrow, default)]
    content_block: Object<Block<'a>>,
    #[serde(borrow, default)]
    delta: Object<Delta<'a>>,
}

#[derive(Deserialize)]
struct Delta<'a> {
    #[serde(borrow, default)]
    text: Text<'a>,
    #[serde(borrow, default)]
    thinking: Text<'a>,
    #[serde(borrow, default)]
    partial_json: Text<'a>,
    #[serde(borrow, default)]
    stop_reason: Text<'a>,
}

pub(super) fn body(json: &[u8], sink: &mut dyn Sink) -> Read {
    let message: Message<'_> = serde_json::from_slice(json)?;
    message.say_names(sink);
    for (key, block) in (0..).zip(&message.content.0) {
        block.say(key, sink);
        sink.call_end(0, key);
    }
    sink.stop(0, stop(&message.stop_reason));
    Ok(())
}

pub(super) fn event(json: &[u8], sink: &mut dyn Sink) -> Read {
    let event: Event<'_> = serde_json::from_slice(json)?;
    let key = event.index;
    match event.kind.or_empty() {
        "message_start" => {
            if let Some(message) = &event.message.0 {
                message.say_names(sink);
            }
        }
        "content_block_start" => {
            if let Some(block) = &event.content_block.0 {
                block.say(key, sink);
            }
        }
        "content_block_delta" => {
            if let Some(delta) = &event.delta.0 {
                sink.text(0, delta.text.or_empty());
                sink.reasoning(0, delta.thinking.or_empty());
                sink.arguments(0, key, delta.partial_json.or_empty());
            }
        }
        "content_block_stop" => sink.call_end(0, key),
        "message_delta" => {
            let delta = event.delta.0.as_ref();
            if let Some(reason) = delta.map(|delta| &delta.stop_reason)
                && reason.some().is_some()
            {
                sink.stop(0, stop(reason));
            }
        }
        "message_stop" => sink.done(),
        // Others may be added at any time.
        _ => {}
    }
    Ok(())
}

fn stop<'a>(reason: &'a Text<'_>) -> Stop<'a> {
    Stop {
        word: reason.some(),
        message: None,
    }
}

impl Message<'_> {
    fn say_names(&self, sink: &mut dyn Sink) {
        sink.names(self.id.some(), self.model.some());
        sink.begin(0);
    }
}

impl Block<'_> {
    fn say(&self, key: u64, sink: &mut dyn Sink) {
        match self.kind.or_empty() {
            "text" => sink.text(0, self.text.or_empty()),
            "thinking" => sink.reasoning(0, self.thinking.or_empty()),
            "tool_use" => sink.call(Call {
                choice: 0,
                key,
                id: self.id.some(),
                name: self.name.or_empty(),
                input: self.input.map(RawValue::get),
            }),
            _ => {}
        }
    }
}
