//! The probabilities of an answer's tokens: asked for by the relay, and hidden from a caller who did not ask.

use bytes::Bytes;
use http::Response;

use crate::{
    message::{Edited, Endpoint, RequestBody, ResponseBody, edit_answer},
    wire::json::{Index, Value},
};

/// Whether they have to be asked for.
pub(super) fn are_missing(endpoint: Endpoint, body: &RequestBody) -> bool {
    let asked = || {
        let members = body.members().ok()??;
        members.get("logprobs").and_then(Value::as_bool)
    };
    endpoint == Endpoint::ChatCompletions && asked() != Some(true)
}

/// Puts `null` in their place, as stands there where nobody asks.
pub(super) fn hide(response: Response<ResponseBody>) -> Response<ResponseBody> {
    edit_answer(response, |text| match without(text) {
        Some(text) => Edited::Replace(text),
        None => Edited::Keep,
    })
}

fn without(text: &[u8]) -> Option<Bytes> {
    let index = Index::parse(text).ok()?;
    let members = index.members(text);
    let choices: Vec<&serde_json::value::RawValue> = members.get("choices")?.deserialize().ok()?;
    let mut list = vec![b'['];
    for (place, choice) in choices.into_iter().enumerate() {
        if place > 0 {
            list.push(b',');
        }
        let choice = choice.get().as_bytes();
        let index = Index::parse(choice).ok()?;
        let mut edit = index.members(choice).edit();
        if index.members(choice).contains("logprobs") {
            edit.set("logprobs", serde_json::Value::Null);
        }
        list.extend_from_slice(&edit.into_text());
    }
    list.push(b']');
    let choices = serde_json::value::RawValue::from_string(String::from_utf8(list).ok()?).ok()?;
    let mut edit = members.edit();
    edit.set("choices", &*choices);
    Some(edit.into_text())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_probabilities_go() {
        let text = br#"{"id": "x", "choices":[{"index":0, "logprobs":{"content":[{"logprob":-1.0}]},"message":{"content":"a"}}], "n":1.0}"#;
        assert_eq!(
            without(text).unwrap(),
            r#"{"id": "x", "choices":[{"index":0, "logprobs":null,"message":{"content":"a"}}], "n":1.0}"#
        );
        assert_eq!(without(b"{}"), None);
    }

    #[test]
    fn they_are_asked_for_at_openais_chat_only_and_only_once() {
        let is_missing =
            |endpoint, body: &'static str| are_missing(endpoint, &RequestBody::json(body));
        assert!(is_missing(Endpoint::ChatCompletions, "{}"));
        assert!(is_missing(
            Endpoint::ChatCompletions,
            r#"{"logprobs":false}"#
        ));
        assert!(!is_missing(
            Endpoint::ChatCompletions,
            r#"{"logprobs":true}"#
        ));
        assert!(!is_missing(Endpoint::Messages, "{}"));
    }
}
