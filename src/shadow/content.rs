//! What an answer says, read after the fact from OpenAI's shapes and Anthropic's.

use bytes::Bytes;
use serde_json::{Map, Value};

use super::ToolCall;
use crate::{message::Media, wire::sse::Framer};

/// Calls that are kept of one answer.
const MAX_CALLS: usize = 32;
/// Bytes that are kept of a tool's name.
const MAX_NAME: usize = 64;

/// What is told of an answer.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Content {
    pub(super) text: String,
    pub(super) deviations: Vec<Box<str>>,
    calls: Vec<Call>,
}

#[derive(Debug, Default, PartialEq)]
struct Call {
    name: String,
    arguments: String,
}

impl Content {
    /// Reads what was seen of an answer's bytes; nothing of what is neither JSON nor a stream of events.
    pub(super) fn read(media: Media, bytes: &[u8], is_chat: bool) -> Self {
        let mut content = Self::default();
        match media {
            Media::Json => match serde_json::from_slice::<Value>(bytes) {
                Ok(value) => content.whole(&value, is_chat),
                Err(_) => content.deviations.push("not json".into()),
            },
            Media::EventStream => content.stream(bytes, is_chat),
            _ => {}
        }
        content
    }

    pub(super) fn tool_calls(&self) -> Vec<ToolCall> {
        let calls = self.calls.iter().take(MAX_CALLS);
        calls
            .map(|call| ToolCall {
                name: head(&call.name, MAX_NAME).into(),
                valid_arguments: serde_json::from_str::<Map<String, Value>>(&call.arguments)
                    .is_ok(),
            })
            .collect()
    }

    fn whole(&mut self, value: &Value, is_chat: bool) {
        if is_chat {
            for (pointer, deviation) in [
                ("/id", "no id"),
                ("/model", "no model"),
                ("/choices/0/message", "no choices"),
                ("/choices/0/finish_reason", "no finish reason"),
                ("/usage", "no usage"),
            ] {
                if value.pointer(pointer).is_none_or(Value::is_null) {
                    self.deviations.push(deviation.into());
                }
            }
        }
        if let Some(message) = value.pointer("/choices/0/message") {
            self.message(message);
        } else if let Some(items) = value.get("output").and_then(Value::as_array) {
            for item in items {
                match item.get("content").and_then(Value::as_array) {
                    Some(parts) => self.parts(parts),
                    None if item.get("name").is_some() => self.call(item, "arguments"),
                    None => {}
                }
            }
        } else if let Some(parts) = value.get("content").and_then(Value::as_array) {
            self.parts(parts);
        }
    }

    fn stream(&mut self, bytes: &[u8], is_chat: bool) {
        let chunk = Bytes::copy_from_slice(bytes);
        let mut framer = Framer::with_cap(16 << 20);
        let mut frames = framer.push(&chunk);
        let (mut chunks, mut finished) = (0, false);
        while let Ok(Some(frame)) = frames.next() {
            let Some(data) = frame.data() else { continue };
            if data.trim_ascii() == b"[DONE]" {
                continue;
            }
            let Ok(event) = serde_json::from_slice::<Value>(&data) else {
                self.deviations.push("an event is not json".into());
                return;
            };
            chunks += u32::from(event.pointer("/choices/0/delta").is_some());
            finished |= event
                .pointer("/choices/0/finish_reason")
                .is_some_and(Value::is_string);
            self.event(&event);
        }
        if is_chat && chunks == 0 {
            self.deviations.push("no choices".into());
        }
        if is_chat && !finished {
            self.deviations.push("no finish reason".into());
        }
    }

    fn event(&mut self, event: &Value) {
        if let Some(delta) = event.pointer("/choices/0/delta") {
            self.push_text(delta.get("content"));
            for call in delta
                .get("tool_calls")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
            {
                if let Some(name) = call.pointer("/function/name").and_then(Value::as_str)
                    && !name.is_empty()
                {
                    self.begin_call(name);
                }
                self.push_arguments(call.pointer("/function/arguments"));
            }
            return;
        }
        match event.get("type").and_then(Value::as_str) {
            Some("content_block_start") => {
                let name = event.pointer("/content_block/name").and_then(Value::as_str);
                if let Some(name) = name {
                    self.begin_call(name);
                }
            }
            Some("content_block_delta") => {
                self.push_text(event.pointer("/delta/text"));
                self.push_arguments(event.pointer("/delta/partial_json"));
            }
            Some("response.output_text.delta") => self.push_text(event.get("delta")),
            Some("response.output_item.done") => {
                let item = event.get("item");
                if let Some(item) = item.filter(|item| item.get("arguments").is_some()) {
                    self.call(item, "arguments");
                }
            }
            _ => {}
        }
    }

