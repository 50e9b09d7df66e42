//! Usage in OpenAI's fields.

use serde_json::{Value as Json, json, value::RawValue};

use crate::{
    message::usage::UsageScan,
    wire::json::{Cursor, Index, Kind, Value},
};

/// Whether the usage at which `cursor` stands has OpenAI's counts and sums, so that [`repaired`] would change
/// nothing. Takes it.
pub(super) fn conforms(cursor: &mut Cursor<'_>) -> Option<()> {
    let mut plain = *cursor;
    if is_plain(&mut plain).is_some() {
        *cursor = plain;
        return Some(());
    }
    // Counts of other names may be copies, or parts: who reads them for the bill knows.
    let usage = cursor.value()?;
    repaired(usage).is_none().then_some(())
}

/// Whether there is nothing but OpenAI's own counts, and they add up.
fn is_plain(cursor: &mut Cursor<'_>) -> Option<()> {
    let (mut input, mut output, mut total) = (None, None, None);
    let (mut cached, mut reasoning) = (0, 0);
    let set = |slot: &mut Option<u64>, cursor: &mut Cursor<'_>| {
        let count = cursor.value()?.as_u64()?;
        slot.replace(count).is_none().then_some(())
    };
    let parts = |part: &mut u64, counted: &[u8], cursor: &mut Cursor<'_>| {
        cursor.members(|cursor, name| {
            let count = cursor.value()?.as_u64()?;
            match name {
                b"cached_tokens" | b"reasoning_tokens" if name == counted => *part = count,
                b"audio_tokens" | b"accepted_prediction_tokens" | b"rejected_prediction_tokens"
                    if count == 0 => {}
                _ => return None,
            }
            Some(())
        })
    };
    cursor.members(|cursor, name| match name {
        b"prompt_tokens" => set(&mut input, cursor),
        b"completion_tokens" => set(&mut output, cursor),
        b"total_tokens" => set(&mut total, cursor),
        b"prompt_tokens_details" => parts(&mut cached, b"cached_tokens", cursor),
        b"completion_tokens_details" => parts(&mut reasoning, b"reasoning_tokens", cursor),
        _ => None,
    })?;
    let (input, output) = (input?, output?);
    let adds_up = input.checked_add(output) == total;
    (adds_up && cached <= input && reasoning <= output).then_some(())
}

/// Usage with OpenAI's counts and sums; all else of it stays. `None` where it has them, or is `null`.
pub(super) fn repaired(usage: Value<'_>) -> Option<Box<RawValue>> {
    if usage.kind() != Kind::Object {
        return None;
    }
    let mut scan = UsageScan::default();
    scan.body(&[b"{\"usage\":", usage.raw(), b"}"].concat());
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
    serde_json::from_slice(&edit.into_text()).ok()
}
