//! Lists of models, and single ones.

use std::{borrow::Cow, time::UNIX_EPOCH};

use bytes::Bytes;

use super::{
    api::Api,
    choice::{each, edited},
    repairs::{Repair, Repairs},
};
use crate::wire::{
    json::{Index, Kind, Members, Value},
    rfc3339,
};

/// Whose a model is said to be where nothing tells.
const NOBODY: &str = "unknown";

/// The body as OpenAI would have sent it; `None` where it is so already, or tells of no models.
pub(super) fn repaired(text: &[u8], repairs: &mut Repairs) -> Option<Bytes> {
    let object = Api::Models.object(false);
    if text.trim_ascii_start().starts_with(b"[") {
        let models = serde_json::from_slice(text).ok()?;
        let models = each(text, |_, raw| model(raw, repairs)).unwrap_or(models);
        repairs.add(Repair::Data);
        repairs.add(Repair::Object);
        return Some(format!(r#"{{"object":"{object}","data":{models}}}"#).into());
    }
    let index = Index::parse(text).ok()?;
    let members = index.members(text);
    let list = ["data", "models", "results", "result"]
        .into_iter()
        .find_map(|name| {
            let list = members.get(name)?;
            (list.kind() == Kind::Array).then_some((name, list))
        });
    let Some((name, list)) = list else {
        return model(text, repairs).map(Bytes::from);
    };
    let mut edit = members.edit();
    if name != "data" {
        edit.set("data", list);
        edit.remove(name);
        repairs.add(Repair::Data);
    }
    if let Some(models) = each(list.raw(), |_, raw| model(raw, repairs)) {
        edit.set("data", models);
    }
    if members.get("object").and_then(Value::as_str).as_deref() != Some(object) {
        edit.set("object", object);
        repairs.add(Repair::Object);
    }
    edit.is_changed().then(|| edit.into_text())
}

fn model(raw: &[u8], repairs: &mut Repairs) -> Option<String> {
    // Some list nothing but names.
    let named;
    let mut raw = raw;
    if raw.starts_with(b"\"") {
        named = [b"{\"id\":", raw, b"}"].concat();
        raw = &named;
        repairs.add(Repair::Data);
    }
    let index = Index::parse(raw).ok()?;
    let members = index.members(raw);
    let mut edit = members.edit();
    let id = if let Some(id) = text(members, &["id"]) {
        id
    } else {
        let name = text(members, &["name", "model", "slug"])?;
        let id = name.strip_prefix("models/").unwrap_or(&name).to_owned();
        edit.set("id", &*id);
        repairs.add(Repair::Id);
        Cow::Owned(id)
    };
    if members.get("object").and_then(Value::as_str).as_deref() != Some("model") {
        edit.set("object", "model");
        repairs.add(Repair::Object);
    }
    if members.get("created").and_then(Value::as_u64).is_none() {
        edit.set("created", created(members).unwrap_or(0));
        repairs.add(Repair::Created);
    }
    if members
        .get("owned_by")
        .is_none_or(|owner| owner.kind() != Kind::String)
    {
        let owner = text(members, &["organization", "owner", "publisher"]);
        let owner = owner.as_deref().or_else(|| Some(id.split_once('/')?.0));
        edit.set("owned_by", owner.unwrap_or(NOBODY));
        repairs.add(Repair::OwnedBy);
    }
    edited(edit)
}

fn text<'a>(members: Members<'a>, names: &[&str]) -> Option<Cow<'a, str>> {
    let mut texts = names.iter().filter_map(|name| members.get(name)?.as_str());
    texts.find(|text| !text.is_empty())
}

/// Seconds since the epoch, of any spelling. OpenAI itself states 0 where it does not know.
fn created(members: Members<'_>) -> Option<u64> {
    ["created", "created_at", "createTime", "modified_at"]
        .into_iter()
        .filter_map(|name| members.get(name))
        .find_map(|value| {
            value.as_u64().or_else(|| {
                let since_epoch = rfc3339::parse(&value.as_str()?)?.duration_since(UNIX_EPOCH);
                Some(since_epoch.ok()?.as_secs())
            })
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repaired(text: &str) -> String {
        let repaired = super::repaired(text.as_bytes(), &mut Repairs::default());
        repaired.map_or_else(
            || text.to_owned(),
            |text| String::from_utf8(text.to_vec()).unwrap(),
        )
    }

    #[test]
    fn a_list_of_any_shape_becomes_openais() {
        for (given, expected) in [
            (
                r#"[{"id":"a/b","created":7}]"#,
                r#"{"object":"list","data":[{"id":"a/b","created":7,"object":"model","owned_by":"a"}]}"#,
            ),
            (
                r#"{"models":[{"name":"models/gemini","version":"1"}],"nextPageToken":"x"}"#,
                r#"{"nextPageToken":"x","data":[{"name":"models/gemini","version":"1","id":"gemini","object":"model","created":0,"owned_by":"unknown"}],"object":"list"}"#,
            ),
            (
                r#"{"data":[{"type":"model","id":"c","created_at":"1970-01-01T00:01:00Z"}],"has_more":false}"#,
                r#"{"data":[{"type":"model","id":"c","created_at":"1970-01-01T00:01:00Z","object":"model","created":60,"owned_by":"unknown"}],"has_more":false,"object":"list"}"#,
            ),
            (
                r#"["a",{"id":"b","object":"model","created":1,"owned_by":"x"}]"#,
                r#"{"object":"list","data":[{"id":"a","object":"model","created":0,"owned_by":"unknown"},{"id":"b","object":"model","created":1,"owned_by":"x"}]}"#,
            ),
            (
                r#"{"id":"one","organization":"o"}"#,
                r#"{"id":"one","organization":"o","object":"model","created":0,"owned_by":"o"}"#,
            ),
        ] {
            assert_eq!(repaired(given), expected);
            assert_eq!(repaired(expected), expected);
        }
    }

    #[test]
    fn what_conforms_or_tells_of_no_model_stays() {
        for given in [
            r#"{"object":"list","data":[{"id":"a","object":"model","created":0,"owned_by":""}]}"#,
            r#"{"object":"list","data":[]}"#,
            r#"{"error":{"message":"no"}}"#,
            "[1,",
        ] {
            assert_eq!(repaired(given), given);
        }
    }
}
