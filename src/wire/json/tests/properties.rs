use std::{
    collections::{BTreeMap, HashSet},
    fmt::Write,
};

use proptest::{collection::vec, prelude::*, sample::select};
use serde::{
    Deserialize,
    de::{Deserializer, Error as _, IgnoredAny, MapAccess, Visitor},
};

use super::parse;

/// Reads an object as serde_json does, refusing duplicate names.
struct Distinct;

impl<'de> Deserialize<'de> for Distinct {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Names;
        impl<'de> Visitor<'de> for Names {
            type Value = Distinct;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Distinct, A::Error> {
                let mut names = HashSet::new();
                while let Some((name, _)) = map.next_entry::<String, IgnoredAny>()? {
                    if !names.insert(name) {
                        return Err(A::Error::custom("duplicate"));
                    }
                }
                Ok(Distinct)
            }
        }
        deserializer.deserialize_map(Names)
    }
}

fn agrees_with_serde(text: &[u8]) -> Result<(), TestCaseError> {
    let ours = parse(text);
    let expected =
        std::str::from_utf8(text).is_ok_and(|text| serde_json::from_str::<Distinct>(text).is_ok());
    prop_assert_eq!(ours.is_ok(), expected, "{:?}", ours);
    if let Err(error) = ours {
        let lines: Vec<_> = text[..error.offset()]
            .split(|byte| *byte == b'\n')
            .collect();
        prop_assert_eq!(error.line(), lines.len());
        prop_assert_eq!(error.column(), lines[lines.len() - 1].len() + 1);
    }
    Ok(())
}

fn space() -> impl Strategy<Value = String> {
    prop_oneof![4 => Just(String::new()), 1 => "[ \t\r\n]{1,3}"]
}

/// A JSON string of the text, with some characters escaped that need not be.
fn quoted(text: &str, escape: bool) -> String {
    let mut json = String::from("\"");
    for (at, character) in text.chars().enumerate() {
        if character < ' ' || matches!(character, '"' | '\\') || escape && at % 2 == 0 {
            for unit in character.encode_utf16(&mut [0; 2]) {
                write!(json, "\\u{unit:04X}").unwrap();
            }
        } else {
            json.push(character);
        }
    }
    json + "\""
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        select(&["model", "a", "b", "c", "stream", "", "é\"", "😀\n"][..]).prop_map(str::to_owned),
        "\\PC{0,4}"
    ]
}

fn value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        select(
            &[
                "null",
                "true",
                "false",
                "0",
                "-0",
                "1.0",
                "1e5",
                "1E-5",
                "-12.50e+1",
                "12345678901234567890"
            ][..]
        )
        .prop_map(str::to_owned),
        (any::<String>(), any::<bool>()).prop_map(|(text, escape)| quoted(&text, escape)),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        let items = vec(
            (space(), inner.clone(), space()).prop_map(|(a, v, b)| a + &v + &b),
            0..4,
        );
        prop_oneof![
            items.prop_map(|items| format!("[{}]", items.join(","))),
            object(vec((name(), inner), 0..4)).prop_map(|object| object.text)
        ]
    })
}

/// An object as text, and the members that went into it: name and raw value.
#[derive(Debug)]
struct Object {
    text: String,
    members: Vec<(String, String)>,
}

/// Names are made distinct by dropping the later ones.
fn object(members: impl Strategy<Value = Vec<(String, String)>>) -> impl Strategy<Value = Object> {
    (members, vec(space(), 5), any::<bool>()).prop_map(|(mut members, space, escape)| {
        let mut seen = HashSet::new();
        members.retain(|(name, _)| seen.insert(name.clone()));
        let list: Vec<_> = members
            .iter()
            .map(|(name, value)| {
                let name = quoted(name, escape);
                [
                    &space[0], &name, &space[1], ":", &space[2], value, &space[3],
                ]
                .concat()
            })
            .collect();
        let text = format!("{{{}{}}}", list.join(","), space[4]);
        Object { text, members }
    })
}

#[derive(Debug, Clone)]
enum Change {
    Set(String, serde_json::Value),
    Rename(String, String),
    Remove(String),
}

