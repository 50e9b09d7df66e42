//! What a model said, however it was told.

use std::collections::BTreeMap;

use serde_json::Value;

/// What a model said: by choice the text, the reasoning, the tool calls and why it stopped.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Said {
    pub(super) choices: BTreeMap<u64, Choice>,
    /// Input, cached, output and reasoning tokens.
    pub(super) usage: Option<[u64; 4]>,
    pub(super) error: bool,
}

#[derive(Debug, Default, PartialEq)]
pub(super) struct Choice {
    pub(super) text: String,
    pub(super) reasoning: String,
    pub(super) calls: Vec<(Option<String>, String, String)>,
    pub(super) stop: Option<String>,
}

/// What an OpenAI answer says.
pub(super) fn openai(is_events: bool, jsons: &[Value]) -> Said {
    let mut said = Said::default();
    for json in jsons {
        said.error |= json["error"].is_object();
        if json["usage"].is_object() {
            let usage = &json["usage"];
            let count = |at: &str| usage.pointer(at).and_then(Value::as_u64).unwrap();
            assert_eq!(
                count("/prompt_tokens") + count("/completion_tokens"),
                count("/total_tokens")
            );
            said.usage = Some([
                count("/prompt_tokens"),
                count("/prompt_tokens_details/cached_tokens"),
                count("/completion_tokens"),
                count("/completion_tokens_details/reasoning_tokens"),
            ]);
        }
        for choice in json["choices"].as_array().into_iter().flatten() {
            let message = &choice[if is_events { "delta" } else { "message" }];
            let known = said
                .choices
                .entry(choice["index"].as_u64().unwrap())
                .or_default();
            known.text += message["content"].as_str().unwrap_or_default();
            known.reasoning += message["reasoning_content"].as_str().unwrap_or_default();
            for (at, call) in message["tool_calls"]
                .as_array()
                .into_iter()
                .flatten()
                .enumerate()
            {
                let at = call["index"]
                    .as_u64()
                    .map_or(at, |at| usize::try_from(at).unwrap());
                if known.calls.len() == at {
                    let id = call["id"].as_str().unwrap();
                    let made = id.starts_with("call_") && !id.starts_with("call_REDACTED");
                    let name = call["function"]["name"].as_str().unwrap().to_owned();
                    known
                        .calls
                        .push(((!made).then(|| id.to_owned()), name, String::new()));
                }
                known.calls[at].2 += call["function"]["arguments"].as_str().unwrap();
            }
            if let Some(stop) = choice["finish_reason"].as_str() {
                known.stop = Some(stop.to_owned());
            }
        }
    }
    for call in said
        .choices
        .values_mut()
        .flat_map(|choice| &mut choice.calls)
    {
        let arguments: Value = serde_json::from_str(&call.2).unwrap();
        call.2 = arguments.to_string();
    }
    said
}
