//! Cohere's chat of version 2 (<https://docs.cohere.com/reference/chat>, read 2026-11).
//!
//! A tool plan is what the model thinks of its tools, so it is told as reasoning. Citations have no place in OpenAI's form.

use serde::Deserialize;

use super::{
    lenient::{List, Object, Text},
    reader::Read,
    sink::{Call, Sink, Stop},
};

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow, default)]
    id: Text<'a>,
    #[serde(borrow, default)]
    message: Object<Message<'a>>,
    #[serde(borrow, default)]
    finish_reason: Text<'a>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow, default)]
    content: List<Content<'a>>,
    #[serde(borrow, default)]
    tool_plan: Text<'a>,
    #[serde(borrow, default)]
    tool_calls: List<ToolCall<'a>>,
}

#[derive(Deserialize)]
struct Content<'a> {
    #[serde(borrow, default)]
    text: Text<'a>,
    #[serde(borrow, default)]
    thinking: Text<'a>,
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
    #[serde(borrow, default)]
    arguments: Text<'a>,
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Text<'a>,
    #[serde(borrow, default)]
    id: Text<'a>,
    #[serde(default)]
    index: u64,
    #[serde(borrow, default)]
    delta: Object<Delta<'a>>,
}

#[derive(Deserialize)]
struct Delta<'a> {
    #[serde(borrow, default)]
    message: Object<Fragment<'a>>,
    #[serde(borrow, default)]
    finish_reason: Text<'a>,
    #[serde(borrow, default)]
    error: Text<'a>,
}

/// One object where a message has a list.
#[derive(Deserialize)]
struct Fragment<'a> {
    #[serde(borrow, default)]
    content: Object<Content<'a>>,
    #[serde(borrow, default)]
    tool_plan: Text<'a>,
    #[serde(borrow, default)]
    tool_calls: Object<ToolCall<'a>>,
}

pub(super) fn body(json: &[u8], sink: &mut dyn Sink) -> Read {
    let body: Body<'_> = serde_json::from_slice(json)?;
    sink.names(body.id.some(), None);
    sink.begin(0);
    if let Some(message) = &body.message.0 {
        sink.reasoning(0, message.tool_plan.or_empty());
        for content in &message.content.0 {
            content.say(sink);
        }
        for (key, call) in (0..).zip(&message.tool_calls.0) {
            call.begin(key, sink);
            sink.call_end(0, key);
        }
    }
    sink.stop(0, stop(&body.finish_reason, None));
    Ok(())
}

pub(super) fn event(json: &[u8], sink: &mut dyn Sink) -> Read {
    let event: Event<'_> = serde_json::from_slice(json)?;
    if event.kind.get() == Some("message-start") {
        sink.names(event.id.some(), None);
        sink.begin(0);
    }
    let delta = event.delta.0.as_ref();
    if let Some(fragment) = delta.and_then(|delta| delta.message.0.as_ref()) {
        sink.reasoning(0, fragment.tool_plan.or_empty());
        if let Some(content) = &fragment.content.0 {
            content.say(sink);
        }
        if let Some(call) = &fragment.tool_calls.0 {
            if event.kind.get() == Some("tool-call-start") {
                call.begin(event.index, sink);
            } else if let Some(function) = &call.function.0 {
                sink.arguments(0, event.index, function.arguments.or_empty());
            }
        }
    }
    match event.kind.or_empty() {
        "tool-call-end" => sink.call_end(0, event.index),
        "message-end" => {
            if let Some(delta) = delta {
                sink.stop(0, stop(&delta.finish_reason, delta.error.some()));
            }
            sink.done();
        }
        _ => {}
    }
    Ok(())
}

/// Why Cohere stopped, in either version of its API.
pub(super) fn stop<'a>(reason: &'a Text<'_>, message: Option<&'a str>) -> Stop<'a> {
    let word = match reason.some() {
        // The model's window was full.
        Some("ERROR_LIMIT") => Some("MAX_TOKENS"),
        // Neither is a stop of the model's own.
        Some("TIMEOUT" | "USER_CANCEL") => Some("ERROR"),
        word => word,
    };
    Stop { word, message }
}

impl Content<'_> {
    fn say(&self, sink: &mut dyn Sink) {
        sink.reasoning(0, self.thinking.or_empty());
        sink.text(0, self.text.or_empty());
    }
}

impl ToolCall<'_> {
    fn begin(&self, key: u64, sink: &mut dyn Sink) {
        let function = self.function.0.as_ref();
        sink.call(Call {
            choice: 0,
            key,
            id: self.id.some(),
            name: function.map_or("", |function| function.name.or_empty()),
            input: None,
        });
        sink.arguments(
            0,
            key,
            function.map_or("", |function| function.arguments.or_empty()),
        );
    }
}
