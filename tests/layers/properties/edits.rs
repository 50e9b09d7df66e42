//! Splices through a request, against a model that decodes and encodes.

use http::Request;
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use tower_relay::{
    message::{self, RequestBody},
    wire::json::NewValue,
};

#[derive(Debug, Clone)]
enum Change {
    Set(String, Value),
    Rename(String, String),
    Remove(String),
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("model".to_owned()),
        Just("stream".to_owned()),
        Just("é\"\\\n".to_owned()),
        Just(String::new()),
        "[a-c]{1,2}",
    ]
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map(name(), inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let change = prop_oneof![
        (name(), value()).prop_map(|(name, value)| Change::Set(name, value)),
        (name(), name()).prop_map(|(old, new)| Change::Rename(old, new)),
        name().prop_map(Change::Remove),
    ];
    prop::collection::vec(change, 0..6)
}

/// The object as text, in a random spelling: spaces around everything, and each value as it is written.
fn spelled(members: &[(String, Value)], space: &str) -> String {
    let members: Vec<_> = members
        .iter()
        .map(|(name, value)| {
            format!(
                "{space}{}{space}:{space}{value}{space}",
                Value::from(name.as_str())
            )
        })
        .collect();
    format!("{space}{{{}}}{space}", members.join(","))
}

fn apply(map: &mut Map<String, Value>, change: &Change) {
    match change {
        Change::Set(name, value) => _ = map.insert(name.clone(), value.clone()),
        Change::Remove(name) => _ = map.remove(name),
        Change::Rename(old, new) => {
            if map.contains_key(old) && !map.contains_key(new) {
                let value = map.remove(old).unwrap();
                map.insert(new.clone(), value);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn a_splice_means_what_decoding_and_encoding_would(
        members in prop::collection::hash_map(name(), value(), 0..6),
        space in "[ \t\n\r]{0,2}",
        edits in prop::collection::vec(changes(), 1..3),
    ) {
        let members: Vec<_> = members.into_iter().collect();
        let text = spelled(&members, &space);
        let mut model: Map<String, Value> = members.into_iter().collect();
        let mut request = Request::post("/v1/chat/completions")
            .header("content-length", text.len())
            .header("content-digest", "sha-256=:x:")
            .body(RequestBody::json(text.clone()))
            .unwrap();
        // Several edits, one after the other: each stands on the index that the one before has left.
        for changes in &edits {
            message::edit(&mut request, |edit| {
                for change in changes {
                    match change {
                        Change::Set(name, value) => _ = edit.set(name, NewValue::from(value.clone())),
                        Change::Rename(old, new) => _ = edit.rename(old, new),
                        Change::Remove(name) => _ = edit.remove(name),
                    }
                }
            }).unwrap();
            for change in changes {
                apply(&mut model, change);
            }
        }

        let edited = request.body().as_bytes().unwrap();
        prop_assert_eq!(serde_json::from_slice::<Value>(edited).unwrap(), json!(model));
        prop_assert_eq!(request.headers()["content-length"].to_str().unwrap(), edited.len().to_string());
        prop_assert!(*edited == text || !request.headers().contains_key("content-digest"));
        let members = request.body().members().unwrap().unwrap();
        prop_assert_eq!(members.len(), model.len());
        for (name, value) in &model {
            prop_assert_eq!(members.get(name).unwrap().deserialize::<Value>().unwrap(), value.clone());
        }
    }

    #[test]
    fn what_is_not_named_keeps_its_bytes(before in ".{0,12}", number in "-?[1-9][0-9]{0,25}(\\.0+)?(e-?[1-9])?") {
        let kept = format!(r#" {{ "a":{} , "n" : {number},"#, Value::from(before));
        let text = format!(r#"{kept}"model" :"x" , "z":1.0 }} "#);
        let mut request = Request::post("/v1/embeddings").body(RequestBody::json(text)).unwrap();
        message::edit(&mut request, |edit| { edit.set("model", "yy"); }).unwrap();
        let expected = format!(r#"{kept}"model" :"yy" , "z":1.0 }} "#);
        prop_assert_eq!(request.body().as_bytes().unwrap(), expected.as_bytes());
    }
}
