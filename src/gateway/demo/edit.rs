//! How a deviation changes honest JSON. Each of these leaves a value of another shape alone.

use serde_json::Value;

pub(super) fn set(value: &mut Value, name: &str, member: impl Into<Value>) {
    if let Some(members) = value.as_object_mut() {
        members.insert(name.to_owned(), member.into());
    }
}

pub(super) fn unset(value: &mut Value, name: &str) -> Option<Value> {
    value.as_object_mut()?.remove(name)
}

pub(super) fn items<'a>(
    value: &'a mut Value,
    name: &str,
) -> impl Iterator<Item = &'a mut Value> + use<'a> {
    value
        .get_mut(name)
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
}

/// The `choices` of an answer or a chunk.
pub(super) fn choices(value: &mut Value) -> impl Iterator<Item = &mut Value> {
    items(value, "choices")
}

/// The `message` or `delta` of each choice.
pub(super) fn messages(value: &mut Value) -> impl Iterator<Item = &mut Value> {
    choices(value).filter_map(|choice| {
        let name = if choice.get("delta").is_some() {
            "delta"
        } else {
            "message"
        };
        choice.get_mut(name)
    })
}

/// The tool calls of every choice.
pub(super) fn tool_calls(value: &mut Value) -> impl Iterator<Item = &mut Value> {
    messages(value).flat_map(|message| items(message, "tool_calls"))
}

pub(super) fn has_choices(value: &Value) -> bool {
    value
        .get("choices")
        .and_then(Value::as_array)
        .is_some_and(|choices| !choices.is_empty())
}
