//! Bedrock's Converse and ConverseStream
//! (<https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html>, read 2026-11).
//!
//! Its streams are binary. What is read here are their events as an adapter decodes them: `event: contentBlockDelta` with the
//! payload as data, or the payload in a member of that name.

use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    lenient::{List, Object, Text},
    reader::Read,
    sink::{Call, Sink, Stop},
};
use crate::message::ApiError;

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow, default)]
    output: Object<Output<'a>>,
    #[serde(borrow, default, rename = "stopReason")]
    stop_reason: Text<'a>,
}

#[derive(Deserialize)]
struct Output<'a> {
    #[serde(borrow, default)]
    message: Object<Message<'a>>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow, default)]
    content: List<Block<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Block<'a> {
    #[serde(borrow, default)]
    text: Text<'a>,
    #[serde(borrow, default)]
    reasoning_content: Object<Reasoning<'a>>,
    #[serde(borrow, default)]
    tool_use: Object<ToolUse<'a>>,
    /// Text with its sources.
    #[serde(borrow, default)]
    citations_content: Object<Message<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reasoning<'a> {
    /// In a stream.
    #[serde(borrow, default)]
    text: Text<'a>,
    #[serde(borrow, default)]
    reasoning_text: Object<ReasoningText<'a>>,
}

#[derive(Deserialize)]
struct ReasoningText<'a> {
    #[serde(borrow, default)]
    text: Text<'a>,
}

#[derive(Deserialize)]
struct ToolUse<'a> {
    #[serde(borrow, default, rename = "toolUseId")]
    id: Text<'a>,
    #[serde(borrow, default)]
    name: Text<'a>,
    #[serde(borrow, default, rename = "type")]
    kind: Text<'a>,
    /// An object in a body, a fragment of its text in a stream.
    #[serde(borrow, default)]
    input: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event<'a> {
    #[serde(default)]
    content_block_index: u64,
    #[serde(borrow, default)]
    start: Object<Block<'a>>,
    #[serde(borrow, default)]
    delta: Object<Block<'a>>,
    #[serde(borrow, default)]
    stop_reason: Text<'a>,
}

/// The events and exceptions of a stream.
const NAMES: [&str; 11] = [
    "messageStart",
    "contentBlockStart",
    "contentBlockDelta",
    "contentBlockStop",
    "messageStop",
    "metadata",
    "internalServerException",
    "modelStreamErrorException",
    "serviceUnavailableException",
    "throttlingException",
    "validationException",
];

pub(super) fn body(json: &[u8], sink: &mut dyn Sink) -> Read {
    let body: Body<'_> = serde_json::from_slice(json)?;
    sink.begin(0);
    if let Some(message) = body.output.0.and_then(|output| output.message.0) {
        for (key, block) in (0..).zip(&message.content.0) {
            block.say_text(sink);
            if let Some(tool) = &block.tool_use.0 {
                tool.begin(key, tool.input.map(RawValue::get), sink);
                sink.call_end(0, key);
            }
        }
    }
    sink.stop(0, stop(&body.stop_reason));
    Ok(())
}

pub(super) fn event(name: Option<&[u8]>, json: &[u8], sink: &mut dyn Sink) -> Read {
    if let Some(name) = NAMES.iter().find(|known| name == Some(known.as_bytes())) {
        return payload(name, json, sink);
    }
    let wrapped: std::collections::BTreeMap<String, &RawValue> = serde_json::from_slice(json)?;
    for (name, value) in &wrapped {
        if NAMES.contains(&name.as_str()) {
            payload(name, value.get().as_bytes(), sink)?;
        }
    }
    Ok(())
}

fn payload(name: &str, json: &[u8], sink: &mut dyn Sink) -> Read {
    if name.ends_with("Exception") {
        let status = match name {
            "throttlingException" => StatusCode::TOO_MANY_REQUESTS,
            "serviceUnavailableException" => StatusCode::SERVICE_UNAVAILABLE,
            "validationException" => StatusCode::BAD_REQUEST,
            "modelStreamErrorException" => StatusCode::FAILED_DEPENDENCY,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        sink.fail(&ApiError::read(status, &HeaderMap::new(), json));
        return Ok(());
    }
    let event: Event<'_> = serde_json::from_slice(json)?;
    let key = event.content_block_index;
    match name {
        "messageStart" => sink.begin(0),
        "contentBlockStart" => {
            if let Some(tool) = event.start.0.and_then(|block| block.tool_use.0) {
                tool.begin(key, None, sink);
            }
        }
        "contentBlockDelta" => {
            if let Some(delta) = &event.delta.0 {
                delta.say_text(sink);
                if let Some(input) = delta.tool_use.0.as_ref().and_then(|tool| tool.input) {
                    let fragment: Text<'_> = serde_json::from_str(input.get())?;
                    sink.arguments(0, key, fragment.or_empty());
                }
            }
        }
        "contentBlockStop" => sink.call_end(0, key),
        "messageStop" => sink.stop(0, stop(&event.stop_reason)),
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

impl Block<'_> {
    fn say_text(&self, sink: &mut dyn Sink) {
        sink.text(0, self.text.or_empty());
        for cited in self
            .citations_content
            .0
            .iter()
            .flat_map(|cited| &cited.content.0)
        {
            sink.text(0, cited.text.or_empty());
        }
        if let Some(reasoning) = &self.reasoning_content.0 {
            sink.reasoning(0, reasoning.text.or_empty());
            if let Some(text) = &reasoning.reasoning_text.0 {
                sink.reasoning(0, text.text.or_empty());
            }
        }
    }
}

impl ToolUse<'_> {
    /// Tools that Bedrock runs itself are not the caller's.
    fn begin(&self, key: u64, input: Option<&str>, sink: &mut dyn Sink) {
        if self.kind.get() != Some("server_tool_use") {
            sink.call(Call {
                choice: 0,
                key,
                id: self.id.some(),
                name: self.name.or_empty(),
                input,
            });
        }
    }
}
