//! Usage in OpenAI's fields.

use serde_json::{Value as Json, json, value::RawValue};

use crate::{
    message::usage::UsageScan,
    wire::json::{Index, Kind, Value},
};

/// The `usage` of `text` with OpenAI's counts and sums; all else of it stays. `None` where it has them, or is `null`.
pub(super) fn repaired(text: &[u8], usage: Value<'_>) -> Option<Box<RawValue>> {
    if usage.kind() != Kind::Object {
        return None;
    }
    let mut scan = UsageScan::default();
    scan.body(text);
    let counts = scan.usage()?;
    let index = Index::parse(usage.raw()).ok()?;
    let members = index.members(usage.raw());
    let mut edit = members.edit();
    for (name, count) in [
        ("prompt_tokens", counts.total_input()),
        ("completion_tokens", counts.total_output()),
        ("total_tokens", counts.total()),
    ] {
        if members.get(name).and_then(Value::as_u64) != Some(count) {
            edit.set(name, count);
        }
    }
    let written = counts.cache_write_5m.saturating_add(counts.cache_write_1h);
    let details: [(&str, &[(&str, u64)]); 2] = [
        (
            "prompt_tokens_details",
            &[
                ("cached_tokens", counts.cache_read),
                ("cache_write_tokens", written),
            ],
        ),
        (
            "completion_tokens_details",
            &[("reasoning_tokens", counts.reasoning)],
        ),
    ];
    for (name, counts) in details {
        let stated = members
            .get(name)
            .and_then(|details| details.deserialize::<Json>().ok());
        let mut wanted = stated
            .clone()
            .filter(Json::is_object)
            .unwrap_or_else(|| json!({}));
        if let Some(wanted) = wanted.as_object_mut() {
            wanted.retain(|_, count| !count.is_null());
            for (name, count) in counts {
                if *count > 0 {
                    wanted.insert((*name).to_owned(), (*count).into());
                }
            }
        }
        let is_hollow = stated.is_none() && wanted == json!({});
        if !is_hollow && stated.as_ref() != Some(&wanted) {
            edit.set(name, wanted);
        }
    }
    if !edit.is_changed() {
        return None;
    }
    serde_json::from_slice(&edit.finish().0).ok()
}
