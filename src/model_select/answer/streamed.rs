//! The same answers as events.

use bytes::Bytes;
use serde_json::Value;

use super::{Answer, ends_with, text};
use crate::wire::sse::Framer;

/// The longest event that is read, in bytes.
const MAX_EVENT: usize = 16 << 20;

pub(super) fn read(events: &[u8]) -> Option<Answer> {
    let chunk = Bytes::copy_from_slice(events);
    let mut framer = Framer::with_cap(MAX_EVENT);
    let mut stream = Stream::default();
    {
        let mut frames = framer.push(&chunk);
        while let Some(frame) = frames.next().ok()? {
            if let Some(data) = frame.data() {
                stream.take(&data)?;
            }
        }
    }
    if let Some(data) = framer.finish().ok()?.and_then(|frame| frame.data()) {
        stream.take(&data)?;
    }
    stream.end()
}

/// What was said so far.
#[derive(Default)]
struct Stream {
    said: Answer,
    is_known: bool,
    /// Of the log-probabilities: their sum, and how many there are.
    logprobs: (f64, f64),
    /// The answer as a last event has it, whole.
    whole: Option<Answer>,
}

impl Stream {
    /// Takes the data of an event; `None` where it cannot be read.
    fn take(&mut self, data: &[u8]) -> Option<()> {
        if data.trim_ascii() == b"[DONE]" {
            return Some(());
        }
        let event: Value = serde_json::from_slice(data).ok()?;
        if event.get("error").is_some_and(|error| !error.is_null()) {
            return None;
        }
        if let Some(choices) = event.get("choices").and_then(Value::as_array) {
            self.is_known = true;
            let is_first = |choice: &&Value| {
                matches!(choice.get("index").and_then(Value::as_u64), None | Some(0))
            };
            if let Some(choice) = choices.iter().find(is_first) {
                self.choice(choice);
            }
        } else if let Some(kind) = event.get("type").and_then(Value::as_str) {
            self.event(kind, &event);
        }
        Some(())
    }

    fn choice(&mut self, choice: &Value) {
        let delta = choice.get("delta").unwrap_or(choice);
        let said = delta.get("content").or_else(|| choice.get("text"));
        self.say(said);
        let calls = |name| {
            delta
                .get(name)
                .is_some_and(|call: &Value| !call.is_null() && *call != Value::Array(Vec::new()))
        };
        self.said.calls_tools |= calls("tool_calls") || calls("function_call");
        self.said.refused |= delta.get("refusal").is_some_and(Value::is_string);
        if let Some(reason) = text(choice.get("finish_reason")) {
            self.said.refused |= reason == "content_filter";
            self.said.finish_reason = Some(reason);
        }
        let logprobs = choice
            .pointer("/logprobs/content")
            .and_then(Value::as_array);
        for token in logprobs.into_iter().flatten() {
            if let Some(logprob) = token.get("logprob").and_then(Value::as_f64) {
                self.logprobs.0 += logprob;
                self.logprobs.1 += 1.0;
            }
        }
    }

    fn event(&mut self, kind: &str, event: &Value) {
        match kind {
            "response.completed" | "response.incomplete" => {
                self.whole = event.get("response").and_then(Answer::of);
            }
            "message_start" => self.is_known = true,
            "content_block_start" => {
                let block = event.get("content_block");
                self.said.calls_tools |= block.is_some_and(|block| ends_with(block, "tool_use"));
            }
            "content_block_delta" => self.say(event.pointer("/delta/text")),
            "message_delta" => {
                if let Some(reason) = text(event.pointer("/delta/stop_reason")) {
                    self.said.refused |= reason == "refusal";
                    self.said.finish_reason = Some(reason);
                }
            }
            _ => {}
        }
    }

    fn say(&mut self, text: Option<&Value>) {
        if let Some(text) = text.and_then(Value::as_str) {
            self.said.text.push_str(text);
        }
    }

    fn end(mut self) -> Option<Answer> {
        if self.whole.is_some() {
            return self.whole;
        }
        let (sum, count) = self.logprobs;
        self.said.mean_logprob = (count > 0.0).then(|| sum / count);
        self.is_known.then_some(self.said)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(events: &[&str]) -> String {
        format!("data: {}\n\n", events.join("\n\ndata: "))
    }

    #[test]
    fn a_stream_says_what_its_answer_says_in_each_shape() {
        for (stream, expected) in [
            (
                events(&[
                    r#"{"choices":[{"index":0,"delta":{"content":"h"},"logprobs":{"content":[{"logprob":-1.0}]}}]}"#,
                    r#"{"choices":[{"index":1,"delta":{"content":"other"}}]}"#,
                    r#"{"choices":[{"index":0,"delta":{"content":"i"},"logprobs":{"content":[{"logprob":-3.0}]},"finish_reason":"stop"}]}"#,
                    r#"{"choices":[],"usage":{}}"#,
                    "[DONE]",
                ]),
                Answer {
                    text: "hi".to_owned(),
                    finish_reason: Some("stop".to_owned()),
                    mean_logprob: Some(-2.0),
                    ..Answer::default()
                },
            ),
            (
                events(&[
                    r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0}]}}]}"#,
                    r#"{"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}"#,
                ]),
                Answer {
                    calls_tools: true,
                    finish_reason: Some("tool_calls".to_owned()),
                    ..Answer::default()
                },
            ),
            (
                events(&[
                    r#"{"type":"message_start","message":{}}"#,
                    r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
                    r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"no"}}"#,
                    r#"{"type":"message_delta","delta":{"stop_reason":"refusal"}}"#,
                    r#"{"type":"message_stop"}"#,
                ]),
                Answer {
                    text: "no".to_owned(),
                    refused: true,
                    finish_reason: Some("refusal".to_owned()),
                    ..Answer::default()
                },
            ),
            (
                events(&[
                    r#"{"type":"response.output_text.delta","delta":"ab"}"#,
                    r#"{"type":"response.completed","response":{"status":"completed","output":[{"type":"message","content":[{"type":"output_text","text":"ab"}]}]}}"#,
                ]),
                Answer {
                    text: "ab".to_owned(),
                    finish_reason: Some("completed".to_owned()),
                    ..Answer::default()
                },
            ),
        ] {
            assert_eq!(
                Answer::read_events(stream.as_bytes()),
                Some(expected),
                "{stream}"
            );
        }
    }

    #[test]
    fn what_has_no_known_shape_or_is_an_error_is_no_answer() {
        for stream in [
            "",
            "data: [DONE]\n\n",
            "data: {\n\n",
            "data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\ndata: {\"error\":{\"message\":\"m\"}}\n\n",
            "data: {\"type\":\"ping\"}\n\n",
        ] {
            assert_eq!(Answer::read_events(stream.as_bytes()), None, "{stream}");
        }
    }
}
