use super::{edited, error, parse, raw};
use crate::wire::json::{JsonErrorKind, MAX_MEMBERS};

#[test]
fn members_keep_their_order_and_their_spelling() {
    let text = "\r\n\t {\"b\" : 1.0 ,\"a\":[ 1 , {\"b\":2} ]\n,\"\" : -0e+1}\n ";
    let index = parse(text).unwrap();
    let members: Vec<_> = index
        .members(text.as_bytes())
        .iter()
        .map(|(name, value)| (name.into_owned(), std::str::from_utf8(value.raw()).unwrap()))
        .collect();
    let expected = [("b", "1.0"), ("a", "[ 1 , {\"b\":2} ]"), ("", "-0e+1")];
    assert_eq!(
        members,
        expected.map(|(name, value)| (name.to_owned(), value))
    );
}

#[test]
fn an_empty_object_has_no_members() {
    let text = b" { } ";
    let index = parse(text).unwrap();
    let members = index.members(text);
    assert!(members.is_empty());
    assert_eq!((members.len(), members.iter().len()), (0, 0));
    assert!(members.get("").is_none());
}

#[test]
fn a_name_is_found_and_listed_unescaped() {
    let text = r#"{"mod\u0065l":1,"a\/b":2,"\ud83d\ude00":3}"#;
    assert_eq!(raw(text, "model").as_deref(), Some("1"));
    assert_eq!(raw(text, "a/b").as_deref(), Some("2"));
    assert_eq!(raw(text, "😀").as_deref(), Some("3"));
    assert_eq!(raw(text, r"mod\u0065l"), None);
    let index = parse(text).unwrap();
    let names: Vec<_> = index
        .members(text.as_bytes())
        .iter()
        .map(|(name, _)| name)
        .collect();
    assert_eq!(names, ["model", "a/b", "😀"]);
}

