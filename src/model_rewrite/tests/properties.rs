use std::collections::HashSet;

use proptest::{prelude::*, sample::select};
use serde_json::json;

use super::*;
use crate::wire::json::{Index, Members};

/// Names that rules may be about. Those that begin with `keep_` are about none.
const NAMES: [&str; 6] = ["a", "b", "c", "max_tokens", "stream", "\u{e9}"];

fn any_rule() -> impl Strategy<Value = ParamRule> {
    let name = || select(&NAMES[..]);
    let value = || select(vec![json!(null), json!(1.5), json!({"a": [1]})]);
    (
        select(vec!["*", "real", "r*l", "other"]),
        prop::option::of((name(), name())),
        prop::collection::vec(select(vec!["a", "b*", "*_tokens"]), 0..2),
        prop::option::of((name(), value())),
        prop::option::of((name(), value())),
        1..1000u64,
    )
        .prop_map(|(model, rename, drop, set, default, cap)| {
            let mut rule = ParamRule::new([model]).drop(drop).max_output_tokens(cap);
            if let Some((from, to)) = rename {
                rule = rule.rename(from, to);
            }
            if let Some((name, value)) = set {
                rule = rule.set(name, value);
            }
            if let Some((name, value)) = default {
                rule = rule.default_value(name, value);
            }
            rule
        })
}

fn any_body() -> impl Strategy<Value = String> {
    let space = || select(vec!["", " ", "\n\t"]);
    let name = prop_oneof![
        select(&NAMES[..]).prop_map(str::to_owned),
        "keep_[a-z]{1,3}"
    ];
    let value = select(vec![
        "1.0",
        "1e400",
        "null",
        r#""\u00e9""#,
        "[ 1 ,{} ]",
        r#"{"a": 1}"#,
        "5000",
    ]);
    let member = (name, space(), space(), value);
    (prop::collection::vec(member, 0..12), space()).prop_map(|(members, end)| {
        let mut seen = HashSet::new();
        let mut text = r#"{ "model":"real""#.to_owned();
        for (name, before, after, value) in members {
            if seen.insert(name.clone()) {
                for part in [
                    ",", before, "\"", &name, "\"", after, ":", before, value, after,
                ] {
                    text += part;
                }
            }
        }
        text + "}" + end
    })
}

fn unnamed(members: Members<'_>) -> Vec<(String, Vec<u8>)> {
    members
        .iter()
        .filter(|(name, _)| name.starts_with("keep_") || name == "model")
        .map(|(name, value)| (name.into_owned(), value.raw().to_vec()))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn whatever_the_rules_unnamed_members_stay_byte_for_byte_and_in_order(
        rules in prop::collection::vec(any_rule(), 1..4),
        text in any_body(),
    ) {
        // Rules that cannot work have tests of their own.
        let rules = rules
            .into_iter()
            .filter(|rule| aliases([]).rule(rule.clone()).build().is_ok());
        let layer = rules.fold(aliases([]), ModelRewriteBuilder::rule).build().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let request = runtime.block_on(passed(&layer, post(CHAT, &text))).unwrap();

        let after = request.body().as_bytes().unwrap();
        let (before_index, after_index) = (Index::parse(text.as_bytes()).unwrap(), Index::parse(after).unwrap());
        prop_assert_eq!(unnamed(before_index.members(text.as_bytes())), unnamed(after_index.members(after)));
        // What the edit left as the index is that of its text.
        let indexed = request.body().members().unwrap().unwrap();
        prop_assert!(indexed.iter().map(|(name, value)| (name, value.raw()))
            .eq(after_index.members(after).iter().map(|(name, value)| (name, value.raw()))));
    }
}
