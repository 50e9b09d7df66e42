//! Embeddings. A vector stays as it came, a list of numbers or base64.

use bytes::Bytes;
use serde_json::value::RawValue;

use super::{
    api::Api,
    choice::{each, edited},
    head::Answer,
    repairs::{Repair, Repairs},
};
use crate::{
    message::usage::UsageScan,
    wire::json::{Index, Kind, Members, Value},
};

/// The body as OpenAI would have sent it; `None` where it is so already, or holds no embeddings.
pub(super) fn repaired(text: &[u8], answer: &Answer, repairs: &mut Repairs) -> Option<Bytes> {
    let index = Index::parse(text).ok()?;
    let members = index.members(text);
    let mut edit = members.edit();
    let data = members
        .get("data")
        .filter(|data| data.kind() == Kind::Array);
    if let Some(data) = data {
        if let Some(data) = each(data.raw(), |at, raw| item(raw, at, repairs)) {
            edit.set("data", data);
        }
    } else {
        let name = ["embeddings", "embedding"]
            .into_iter()
            .find(|name| members.contains(name))?;
        edit.set("data", list(&vectors(members.get(name)?)?));
        edit.remove(name);
        repairs.add(Repair::Data);
    }
    let object = Api::Embeddings.object(false);
    if members.get("object").and_then(Value::as_str).as_deref() != Some(object) {
        edit.set("object", object);
        repairs.add(Repair::Object);
    }
    let model = members.get("model").and_then(Value::as_str);
    if model.is_none_or(|model| model.is_empty()) {
        edit.set("model", answer.model.as_str());
        repairs.add(Repair::Model);
    }
    if let Some(usage) = usage(text, members) {
        edit.set("usage", usage);
        repairs.add(Repair::Usage);
    }
    edit.is_changed().then(|| edit.into_text())
}

fn item(raw: &[u8], at: usize, repairs: &mut Repairs) -> Option<String> {
    let index = Index::parse(raw).ok()?;
    let members = index.members(raw);
    let mut edit = members.edit();
    if members.get("object").and_then(Value::as_str).as_deref() != Some("embedding") {
        edit.set("object", "embedding");
        repairs.add(Repair::Object);
    }
    if members.get("index").and_then(Value::as_u64).is_none() {
        edit.set("index", at as u64);
        repairs.add(Repair::Index);
    }
    edited(edit)
}

/// The vectors of an API of the provider's own: one, a list, a list of objects that hold them, or lists by their type.
fn vectors(value: Value<'_>) -> Option<Vec<Box<RawValue>>> {
    let value: Box<RawValue> = value.deserialize().ok()?;
    let value = if is_object(&value) {
        held(&value)?
    } else {
        value
    };
    let items: Vec<Box<RawValue>> = serde_json::from_str(value.get()).ok()?;
    if items.first().is_some_and(|item| is_number(item)) {
        return Some(vec![value]);
    }
    items
        .into_iter()
        .map(|item| {
            if is_object(&item) {
                held(&item)
            } else {
                Some(item)
            }
        })
        .collect()
}

/// The vector, or vectors, in an object.
fn held(object: &RawValue) -> Option<Box<RawValue>> {
    let text = object.get().as_bytes();
    let index = Index::parse(text).ok()?;
    let members = index.members(text);
    ["values", "embedding", "float", "base64"]
        .into_iter()
        .find_map(|name| members.get(name)?.deserialize().ok())
}

fn is_object(item: &RawValue) -> bool {
    item.get().starts_with('{')
}

fn is_number(item: &RawValue) -> bool {
    item.get()
        .starts_with(|first: char| first == '-' || first.is_ascii_digit())
}

