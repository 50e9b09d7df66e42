use serde_json::{Value, json};

use super::{
    answer::{Answer, Choice, Content},
    edit,
    reply::Event,
};

/// The events of a streamed chat completion; choices take turns, as they do at OpenAI.
pub(super) fn chat(answer: &Answer, include_usage: bool) -> Vec<Event> {
    let base = json!({
        "id": answer.id,
        "object": "chat.completion.chunk",
        "created": answer.created,
        "model": answer.model,
        "service_tier": "default",
        "system_fingerprint": "fp_demo",
    });
    let turns = answer
        .choices
        .iter()
        .enumerate()
        .map(|(index, choice)| turns(index, choice))
        .collect();
    events(&base, turns, include_usage.then(|| answer.usage()))
}

/// One event per choice, the usage event if asked for, and `[DONE]`.
pub(super) fn events(base: &Value, choices: Vec<Vec<Value>>, usage: Option<Value>) -> Vec<Event> {
    let chunk = |choices: Value, usage: Option<Value>| {
        let mut chunk = base.clone();
        edit::set(&mut chunk, "choices", choices);
        if let Some(usage) = usage {
            edit::set(&mut chunk, "usage", usage);
        }
        Event::Data(chunk)
    };
    let pending = usage.is_some().then_some(Value::Null);
    let mut choices: Vec<_> = choices.into_iter().map(Vec::into_iter).collect();
    let mut events = vec![];
    loop {
        let before = events.len();
        let turn = choices.iter_mut().filter_map(Iterator::next);
        events.extend(turn.map(|choice| chunk(json!([choice]), pending.clone())));
        if events.len() == before {
            break;
        }
    }
    events.extend(usage.map(|usage| chunk(json!([]), Some(usage))));
    events.push(Event::Done);
    events
}

fn turns(index: usize, choice: &Choice) -> Vec<Value> {
    let turn = |delta: Value, finish: Option<&str>| json!({"index": index, "delta": delta, "logprobs": null, "finish_reason": finish});
    let mut turns = vec![];
    match &choice.content {
        Content::Text(pieces) => {
            turns.push(turn(
                json!({"role": "assistant", "content": "", "refusal": null}),
                None,
            ));
            turns.extend(
                pieces
                    .iter()
                    .map(|piece| turn(json!({"content": piece}), None)),
            );
        }
        Content::Call(call) => {
            let start = json!({
                "index": 0, "id": call.id, "type": "function",
                "function": {"name": call.name, "arguments": ""},
            });
            let delta = json!({
                "role": "assistant", "content": null, "refusal": null, "tool_calls": [start],
            });
            turns.push(turn(delta, None));
            turns.extend(call.arguments.iter().map(|piece| {
                let fragment = json!({"index": 0, "function": {"arguments": piece}});
                turn(json!({"tool_calls": [fragment]}), None)
            }));
        }
    }
    turns.push(turn(json!({}), Some(choice.finish)));
    turns
}
