//! Content that is a list of parts.

use serde_json::Value as Json;

use crate::wire::json::Value;

/// Where what a model thought stands beside its text: DeepSeek's name for it, which most clients know.
pub(super) const REASONING: &str = "reasoning_content";

/// What the parts of a list say.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Parts {
    pub(super) text: String,
    /// The text of thinking parts, as Mistral's reasoning models have: `{"type":"thinking","thinking":[{"type":"text","text":"..."}]}`.
    pub(super) reasoning: String,
}

/// Reads a list of parts. What is neither text nor thinking, such as the numbers of references, is left out: a string has no
/// place for it.
pub(super) fn read(list: Value<'_>) -> Parts {
    let mut parts = Parts::default();
    for part in list.deserialize::<Vec<Json>>().unwrap_or_default() {
        match part.get("thinking") {
            Some(Json::String(text)) => parts.reasoning.push_str(text),
            Some(Json::Array(thoughts)) => {
                let texts = thoughts.iter().filter_map(|thought| text(thought));
                parts.reasoning.extend(texts);
            }
            _ => parts.text.extend(text(&part)),
        }
    }
    parts
}

fn text(part: &Json) -> Option<&str> {
    part.as_str()
        .or_else(|| part.get("text").and_then(Json::as_str))
}
