//! A chat answer as a stream, and a stream as a whole answer: as OpenAI would have sent the same.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::wire::sse::{DONE, Framer, event};

/// More choices than any request may ask for.
const MAX_CHOICES: u64 = 128;

/// The events of a stream that says all of `body`, a whole answer: for each choice one with all of its text and one with its end, and then
/// the usage. `None` where it is no chat answer.
pub(super) fn unrolled(body: &[u8]) -> Option<Vec<Bytes>> {
    let Ok(Value::Object(mut base)) = serde_json::from_slice(body) else {
        return None;
    };
    let Some(Value::Array(choices)) = base.remove("choices") else {
        return None;
    };
    let usage = base.remove("usage");
    base.insert("object".to_owned(), "chat.completion.chunk".into());
    let mut events = Vec::with_capacity(choices.len() * 2 + 2);
    let mut push = |choices: Value, usage: Value| {
        let mut chunk = base.clone();
        chunk.insert("choices".to_owned(), choices);
        chunk.insert("usage".to_owned(), usage);
        events.push(event(None, Value::Object(chunk).to_string().as_bytes()));
    };
    for choice in choices {
        let Value::Object(mut choice) = choice else {
            return None;
        };
        let Some(Value::Object(mut delta)) = choice.remove("message") else {
            return None;
        };
        if let Some(Value::Array(calls)) = delta.get_mut("tool_calls") {
            for (index, call) in calls.iter_mut().enumerate() {
                call.as_object_mut()?
                    .insert("index".to_owned(), index.into());
            }
        }
        let reason = choice.insert("finish_reason".to_owned(), Value::Null);
        let index = choice.get("index").cloned()?;
        choice.insert("delta".to_owned(), Value::Object(delta));
        push(json!([choice]), Value::Null);
        let end = json!([{"index": index, "delta": {}, "logprobs": null, "finish_reason": reason}]);
        push(end, Value::Null);
    }
    if let Some(usage) = usage.filter(|usage| !usage.is_null()) {
        push(json!([]), usage);
    }
    events.push(Bytes::from_static(DONE));
    Some(events)
}

/// The whole answer that the events of `stream` are together; `None` where they are not a chat answer's, or hold what cannot be put together.
pub(super) fn gathered(stream: &Bytes) -> Option<Bytes> {
    let mut gathered = Gathered::default();
    let mut framer = Framer::with_cap(stream.len().max(1));
    let mut frames = framer.push(stream);
    while let Some(frame) = frames.next().ok()? {
        let Some(data) = frame.data().filter(|data| data.trim_ascii() != b"[DONE]") else {
            continue;
        };
        match serde_json::from_slice(&data) {
            Ok(Value::Object(chunk)) => gathered.chunk(chunk)?,
            _ => return None,
        }
    }
    gathered.finish()
}

#[derive(Default)]
struct Gathered {
    base: Map<String, Value>,
    choices: BTreeMap<u64, Map<String, Value>>,
}

impl Gathered {
    fn chunk(&mut self, mut chunk: Map<String, Value>) -> Option<()> {
        let Some(Value::Array(choices)) = chunk.remove("choices") else {
            return None;
        };
        for (name, value) in chunk {
            if !value.is_null() || !self.base.contains_key(&name) {
                self.base.insert(name, value);
            }
        }
        for choice in choices {
            let Value::Object(mut choice) = choice else {
                return None;
            };
            let index = choice
                .remove("index")?
                .as_u64()
                .filter(|index| *index < MAX_CHOICES)?;
            let kept = self.choices.entry(index).or_default();
            if let Some(Value::Object(delta)) = choice.remove("delta") {
                let message = kept.entry("message").or_insert_with(|| json!({}));
                merge(message.as_object_mut()?, delta)?;
            }
            merge(kept, choice)?;
        }
        Some(())
    }

    fn finish(mut self) -> Option<Bytes> {
        if self.choices.is_empty() {
            return None;
        }
        let choices: Option<Vec<_>> = self
            .choices
            .into_iter()
            .map(|(index, choice)| whole(index, choice))
            .collect();
        self.base
            .insert("object".to_owned(), "chat.completion".into());
        self.base.insert("choices".to_owned(), choices?.into());
        Some(Value::Object(self.base).to_string().into())
    }
}

/// A choice with what every whole one has.
fn whole(index: u64, mut choice: Map<String, Value>) -> Option<Value> {
    choice.insert("index".to_owned(), index.into());
    choice.entry("finish_reason").or_insert(Value::Null);
    let message = choice.get_mut("message")?.as_object_mut()?;
    message.entry("role").or_insert_with(|| "assistant".into());
    message.entry("content").or_insert(Value::Null);
    if let Some(Value::Array(calls)) = message.get_mut("tool_calls") {
        for call in calls {
            call.as_object_mut()?.remove("index");
        }
    }
    Some(Value::Object(choice))
}

