use proptest::prelude::*;
use serde::de::IgnoredAny;

use super::*;

fn accepts(text: &[u8]) -> bool {
    Cursor::new(text).is_some_and(|mut cursor| cursor.value().is_some() && cursor.is_at_end())
}

fn is_json(text: &[u8]) -> bool {
    std::str::from_utf8(text).is_ok_and(|text| serde_json::from_str::<IgnoredAny>(text).is_ok())
}

#[test]
fn a_text_is_accepted_exactly_if_it_is_json() {
    for text in [
        "",
        " ",
        "{}",
        "[ ]",
        "{]",
        "[}",
        "[1,]",
        "[,1]",
        "{\"a\":1,}",
        "{\"a\"}",
        "{\"a\":}",
        "{1:2}",
        "{\"a\":[{}, {\"b\":[]}]}",
        "[[]]",
        "[] []",
        "0",
        "-0",
        "01",
        "1.",
        ".5",
        "1.5e+3",
        "1e",
        "-",
        "+1",
        "true",
        "tru",
        "nulll",
        "\"\\u00e9\\n\"",
        "\"\\u00g0\"",
        "\"\\x\"",
        "\"\\",
        "\"a",
        "\"a\tb\"",
        "\"\u{7f}ü\"",
        "\"0123456\\\"89\"",
        "\"\\ud800\"",
        "[\"a\" \"b\"]",
    ] {
        assert_eq!(accepts(text.as_bytes()), is_json(text.as_bytes()), "{text}");
    }
    assert!(!accepts(b"\"\xff\""));
    for depth in [63, 64, 65, 128, 129, 100_000] {
        let nested = |open: &str, inner: &str, close: &str| {
            open.repeat(depth) + inner + &close.repeat(depth)
        };
        assert!(accepts(nested("[", "", "]").as_bytes()), "{depth}");
        assert!(accepts(nested("{\"a\":[", "1,2", ",3]}").as_bytes()));
        assert!(!accepts(nested("[", "}", "]").as_bytes()));
        assert!(!accepts((nested("[", "", "]") + "]").as_bytes()));
    }
}

#[test]
fn members_and_items_are_gone_through_with_their_names_unescaped() {
    let mut cursor = Cursor::new(br#" { "a" : [1, "x"], "\u0062": {"c": null} } "#).unwrap();
    let mut seen = Vec::new();
    let whole = cursor.members(|cursor, name| {
        seen.push(String::from_utf8(name.to_vec()).unwrap());
        if name == b"a" {
            cursor.items(|cursor| {
                seen.push(String::from_utf8(cursor.value()?.raw().to_vec()).unwrap());
                Some(())
            })
        } else {
            cursor.skip()
        }
    });
    assert!(whole.is_some() && cursor.is_at_end());
    assert_eq!(seen, ["a", "1", "\"x\"", "b"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_text_is_accepted_exactly_if_it_is_json(text in r#"[\[\]{}:,"\\ntrue0-9.eE+ -]{0,24}"#) {
        prop_assert_eq!(accepts(text.as_bytes()), is_json(text.as_bytes()));
    }
}
