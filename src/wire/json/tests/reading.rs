use std::borrow::Cow;

use serde::Deserialize;

use super::parse;
use crate::wire::json::{Kind, NewValue, Value};

fn value(json: &str) -> Value<'_> {
    assert!(parse(format!("{{\"v\": {json} }}")).is_ok(), "{json}");
    Value::new(json.as_bytes())
}

#[test]
fn a_value_knows_its_kind() {
    for (json, kind) in [
        ("null", Kind::Null),
        ("false", Kind::Bool),
        ("true", Kind::Bool),
        ("-1", Kind::Number),
        ("0", Kind::Number),
        ("\"null\"", Kind::String),
        ("[]", Kind::Array),
        ("{}", Kind::Object),
    ] {
        assert_eq!(value(json).kind(), kind);
        assert_eq!(value(json).is_null(), json == "null");
    }
}

#[test]
fn a_string_is_borrowed_unless_it_has_escapes() {
    let plain = value("\"gpt-4o é\"").as_str();
    assert!(matches!(plain, Some(Cow::Borrowed("gpt-4o é"))));
    let escaped = value(r#""a\n\u00e9\"""#).as_str();
    assert_eq!(escaped.as_deref(), Some("a\né\""));
    for json in [r#""\ud800""#, r#""\udc00\ud800""#, "1", "null", "[\"a\"]"] {
        assert!(value(json).as_str().is_none(), "{json}");
    }
}

#[test]
fn a_truth_value_is_not_a_number_or_a_string() {
    for (json, expected) in [
        ("true", Some(true)),
        ("false", Some(false)),
        ("1", None),
        ("\"true\"", None),
        ("null", None),
    ] {
        assert_eq!(value(json).as_bool(), expected);
    }
}

#[test]
fn a_whole_number_is_read_in_every_spelling() {
    for (json, expected) in [
        ("0", 0),
        ("10", 10),
        ("10.0", 10),
        ("10.000000000000000000000000", 10),
        ("1e1", 10),
        ("1E+1", 10),
        ("1.5e1", 15),
        ("0.1e1", 1),
        ("100e-1", 10),
        ("-0", 0),
        ("0e9999999999999999999999", 0),
        ("-0.0", 0),
        ("18446744073709551615", u64::MAX),
        ("18446744073709551615.0", u64::MAX),
        ("9007199254740993.0", 9_007_199_254_740_993),
    ] {
        assert_eq!(value(json).as_u64(), Some(expected), "{json}");
    }
    for json in [
        "-1",
        "-1e0",
        "0.5",
        "10.5",
        "1e-1",
        "15e-1",
        "18446744073709551616",
        "1e20",
        "1e9999999999999999999999",
        "1e-9999999999999999999999",
        "\"10\"",
        "true",
        "null",
        "[10]",
    ] {
        assert_eq!(value(json).as_u64(), None, "{json}");
    }
}

#[test]
fn a_value_decodes_into_a_type_that_borrows() {
    #[derive(Deserialize)]
    struct Options<'a> {
        name: &'a str,
    }
    let options: Options<'_> = value(r#"{"name":"x"}"#).deserialize().unwrap();
    assert_eq!(options.name, "x");
    assert!(value("3").deserialize::<Options<'_>>().is_err());
}

#[test]
fn debug_output_shows_no_values() {
    let text = r#"{"user":"secret"}"#;
    let index = parse(text).unwrap();
    let members = index.members(text.as_bytes());
    let mut edit = members.edit();
    edit.set("user", "secret too");
    let debug = format!(
        "{index:?} {members:?} {:?} {edit:?} {:?}",
        members.get("user"),
        NewValue::from("secret")
    );
    assert!(!debug.contains("secret"), "{debug}");
}
