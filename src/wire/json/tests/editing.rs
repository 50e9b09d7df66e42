use serde_json::value::RawValue;

use super::{edited, parse};
use crate::wire::json::{Edit, MAX_MEMBERS, MemberExists, NewValue};

#[test]
fn a_value_is_replaced_where_it_stands() {
    let text = " { \"a\" : 1.0 ,\n\"model\" :  \"old\"  , \"z\":[ ] } \n";
    assert_eq!(
        edited(text, |edit| _ = edit.set("model", "new\n")),
        text.replace("\"old\"", "\"new\\n\"")
    );
}

#[test]
fn an_absent_member_is_added_at_the_end() {
    assert_eq!(edited("{}", |edit| _ = edit.set("a", 1)), r#"{"a":1}"#);
    assert_eq!(
        edited(" { } ", |edit| _ = edit.set("a", 1)),
        r#" {"a":1 } "#
    );
    assert_eq!(
        edited("{\n  \"a\": 1\n}", |edit| _ =
            edit.set("b\"", 2).set("c", 3)),
        "{\n  \"a\": 1,\"b\\\"\":2,\"c\":3\n}"
    );
}

#[test]
fn a_name_spelled_with_escapes_keeps_its_spelling() {
    let text = r#"{"mod\u0065l":"a"}"#;
    assert_eq!(
        edited(text, |edit| _ = edit.set("model", "b")),
        r#"{"mod\u0065l":"b"}"#
    );
    assert_eq!(edited(text, |edit| assert!(edit.remove("model"))), "{}");
}

#[test]
fn a_removed_member_takes_one_comma_with_it() {
    let text = "{ \"a\": 1 ,\n  \"b\": 2,  \"c\": 3 }";
    assert_eq!(
        edited(text, |edit| assert!(edit.remove("a"))),
        "{ \"b\": 2,  \"c\": 3 }"
    );
    assert_eq!(
        edited(text, |edit| assert!(edit.remove("b"))),
        "{ \"a\": 1,  \"c\": 3 }"
    );
    assert_eq!(
        edited(text, |edit| assert!(edit.remove("c"))),
        "{ \"a\": 1 ,\n  \"b\": 2 }"
    );
    let all = |edit: &mut Edit<'_>| {
        for name in ["b", "a", "c"] {
            assert!(edit.remove(name));
        }
        assert!(!edit.remove("a"));
    };
    assert_eq!(edited(text, all), "{  }");
    assert_eq!(
        edited(text, |edit| {
            all(edit);
            edit.set("d", 4);
        }),
        "{ \"d\":4 }"
    );
}

#[test]
fn a_rename_keeps_place_and_value() {
    let text = r#"{"a":0,"max_tokens" : 1e1 ,"b":2}"#;
    let renamed = edited(text, |edit| {
        assert_eq!(edit.rename("max_tokens", "max_completion_tokens"), Ok(true));
    });
    assert_eq!(renamed, text.replace("max_tokens", "max_completion_tokens"));
}

#[test]
fn a_rename_to_a_name_in_use_changes_nothing() {
    let text = r#"{"a":1,"b":2}"#;
    let untouched = edited(text, |edit| {
        assert_eq!(
            edit.rename("a", "b"),
            Err(MemberExists { name: "b".into() })
        );
        assert_eq!(edit.rename("c", "b"), Ok(false));
        assert_eq!(edit.rename("c", "c"), Ok(false));
        assert_eq!(edit.rename("a", "a"), Ok(true));
        assert!(!edit.is_changed());
    });
    assert_eq!(untouched, text);
}

#[test]
fn setting_what_is_there_is_no_change() {
    let text = r#"{"model":"a","n":1.0,"stream":true}"#;
    let index = parse(text).unwrap();
    let mut edit = index.members(text.as_bytes()).edit();
    assert!(!edit.set("model", "a").set("stream", true).is_changed());
    assert!(
        edit.set("n", 1).is_changed(),
        "another spelling is a change"
    );
}

#[test]
fn every_kind_of_new_value_is_written_as_json() {
    let other = r#"{"x": [1.0, 2] }"#;
    let index = parse(other).unwrap();
    let borrowed: &RawValue = serde_json::from_str(" 1.50 ").unwrap();
    let text = edited("{}", |edit| {
        edit.set("string", "\"é\u{1}")
            .set("bool", false)
            .set("number", u64::MAX)
            .set("tree", serde_json::json!({"a": [null]}))
            .set("value", NewValue::serialize(&["s"]).unwrap())
            .set("boxed", RawValue::from_string(" 1e5 ".into()).unwrap())
            .set("raw", borrowed.to_owned());
    });
    assert_eq!(
        text,
        r#"{"string":"\"é\u0001","bool":false,"number":18446744073709551615,"tree":{"a":[null]},"value":["s"],"boxed":1e5,"raw":1.50}"#
    );
    let base = parse("{}").unwrap();
    let mut edit = base.members(b"{}").edit();
    edit.set("x", index.members(other.as_bytes()).get("x").unwrap())
        .set("raw", borrowed);
    assert_eq!(edit.into_text(), r#"{"x":[1.0, 2],"raw":1.50}"#);
}

#[test]
fn an_edit_may_exceed_the_member_limit() {
    let members: Vec<_> = (0..MAX_MEMBERS).map(|n| format!("\"{n}\":{n}")).collect();
    let text = format!("{{{}}}", members.join(","));
    let index = parse(&text).unwrap();
    let mut edit = index.members(text.as_bytes()).edit();
    edit.set("model", "x");
    let (text, index) = edit.finish();
    assert_eq!(
        index
            .members(&text)
            .get("model")
            .unwrap()
            .as_str()
            .as_deref(),
        Some("x")
    );
}