#[test]
fn a_duplicate_name_is_an_error_at_its_second_place_however_it_is_spelled() {
    let error = parse("{\"model\":1,\n \"mod\\u0065l\":2}").unwrap_err();
    assert_eq!(
        *error.kind(),
        JsonErrorKind::DuplicateMember {
            name: "model".into()
        }
    );
    assert_eq!((error.offset(), error.line(), error.column()), (13, 2, 2));
    assert_eq!(
        error.to_string(),
        r#"duplicate member "model" at line 2 column 2"#
    );
    assert!(parse(r#"{"a":1,"b":2,"a":1}"#).is_err());
    assert!(
        parse(r#"{"a":{"b":1,"b":1}}"#).is_ok(),
        "nested names are not ours to judge"
    );
}

#[test]
fn a_duplicate_is_found_among_many_members_too() {
    let many: Vec<_> = (0..100).map(|n| format!("\"{n}\":0")).collect();
    let many = many.join(",");
    assert!(parse(format!("{{{many},\"last\":0}}")).is_ok());
    assert!(parse(format!("{{{many},\"57\":0}}")).is_err());
}

#[test]
fn an_error_keeps_only_the_beginning_of_a_long_name() {
    let name = "é".repeat(10_000);
    let error = parse(format!(r#"{{"{name}":1,"{name}":2}}"#)).unwrap_err();
    assert_eq!(
        *error.kind(),
        JsonErrorKind::DuplicateMember {
            name: "é".repeat(64)
        }
    );
}

#[test]
fn one_member_above_the_limit_is_an_error() {
    let object = |members: usize| {
        let members: Vec<_> = (0..members).map(|n| format!("\"{n}\":{n}")).collect();
        format!("{{{}}}", members.join(","))
    };
    assert_eq!(
        parse(object(MAX_MEMBERS)).unwrap().members(b"").len(),
        MAX_MEMBERS
    );
    let text = object(MAX_MEMBERS + 1);
    let error = parse(&text).unwrap_err();
    assert_eq!(*error.kind(), JsonErrorKind::TooManyMembers);
    assert_eq!(Some(error.offset()), text.find("\"512\""));
}

#[test]
fn a_value_of_another_kind_is_not_an_object() {
    for text in ["[]", " null", "1e5", "true", "\"{}\"", "[{}]"] {
        assert_eq!(
            *parse(text).unwrap_err().kind(),
            JsonErrorKind::NotAnObject,
            "{text}"
        );
    }
    assert_eq!(error(" [1]"), "not a JSON object, at line 1 column 2");
}

#[test]
fn malformed_text_is_reported_with_its_place() {
    for (text, message) in [
        (
            "",
            "malformed JSON at line 1 column 1: EOF while parsing a value",
        ),
        (
            "\n\n",
            "malformed JSON at line 3 column 1: EOF while parsing a value",
        ),
        (
            "\u{feff}{}",
            "malformed JSON at line 1 column 1: expected value",
        ),
        (
            "model=x",
            "malformed JSON at line 1 column 1: expected value",
        ),
        (
            "{\"model\": \"gpt-4o\", \"n\": ,}",
            "malformed JSON at line 1 column 26: expected value",
        ),
        (
            "{\"a\":1,}",
            "malformed JSON at line 1 column 8: trailing comma",
        ),
        (
            "{\"a\":1}\n{",
            "malformed JSON at line 2 column 1: trailing characters",
        ),
        (
            "{\"a\":1",
            "malformed JSON at line 1 column 6: EOF while parsing an object",
        ),
        (
            "{\n\n\"a\":tru}",
            "malformed JSON at line 3 column 8: expected ident",
        ),
        (
            "{a:1}",
            "malformed JSON at line 1 column 2: key must be a string",
        ),
    ] {
        assert_eq!(error(text), message, "{text}");
    }
}

#[test]
fn the_offset_of_an_error_agrees_with_its_line_and_column() {
    let text = "{\n \"a\": 1,\n \"b\": nope}";
    let error = parse(text).unwrap_err();
    assert_eq!(
        (
            error.line(),
            error.column(),
            text.as_bytes()[error.offset()]
        ),
        (3, 8, b'o')
    );
}

#[test]
fn bytes_that_are_not_utf8_are_malformed_anywhere() {
    for text in [
        &b"{\"a\":\"\xff\"}"[..],
        b"{\"\xc3\":1}",
        b"{\"a\":\"\xed\xa0\x80\"}",
        b"{}\x80",
        b"{\"a\":[\"\xf0\x9f\"]}",
    ] {
        assert!(error(text).ends_with(": invalid UTF-8"), "{text:?}");
    }
    assert_eq!(parse(b"{\"a\":\"\xff\"}").unwrap_err().offset(), 6);
}

#[test]
fn control_characters_and_unknown_escapes_in_strings_are_malformed() {
    for inner in ["\n", "\t", "\0", "\u{1f}", "\\x", "\\u12g4", "\\u12", "\\"] {
        assert!(
            parse(format!("{{\"a\":\"{inner}\"}}")).is_err(),
            "value {inner:?}"
        );
        assert!(
            parse(format!("{{\"a\":[\"{inner}\"]}}")).is_err(),
            "nested {inner:?}"
        );
        assert!(
            parse(format!("{{\"{inner}\":1}}")).is_err(),
            "name {inner:?}"
        );
    }
    assert!(parse("{\"a\":\"\u{7f}\u{85}\u{2028}\"}").is_ok());
}

#[test]
fn numbers_are_those_of_the_rfc_and_no_others() {
    for number in [
        "0",
        "-0",
        "1.0",
        "1e5",
        "1E+5",
        "1e-5",
        "-1.25e-0",
        "1e999",
        "123456789012345678901234567890",
    ] {
        assert_eq!(
            raw(&format!("{{\"a\":{number}}}"), "a").as_deref(),
            Some(number)
        );
    }
    for number in [
        "01",
        "-",
        "+1",
        ".5",
        "1.",
        "1e",
        "1e+",
        "0x1",
        "NaN",
        "Infinity",
        "-Infinity",
        "1_000",
        "--1",
        "-01",
    ] {
        assert!(parse(format!("{{\"a\":{number}}}")).is_err(), "{number}");
    }
}

#[test]
fn things_that_only_other_dialects_allow_are_malformed() {
    for text in [
        "{'a':1}",
        "{\"a\":1,,\"b\":2}",
        "{,}",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\" 1}",
        "{\"a\":1 \"b\":2}",
        "{/**/}",
        "{\"a\":[1,]}",
        "{\"a\":True}",
        "{1:2}",
        "{null:1}",
        "{}{}",
        "{}\u{a0}",
        "{}\0",
        "{} x",
        "{\"a\":{\"b\":1]}",
    ] {
        assert!(parse(text).is_err(), "{text}");
    }
}

#[test]
fn a_lone_surrogate_passes_in_a_value_and_not_in_a_name() {
    let text = r#"{"a":"\ud800","b":["\udc00x"]}"#;
    assert_eq!(raw(text, "a").as_deref(), Some(r#""\ud800""#));
    assert_eq!(
        edited(text, |edit| _ = edit.set("c", true)),
        r#"{"a":"\ud800","b":["\udc00x"],"c":true}"#
    );
    assert_eq!(
        error(r#"{"a":1,"\ud800":2}"#),
        "malformed JSON at line 1 column 8: lone surrogate in a member name"
    );
}

#[test]
fn deep_nesting_takes_no_stack() {
    let open = vec![b'['; 10_000_000];
    assert!(parse(&open[..1_000_000]).is_err());
    assert!(parse([b"{\"a\":", open.as_slice()].concat()).is_err());
    assert!(parse("{\"a\":".repeat(200_000)).is_err());
    let depth = 200_000;
    let balanced = [
        "{\"a\":".as_bytes(),
        &vec![b'['; depth],
        &vec![b']'; depth],
        b"}",
    ]
    .concat();
    let index = parse(&balanced).unwrap();
    assert_eq!(
        index.members(&balanced).get("a").unwrap().raw().len(),
        2 * depth
    );
}

#[test]
fn a_foreign_text_gives_no_panic() {
    let index = parse(r#"{"model":"x","n":1}"#).unwrap();
    for text in [&b""[..], b"{\"model\"", b"{\"\xffodel\":\"\xff\",\"n\":1}"] {
        let members = index.members(text);
        let _ = (
            members.get("model"),
            members.iter().count(),
            format!("{members:?}"),
        );
        let _ = members.edit().set("n", 2).is_changed();
        let _ = members.edit().finish();
    }
}
