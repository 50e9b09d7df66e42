//! What must hold of the JSON index and its edits whatever a caller sends.

use std::collections::BTreeMap;

use serde_json::value::RawValue;
use tower_relay::wire::json::{Index, JsonErrorKind, Value};

type Members<'a> = BTreeMap<String, &'a RawValue>;

/// What is indexed is what serde_json reads; what is edited is as if it had been parsed anew, and nothing else has changed.
pub(crate) fn edit(data: &[u8]) {
    let [what, text @ ..] = data else {
        return;
    };
    let index = match Index::parse(text) {
        Ok(index) => index,
        Err(error) => {
            assert!(error.offset() <= text.len());
            let is_json = serde_json::from_slice::<Members<'_>>(text).is_ok();
            let is_malformed = matches!(error.kind(), JsonErrorKind::Malformed { .. });
            assert!(!(is_json && is_malformed), "{error}");
            return;
        }
    };
    let members = index.members(text);
    let read: Members<'_> = serde_json::from_slice(text).expect("what is indexed is JSON");
    assert_eq!(read.len(), members.len());
    for (name, value) in members.iter() {
        assert_eq!(read[&*name].get().as_bytes(), value.raw());
    }

    let name = members.iter().nth(usize::from(what / 4));
    let name = name.map_or_else(|| "model".to_owned(), |(name, _)| name.into_owned());
    let mut edit = members.edit();
    match what % 4 {
        0 => drop(edit.set(&name, "a \"new\" value")),
        1 => drop(edit.remove(&name)),
        2 => drop(edit.rename(&name, "renamed")),
        _ => drop(edit.set("added", true).remove(&name)),
    }
    let (edited, shifted) = edit.finish();
    assert!(edited.len() <= text.len() + 64);
    if let Ok(parsed) = Index::parse(&edited) {
        assert_eq!(parsed, shifted);
    } else {
        // Only one member more than may be.
        assert!(members.len() >= tower_relay::wire::json::MAX_MEMBERS);
    }
    for (other, value) in members.iter().filter(|(other, _)| **other != *name) {
        if !matches!(&*other, "renamed" | "added") {
            let kept = shifted.members(&edited).get(&other);
            assert_eq!(kept.map(Value::raw), Some(value.raw()));
        }
    }
}