/// Adds what a chunk says to what those before it said: texts go on, lists of calls are put together by their `index`, other lists go on too,
/// and what is said twice stays as it is. `None` where that makes no sense.
fn merge(into: &mut Map<String, Value>, more: Map<String, Value>) -> Option<()> {
    for (name, value) in more {
        let Some(kept) = into.get_mut(&name).filter(|kept| !kept.is_null()) else {
            if !value.is_null() || !into.contains_key(&name) {
                into.insert(name, value);
            }
            continue;
        };
        match (kept, value) {
            (_, Value::Null) => {}
            (Value::String(kept), Value::String(more)) => {
                if goes_on(&name) {
                    kept.push_str(&more);
                } else if !more.is_empty() {
                    *kept = more;
                }
            }
            (Value::Array(kept), Value::Array(more)) => {
                for item in more {
                    add(kept, item)?;
                }
            }
            (Value::Object(kept), Value::Object(more)) => merge(kept, more)?,
            (kept, more) if *kept == more => {}
            _ => return None,
        }
    }
    Some(())
}

/// Whether the text of this member comes in parts, rather than being said anew.
fn goes_on(name: &str) -> bool {
    !matches!(
        name,
        "role" | "id" | "type" | "name" | "finish_reason" | "index"
    )
}

/// Adds an item to a list: to the one of the same `index`, where it has one.
fn add(list: &mut Vec<Value>, item: Value) -> Option<()> {
    let index = item.get("index").cloned();
    let same = index.and_then(|index| {
        list.iter_mut()
            .find(|kept| kept.get("index") == Some(&index))
    });
    match (same, item) {
        (Some(kept), Value::Object(more)) => merge(kept.as_object_mut()?, more)?,
        (_, item) => list.push(item),
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole_answer() -> Value {
        json!({
            "id": "1", "object": "chat.completion", "created": 7, "model": "m", "service_tier": "default",
            "choices": [
                {"index": 0, "message": {"role": "assistant", "content": "Hello, \"you\"\n", "refusal": null},
                 "logprobs": {"content": [{"token": "Hello"}, {"token": "you"}]}, "finish_reason": "stop"},
                {"index": 1, "message": {"role": "assistant", "content": null, "tool_calls": [
                    {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{\"x\":1}"}},
                    {"id": "b", "type": "function", "function": {"name": "g", "arguments": "{}"}}]},
                 "logprobs": null, "finish_reason": "tool_calls"}
            ],
            "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
        })
    }

    #[test]
    fn an_answer_that_is_unrolled_and_gathered_again_is_the_same() {
        let answer = whole_answer();
        let events = unrolled(answer.to_string().as_bytes()).unwrap();
        assert_eq!(events.last().unwrap(), DONE);
        let stream = Bytes::from(events.concat());
        let again: Value = serde_json::from_slice(&gathered(&stream).unwrap()).unwrap();
        assert_eq!(again, answer);
    }

    #[test]
    fn what_comes_in_parts_is_put_together() {
        let chunks = [
            json!({"id":"1","model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}],"usage":null}),
            json!({"id":"1","model":"m","choices":[{"index":0,"delta":{"content":"Hel"},"logprobs":{"content":[{"token":"Hel"}]},"finish_reason":null}]}),
            json!({"id":"1","model":"m","choices":[{"index":0,"delta":{"content":"lo"},"logprobs":{"content":[{"token":"lo"}]},"finish_reason":null}]}),
            json!({"id":"1","model":"m","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":""}}]}}]}),
            json!({"id":"1","model":"m","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"x\""}}]}}]}),
            json!({"id":"1","model":"m","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":":1}"}}]}}]}),
            json!({"id":"1","model":"m","choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}),
            json!({"id":"1","model":"m","choices":[],"usage":{"total_tokens":5}}),
        ];
        let mut stream: Vec<u8> = chunks
            .iter()
            .flat_map(|chunk| event(None, chunk.to_string().as_bytes()))
            .collect();
        stream.extend_from_slice(b": a comment\n\n");
        stream.extend_from_slice(DONE);
        let answer: Value = serde_json::from_slice(&gathered(&stream.into()).unwrap()).unwrap();
        assert_eq!(
            answer,
            json!({"id":"1","model":"m","object":"chat.completion","choices":[{"index":0,
                "message":{"role":"assistant","content":"Hello","tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{\"x\":1}"}}]},
                "logprobs":{"content":[{"token":"Hel"},{"token":"lo"}]},
                "finish_reason":"tool_calls"}],"usage":{"total_tokens":5}})
        );
    }

    #[test]
    fn what_is_no_chat_answer_has_no_other_form() {
        for body in [
            "",
            "[]",
            "{}",
            r#"{"choices":[{}]}"#,
            r#"{"choices":[1]}"#,
            r#"{"data":[]}"#,
        ] {
            assert!(unrolled(body.as_bytes()).is_none(), "{body}");
        }
        for stream in [
            "data: [DONE]\n\n",
            "data: {\"type\":\"message_start\"}\n\n",
            "data: x\n\n",
            "data: {\"choices\":[{\"index\":9999999999,\"delta\":{}}]}\n\n",
            "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\ndata: {\"choices\":[{\"index\":0,\"delta\":{\"content\":1}}]}\n\n",
        ] {
            assert!(gathered(&Bytes::from(stream)).is_none(), "{stream}");
        }
    }
}