fn list(vectors: &[Box<RawValue>]) -> Box<RawValue> {
    let items = vectors.iter().enumerate().map(|(index, vector)| {
        format!(r#"{{"object":"embedding","index":{index},"embedding":{vector}}}"#)
    });
    let items: Vec<_> = items.collect();
    RawValue::from_string(format!("[{}]", items.join(","))).unwrap_or_default()
}

/// OpenAI's counts, where they are not there. Its clients insist on them, so they are 0 where nothing tells them.
fn usage(text: &[u8], members: Members<'_>) -> Option<Box<RawValue>> {
    let stated = members
        .get("usage")
        .filter(|usage| usage.kind() == Kind::Object);
    let raw = stated.map_or(b"{}".as_slice(), Value::raw);
    let index = Index::parse(raw).ok()?;
    let usage = index.members(raw);
    let mut edit = usage.edit();
    let mut scan = UsageScan::default();
    scan.body(text);
    let counts = scan.usage().unwrap_or_default();
    for (name, count) in [
        ("prompt_tokens", counts.total_input()),
        ("total_tokens", counts.total()),
    ] {
        if usage.get(name).and_then(Value::as_u64).is_none() {
            edit.set(name, count);
        }
    }
    edited(edit).and_then(|usage| RawValue::from_string(usage).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::normalize::Reasoning;

    fn repaired(text: &str) -> String {
        let answer = Answer {
            id: String::new(),
            created: 0,
            model: "asked".into(),
            openai: false,
            api: Api::Embeddings,
            reasoning: Reasoning::Keep,
        };
        let repaired = super::repaired(text.as_bytes(), &answer, &mut Repairs::default());
        repaired.map_or_else(
            || text.to_owned(),
            |text| String::from_utf8(text.to_vec()).unwrap(),
        )
    }

    #[test]
    fn what_is_missing_is_added_and_vectors_stay_as_they_came() {
        for (given, expected) in [
            (
                r#"{"data":[{"embedding":"AAA="},{"embedding":[1.0, -2e-5],"index":7}],"usage":{"total_tokens":3}}"#,
                r#"{"data":[{"embedding":"AAA=","object":"embedding","index":0},{"embedding":[1.0, -2e-5],"index":7,"object":"embedding"}],"usage":{"total_tokens":3,"prompt_tokens":3},"object":"list","model":"asked"}"#,
            ),
            (
                r#"{"model":"m","embeddings":[[1.50],[2]],"prompt_eval_count":9}"#,
                r#"{"model":"m","prompt_eval_count":9,"data":[{"object":"embedding","index":0,"embedding":[1.50]},{"object":"embedding","index":1,"embedding":[2]}],"object":"list","usage":{"prompt_tokens":9,"total_tokens":9}}"#,
            ),
            (
                r#"{"model":"m","embedding":[1,2]}"#,
                r#"{"model":"m","data":[{"object":"embedding","index":0,"embedding":[1,2]}],"object":"list","usage":{"prompt_tokens":0,"total_tokens":0}}"#,
            ),
            (
                r#"{"model":"m","embeddings":[{"values":[1]}]}"#,
                r#"{"model":"m","data":[{"object":"embedding","index":0,"embedding":[1]}],"object":"list","usage":{"prompt_tokens":0,"total_tokens":0}}"#,
            ),
            (
                r#"{"model":"m","embeddings":{"float":[[1],[2]]},"meta":{"billed_units":{"input_tokens":4}}}"#,
                r#"{"model":"m","meta":{"billed_units":{"input_tokens":4}},"data":[{"object":"embedding","index":0,"embedding":[1]},{"object":"embedding","index":1,"embedding":[2]}],"object":"list","usage":{"prompt_tokens":4,"total_tokens":4}}"#,
            ),
        ] {
            assert_eq!(repaired(given), expected);
            assert_eq!(repaired(expected), expected);
        }
    }

    #[test]
    fn what_conforms_or_is_no_answer_stays() {
        for given in [
            r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":[1]}],"model":"m","usage":{"prompt_tokens":1,"total_tokens":1}}"#,
            r#"{"error":{"message":"no"}}"#,
            r#"{"embeddings":"?"}"#,
            "[1",
        ] {
            assert_eq!(repaired(given), given);
        }
    }
}
