//! The name that the caller asked for, put back into the answer.

use std::sync::LazyLock;

use bytes::Bytes;
use http::Response;
use memchr::memmem::Finder;

use crate::{
    message::{Edited, ResponseBody, edit_answer},
    wire::json::{Index, Members},
};

/// Lets `response` name `asked`, wherever it names the model that served it.
pub(super) fn restore_name(
    response: Response<ResponseBody>,
    asked: &str,
) -> Response<ResponseBody> {
    if !response.status().is_success() {
        return response;
    }
    let name = asked.to_owned();
    edit_answer(response, move |text| match rename(text, &name) {
        Some(renamed) => Edited::Replace(renamed),
        None => Edited::Keep,
    })
}

/// `text` with its `model` replaced by `name`: at the top, or within `response` (the events of a Responses stream) or
/// `message` (Anthropic's first event). `None` where there is nothing to replace.
fn rename(text: &[u8], name: &str) -> Option<Bytes> {
    // Most events of some dialects name no model at all. Made once, as every event is searched.
    static NAME: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"model\""));
    NAME.find(text)?;
    let index = Index::parse(text).ok()?;
    let members = index.members(text);
    let mut edit = members.edit();
    if names_model(members) {
        edit.set("model", name);
        return Some(edit.into_text());
    }
    for outer in ["response", "message"] {
        let Some(inner) = members.get(outer) else {
            continue;
        };
        let Ok(index) = Index::parse(inner.raw()) else {
            continue;
        };
        let inner = index.members(inner.raw());
        if names_model(inner) {
            let mut inner_edit = inner.edit();
            inner_edit.set("model", name);
            edit.set(outer, inner_edit);
            return Some(edit.into_text());
        }
    }
    None
}

fn names_model(members: Members<'_>) -> bool {
    members
        .get("model")
        .is_some_and(|model| model.as_str().is_some())
}

#[cfg(test)]
mod tests {
    use super::rename;

    #[test]
    fn the_name_is_replaced_where_it_stands_and_nothing_else() {
        for (text, renamed) in [
            (
                r#"{"id":"x", "model" : "real", "n":1.0}"#,
                Some(r#"{"id":"x", "model" : "m\"", "n":1.0}"#),
            ),
            (
                r#"{"type":"response.created","response":{"model":"real"}}"#,
                Some(r#"{"type":"response.created","response":{"model":"m\""}}"#),
            ),
            (
                r#"{"type":"message_start","message":{"model":"real"}}"#,
                Some(r#"{"type":"message_start","message":{"model":"m\""}}"#),
            ),
            (r#"{"choices":[{"message":{"content":"\"model\""}}]}"#, None),
            (r#"{"choices":[{"text":"the \"model\": \"real\""}]}"#, None),
            (r#"{"model":null}"#, None),
            (r#"{"model":"cut"#, None),
        ] {
            assert_eq!(
                rename(text.as_bytes(), "m\"").as_deref(),
                renamed.map(str::as_bytes),
                "{text}"
            );
        }
    }
}
