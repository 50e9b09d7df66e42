//! Cohere's chat of version 1 (<https://docs.cohere.com/v1/reference/chat>, read 2026-11), which streams JSON lines.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    cohere::stop,
    lenient::{List, Object, Text},
    reader::Read,
    sink::{Call, Sink},
};

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow, default)]
    generation_id: Text<'a>,
    #[serde(borrow, default)]
    text: Text<'a>,
    #[serde(borrow, default)]
    tool_calls: List<ToolCall<'a>>,
    #[serde(borrow, default)]
    finish_reason: Text<'a>,
}

#[derive(Deserialize)]
struct ToolCall<'a> {
    #[serde(borrow, default)]
    name: Text<'a>,
    #[serde(borrow, default)]
    parameters: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow, default, rename = "event_type")]
    kind: Text<'a>,
    #[serde(borrow, default)]
    generation_id: Text<'a>,
    #[serde(borrow, default)]
    text: Text<'a>,
    #[serde(borrow, default)]
    tool_calls: List<ToolCall<'a>>,
    #[serde(borrow, default)]
    finish_reason: Text<'a>,
    /// The whole answer once more.
    #[serde(borrow, default)]
    response: Object<Body<'a>>,
}

pub(super) fn body(json: &[u8], sink: &mut dyn Sink) -> Read {
    let body: Body<'_> = serde_json::from_slice(json)?;
    sink.names(body.generation_id.some(), None);
    sink.begin(0);
    sink.text(0, body.text.or_empty());
    say_calls(&body.tool_calls, sink);
    sink.stop(0, stop(&body.finish_reason, None));
    Ok(())
}

/// A stream.
#[derive(Default)]
pub(in crate::normalize) struct Stream {
    /// The tool calls were said.
    called: bool,
}

impl Stream {
    pub(super) fn event(&mut self, json: &[u8], sink: &mut dyn Sink) -> Read {
        let event: Event<'_> = serde_json::from_slice(json)?;
        match event.kind.or_empty() {
            "stream-start" => {
                sink.names(event.generation_id.some(), None);
                sink.begin(0);
            }
            "text-generation" => sink.text(0, event.text.or_empty()),
            "tool-calls-generation" => {
                self.called = true;
                say_calls(&event.tool_calls, sink);
            }
            "stream-end" => {
                let response = event.response.0.as_ref();
                if let Some(response) = response.filter(|_| !self.called) {
                    say_calls(&response.tool_calls, sink);
                }
                let stated = event.finish_reason.some();
                let inner = response.map(|response| &response.finish_reason);
                match inner.filter(|_| stated.is_none()) {
                    Some(reason) => sink.stop(0, stop(reason, None)),
                    None => sink.stop(0, stop(&event.finish_reason, None)),
                }
                sink.done();
            }
            _ => {}
        }
        Ok(())
    }
}

fn say_calls(calls: &List<ToolCall<'_>>, sink: &mut dyn Sink) {
    for (key, call) in (0..).zip(&calls.0) {
        sink.call(Call {
            choice: 0,
            key,
            id: None,
            name: call.name.or_empty(),
            input: call.parameters.map(RawValue::get),
        });
        sink.call_end(0, key);
    }
}