fn change() -> impl Strategy<Value = Change> {
    let json = value().prop_map(|json| serde_json::from_str(&json).unwrap());
    prop_oneof![
        (name(), json).prop_map(|(name, value)| Change::Set(name, value)),
        (name(), name()).prop_map(|(old, new)| Change::Rename(old, new)),
        name().prop_map(Change::Remove),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn edits_do_to_the_text_what_they_would_do_to_a_map(
        before in space(), object in object(vec((name(), value()), 0..24)), after in space(),
        changes in vec(change(), 0..8),
    ) {
        let text = before + &object.text + &after;
        let index = parse(&text).unwrap();
        let members = index.members(text.as_bytes());
        prop_assert_eq!(members.len(), object.members.len());
        for ((name, value), expected) in members.iter().zip(&object.members) {
            prop_assert_eq!((&*name, value.raw()), (expected.0.as_str(), expected.1.as_bytes()));
        }

        let mut model: BTreeMap<String, serde_json::Value> = serde_json::from_str(&text).unwrap();
        let mut untouched: BTreeMap<String, &[u8]> =
            members.iter().map(|(name, value)| (name.into_owned(), value.raw())).collect();

        let mut edit = members.edit();
        for change in changes {
            match change {
                Change::Set(name, value) => {
                    edit.set(&name, value.clone());
                    untouched.remove(&name);
                    model.insert(name, value);
                }
                Change::Rename(old, new) => {
                    let clash = old != new && model.contains_key(&old) && model.contains_key(&new);
                    let renamed = edit.rename(&old, &new);
                    prop_assert_eq!(renamed.is_err(), clash);
                    if renamed == Ok(true) {
                        if let Some(raw) = untouched.remove(&old) {
                            untouched.insert(new.clone(), raw);
                        }
                        let value = model.remove(&old).unwrap();
                        model.insert(new, value);
                    } else {
                        prop_assert!(clash || !model.contains_key(&old));
                    }
                }
                Change::Remove(name) => {
                    prop_assert_eq!(edit.remove(&name), model.remove(&name).is_some());
                    untouched.remove(&name);
                }
            }
        }
        let changed = edit.is_changed();
        let (result, reindex) = edit.write();
        let shifted = reindex.of(&index);

        prop_assert_eq!(result.capacity(), result.len());
        prop_assert_eq!(&shifted, &parse(&result).unwrap());
        prop_assert_eq!(serde_json::from_slice::<BTreeMap<String, serde_json::Value>>(&result).unwrap(), model);
        for (name, raw) in untouched {
            prop_assert_eq!(shifted.members(&result).get(&name).unwrap().raw(), raw);
        }
        if !changed {
            prop_assert_eq!(result, text.into_bytes());
        }
    }

    #[test]
    fn an_object_with_a_few_wrong_bytes_is_accepted_just_when_serde_json_accepts_it(
        object in object(vec((name(), value()), 0..6)),
        wrong in vec((any::<prop::sample::Index>(), select(&b"{}[]\",:\\ue01-. \n\0\xff"[..])), 0..3),
    ) {
        let mut text = object.text.into_bytes();
        for (at, byte) in wrong {
            let at = at.index(text.len());
            text[at] = byte;
        }
        agrees_with_serde(&text)?;
    }

    #[test]
    fn member_lists_are_accepted_just_when_their_names_differ(names in vec(("[ab]{0,2}", any::<bool>()), 0..20)) {
        let members: Vec<_> = names.iter().map(|(name, escape)| quoted(name, *escape) + ":0").collect();
        agrees_with_serde(format!("{{{}}}", members.join(",")).as_bytes())?;
    }

    #[test]
    fn random_bytes_never_panic(text in vec(any::<u8>(), 0..64), json in vec(select(&b"{}[]\",:\\ue01-. \n\xff"[..]), 0..24)) {
        agrees_with_serde(&text)?;
        agrees_with_serde(&json)?;
    }

    #[test]
    fn a_whole_number_is_read_as_serde_json_reads_it(digits in 0_u64.., zeros in 0_usize..5) {
        let text = format!("{{\"a\":{digits},\"b\":{digits}.{}}}", "0".repeat(zeros + 1));
        let index = parse(&text).unwrap();
        let members = index.members(text.as_bytes());
        prop_assert_eq!(members.get("a").unwrap().as_u64(), Some(digits));
        prop_assert_eq!(members.get("b").unwrap().as_u64(), Some(digits));
    }
}
