//! What a request asks of a model beyond text.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Endpoint, RequestBody, catalog::Capabilities};
use crate::wire::json::{Kind, Value};

/// The deepest list of content within content that is looked into: an image in a tool's result is on the second level.
const MAX_DEPTH: usize = 3;

fn get<'a>(body: &'a RequestBody, name: &str) -> Option<Value<'a>> {
    body.members().ok()??.get(name)
}

/// The member that offers tools.
fn tools(body: &RequestBody) -> Option<&'static str> {
    ["tools", "functions"]
        .into_iter()
        .find(|name| get(body, name).is_some_and(|tools| !elements(tools.raw()).is_empty()))
}

/// The member that asks for JSON by a schema. OpenAI's older `json_object` is not that.
fn schema(body: &RequestBody) -> Option<&'static str> {
    /// OpenAI's chat and Anthropic's older name have the type here, the others in `format`.
    #[derive(Deserialize)]
    struct Format<'a> {
        #[serde(borrow, rename = "type")]
        kind: Option<Cow<'a, str>>,
        #[serde(borrow)]
        format: Option<Typed<'a>>,
    }
    let is_schema = |kind: Option<Cow<'_, str>>| kind.as_deref() == Some("json_schema");
    ["response_format", "text", "output_config", "output_format"]
        .into_iter()
        .find(|name| {
            get(body, name)
                .filter(|value| value.kind() == Kind::Object)
                .and_then(|value| value.deserialize::<Format<'_>>().ok())
                .is_some_and(|asked| {
                    is_schema(asked.kind) || is_schema(asked.format.and_then(|format| format.kind))
                })
        })
}

/// The member that holds an image. Other files are none: a provider may read their text.
fn images(body: &RequestBody) -> Option<&'static str> {
    // Counted once for all layers, and nearly always none.
    if body.prompt()?.images == 0 {
        return None;
    }
    ["messages", "input"]
        .into_iter()
        .find(|name| get(body, name).is_some_and(|list| holds_image(list.raw(), MAX_DEPTH)))
}

/// Whether the upstream is asked to cut what does not fit by itself: `truncation` of OpenAI's Responses.
pub(crate) fn truncates(body: &RequestBody) -> bool {
    get(body, "truncation")
        .and_then(Value::as_str)
        .is_some_and(|truncation| truncation == "auto")
}

/// Whether the whole request stands in one window: embeddings and lists of prompts have one each.
pub(crate) fn has_one_prompt(endpoint: Endpoint, body: &RequestBody) -> bool {
    match endpoint {
        Endpoint::ChatCompletions | Endpoint::Messages | Endpoint::Responses => true,
        Endpoint::Completions => body.prompt().is_some_and(|prompt| prompt.messages <= 1),
        _ => false,
    }
}

/// The parameter that asks for what a model of these capabilities is known not to have.
pub(crate) fn lacking(body: &RequestBody, can: Capabilities) -> Option<&'static str> {
    let no = Some(false);
    if can.streaming == no && body.is_streaming() {
        return Some("stream");
    }
    let tools = (can.tools == no).then(|| tools(body)).flatten();
    let json = || (can.json == no).then(|| schema(body)).flatten();
    let images = || (can.images == no).then(|| images(body)).flatten();
    tools.or_else(json).or_else(images)
}

#[derive(Deserialize)]
struct Typed<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Cow<'a, str>>,
}

/// Whether a list of messages or parts has an image in it, or in its content.
fn holds_image(list: &[u8], depth: usize) -> bool {
    #[derive(Deserialize)]
    struct Item<'a> {
        #[serde(borrow, rename = "type")]
        kind: Option<Cow<'a, str>>,
        #[serde(borrow)]
        content: Option<&'a RawValue>,
        /// A tool's result in a Responses `input`.
        #[serde(borrow)]
        output: Option<&'a RawValue>,
    }
    elements(list).into_iter().any(|item| {
        let Ok(item) = serde_json::from_str::<Item<'_>>(item.get()) else {
            return false;
        };
        matches!(
            item.kind.as_deref(),
            Some("image_url" | "input_image" | "image")
        ) || depth > 0
            && [item.content, item.output]
                .into_iter()
                .flatten()
                .any(|inner| holds_image(inner.get().as_bytes(), depth - 1))
    })
}

/// The elements of a list; none for anything else.
fn elements(list: &[u8]) -> Vec<&RawValue> {
    if list.starts_with(b"[") {
        serde_json::from_slice(list).unwrap_or_default()
    } else {
        Vec::new()
    }
}