    fn message(&mut self, message: &Value) {
        match message.get("content") {
            Some(Value::Array(parts)) => self.parts(parts),
            content => self.push_text(content),
        }
        let calls = message.get("tool_calls").and_then(Value::as_array);
        for call in calls.into_iter().flatten() {
            if let Some(function) = call.get("function") {
                self.call(function, "arguments");
            }
        }
    }

    fn parts(&mut self, parts: &[Value]) {
        for part in parts {
            self.push_text(part.get("text"));
            if part.get("type").and_then(Value::as_str) == Some("tool_use") {
                self.call(part, "input");
            }
        }
    }

    fn call(&mut self, call: &Value, arguments: &str) {
        self.begin_call(call.get("name").and_then(Value::as_str).unwrap_or_default());
        match call.get(arguments) {
            Some(Value::String(text)) => self.push_arguments(Some(&Value::String(text.clone()))),
            Some(value) => {
                let text = Value::String(value.to_string());
                self.push_arguments(Some(&text));
            }
            None => {}
        }
    }

    fn push_text(&mut self, text: Option<&Value>) {
        if let Some(text) = text.and_then(Value::as_str) {
            self.text.push_str(text);
        }
    }

    fn begin_call(&mut self, name: &str) {
        if self.calls.len() <= MAX_CALLS {
            self.calls.push(Call {
                name: name.to_owned(),
                arguments: String::new(),
            });
        }
    }

    fn push_arguments(&mut self, text: Option<&Value>) {
        if let (Some(call), Some(text)) = (self.calls.last_mut(), text.and_then(Value::as_str)) {
            call.arguments.push_str(text);
        }
    }
}

/// As much of `text` as fits into so many bytes.
fn head(text: &str, max: usize) -> &str {
    let end = (0..=max.min(text.len()))
        .rev()
        .find(|end| text.is_char_boundary(*end));
    end.and_then(|end| text.get(..end)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(media: Media, text: &str) -> (String, Vec<(String, bool)>, usize) {
        let content = Content::read(media, text.as_bytes(), true);
        let calls = content.tool_calls();
        let calls = calls
            .into_iter()
            .map(|call| (call.name.into_string(), call.valid_arguments))
            .collect();
        (content.text, calls, content.deviations.len())
    }

    #[test]
    fn a_body_and_a_stream_of_the_same_answer_say_the_same() {
        let body = r#"{"id":"1","model":"m","choices":[{"message":{"content":"Hello","tool_calls":[{"function":{"name":"f","arguments":"{\"a\":1}"}},{"function":{"name":"g","arguments":"{"}}]},"finish_reason":"tool_calls"}],"usage":{}}"#;
        let stream = "data: {\"choices\":[{\"delta\":{\"content\":\"Hel\"}}]}\n\n\
            data: {\"choices\":[{\"delta\":{\"content\":\"lo\"}}]}\n\n\
            data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"a\\\"\"}}]}}]}\n\n\
            data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\":1}\"}}]}}]}\n\n\
            data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":1,\"function\":{\"name\":\"g\",\"arguments\":\"{\"}}]},\"finish_reason\":\"tool_calls\"}]}\n\n\
            data: [DONE]\n\n";
        let expected = (
            "Hello".to_owned(),
            vec![("f".to_owned(), true), ("g".to_owned(), false)],
            0,
        );
        assert_eq!(read(Media::Json, body), expected);
        assert_eq!(read(Media::EventStream, stream), expected);
    }

    #[test]
    fn what_is_missing_is_named_and_nothing_panics() {
        for (media, text, deviations) in [
            (Media::Json, "{}", 5),
            (Media::Json, "<html>", 1),
            (Media::EventStream, "", 2),
            (Media::EventStream, "data: {\n\n", 1),
            (Media::Opaque, "x", 0),
        ] {
            assert_eq!(read(media, text).2, deviations, "{text}");
        }
    }
}
