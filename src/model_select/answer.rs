//! What an answer says, as far as a check wants to know.

use serde_json::Value;

mod streamed;

/// A whole answer of a chat, read from OpenAI's shapes (chat, completions, Responses) or Anthropic's.
#[non_exhaustive]
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Answer {
    /// Its text; of several choices the first one's.
    pub text: String,
    /// Whether it calls a tool.
    pub calls_tools: bool,
    /// Whether its provider says that it is a refusal.
    pub refused: bool,
    /// Why the model stopped, in the provider's word.
    pub finish_reason: Option<String>,
    /// The mean natural logarithm of the probabilities of its tokens, where it states them: at most 0.
    pub mean_logprob: Option<f64>,
}

impl Answer {
    /// Reads `json`; `None` where it has none of the known shapes.
    pub fn read(json: &[u8]) -> Option<Self> {
        Self::of(&serde_json::from_slice(json).ok()?)
    }

    /// Reads a stream of events to its end, in the same shapes; `None` where no event has any of them, or one cannot be read.
    pub fn read_events(events: &[u8]) -> Option<Self> {
        streamed::read(events)
    }

    fn of(value: &Value) -> Option<Self> {
        if let Some(choice) = value.pointer("/choices/0") {
            return Some(Self::of_choice(choice));
        }
        if let Some(items) = value.get("output").and_then(Value::as_array) {
            return Some(Self::of_items(items, value));
        }
        let parts = value.get("content")?.as_array()?;
        let mut answer = Self {
            finish_reason: text(value.get("stop_reason")),
            ..Self::default()
        };
        answer.refused = answer.finish_reason.as_deref() == Some("refusal");
        answer.add_parts(parts);
        Some(answer)
    }

    fn of_choice(choice: &Value) -> Self {
        let message = choice.get("message").unwrap_or(choice);
        let finish_reason = text(choice.get("finish_reason"));
        let is_call = |name| {
            message
                .get(name)
                .is_some_and(|call: &Value| !call.is_null() && *call != Value::Array(Vec::new()))
        };
        let mut answer = Self {
            calls_tools: is_call("tool_calls") || is_call("function_call"),
            refused: finish_reason.as_deref() == Some("content_filter")
                || message.get("refusal").is_some_and(Value::is_string),
            mean_logprob: choice.pointer("/logprobs/content").and_then(mean),
            finish_reason,
            ..Self::default()
        };
        match message.get("content").or_else(|| choice.get("text")) {
            Some(Value::String(text)) => answer.text.push_str(text),
            Some(Value::Array(parts)) => answer.add_parts(parts),
            _ => {}
        }
        answer
    }

    fn of_items(items: &[Value], whole: &Value) -> Self {
        let mut answer = Self {
            finish_reason: text(whole.pointer("/incomplete_details/reason"))
                .or_else(|| text(whole.get("status"))),
            ..Self::default()
        };
        for item in items {
            match item.get("content").and_then(Value::as_array) {
                Some(parts) => answer.add_parts(parts),
                None => answer.calls_tools |= ends_with(item, "_call"),
            }
        }
        answer
    }

    fn add_parts(&mut self, parts: &[Value]) {
        for part in parts {
            if let Some(text) = part.get("text").and_then(Value::as_str) {
                self.text.push_str(text);
            }
            self.calls_tools |= ends_with(part, "tool_use");
            self.refused |= part.get("refusal").is_some_and(Value::is_string);
        }
    }
}

fn ends_with(item: &Value, kind: &str) -> bool {
    item.get("type")
        .and_then(Value::as_str)
        .is_some_and(|own| own.ends_with(kind))
}

fn text(value: Option<&Value>) -> Option<String> {
    value.and_then(Value::as_str).map(str::to_owned)
}

fn mean(tokens: &Value) -> Option<f64> {
    let logprobs = tokens
        .as_array()?
        .iter()
        .filter_map(|token| token.get("logprob")?.as_f64());
    let (mut sum, mut count) = (0.0, 0.0);
    for logprob in logprobs {
        sum += logprob;
        count += 1.0;
    }
    (count > 0.0).then(|| sum / count)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Option<(String, bool, bool)> {
        let answer = Answer::read(json.as_bytes())?;
        Some((answer.text, answer.calls_tools, answer.refused))
    }

    #[test]
    fn text_calls_and_refusals_are_read_from_each_shape() {
        for (json, expected) in [
            (
                r#"{"choices":[{"message":{"content":"hi","tool_calls":[]},"finish_reason":"stop"}]}"#,
                ("hi", false, false),
            ),
            (
                r#"{"choices":[{"message":{"content":null,"tool_calls":[{}]}}]}"#,
                ("", true, false),
            ),
            (
                r#"{"choices":[{"message":{"content":null,"refusal":"no"}}]}"#,
                ("", false, true),
            ),
            (
                r#"{"choices":[{"message":{"content":""},"finish_reason":"content_filter"}]}"#,
                ("", false, true),
            ),
            (r#"{"choices":[{"text":"done"}]}"#, ("done", false, false)),
            (
                r#"{"output":[{"type":"message","content":[{"type":"output_text","text":"a"},{"type":"output_text","text":"b"}]}]}"#,
                ("ab", false, false),
            ),
            (
                r#"{"output":[{"type":"function_call","name":"f"}]}"#,
                ("", true, false),
            ),
            (
                r#"{"content":[{"type":"text","text":"hi"},{"type":"tool_use"}],"stop_reason":"tool_use"}"#,
                ("hi", true, false),
            ),
            (
                r#"{"content":[],"stop_reason":"refusal"}"#,
                ("", false, true),
            ),
        ] {
            let (text, calls, refused) = expected;
            assert_eq!(
                read(json),
                Some((text.to_owned(), calls, refused)),
                "{json}"
            );
        }
        for json in ["", "[]", "{}", r#"{"choices":[]}"#, r#"{"error":{}}"#] {
            assert_eq!(read(json), None, "{json}");
        }
    }

    #[test]
    fn the_mean_is_that_of_all_tokens() {
        let json = br#"{"choices":[{"message":{"content":"x"},"logprobs":{"content":[{"logprob":-1.0},{"logprob":-3}]}}]}"#;
        assert_eq!(Answer::read(json).unwrap().mean_logprob, Some(-2.0));
    }
}
