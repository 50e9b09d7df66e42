//! What each scorer says of the requests of the guides.

use serde_json::{Value, json};

use crate::{
    message::RequestBody,
    model_select::{Features, Keywords, Score, Scorer, Size, ToolUse, Weighted},
};

const ANALYSIS: &str = "Please analyze and compare these two API designs and debug the code below in detail, then explain the trade-offs.";

fn user(text: &str) -> Value {
    json!({"role": "user", "content": text})
}

fn prose(chars: usize) -> String {
    "the wind was low and the sea went out. "
        .chars()
        .cycle()
        .take(chars)
        .collect()
}

fn score(scorer: &dyn Scorer, body: &Value) -> (Score, &'static str) {
    let body = RequestBody::json(body.to_string());
    let score = scorer.score(&Features::of(&body).unwrap());
    let name = scorer.tiers()[score.tier];
    (score, name)
}

fn messages(messages: &[Value]) -> Value {
    json!({"model": "auto", "messages": messages})
}

#[test]
fn the_guides_table_holds() {
    let short = user("hi");
    let tool_calls = json!({"role": "assistant", "content": null, "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]});
    let function_call = json!({"role": "assistant", "content": null, "function_call": {"name": "f", "arguments": "{}"}});
    let mut capped = messages(&vec![short.clone(); 4]);
    capped["max_tokens"] = json!(4_001);
    let fifth: Vec<Value> = [vec![short.clone(); 4], vec![user(ANALYSIS)]].concat();
    for (body, a, c, e) in [
        (
            messages(&[user("Translate this to Spanish: Hello, how are you?")]),
            "plain",
            "low",
            Some((1, "simple")),
        ),
        (
            messages(&[user(ANALYSIS)]),
            "plain",
            "low",
            Some((65, "demanding")),
        ),
        (messages(&fifth), "plain", "low", Some((75, "expert"))),
        (
            messages(&[user(&prose(600))]),
            "plain",
            "medium",
            Some((30, "moderate")),
        ),
        (
            messages(&[user(&prose(5_001))]),
            "plain",
            "high",
            Some((30, "moderate")),
        ),
        (
            messages(&[short.clone(), tool_calls, short.clone()]),
            "tools",
            "low",
            None,
        ),
        (
            messages(&[short.clone(), function_call, short.clone()]),
            "tools",
            "high",
            Some((45, "moderate")),
        ),
        (
            messages(&vec![short.clone(); 11]),
            "long",
            "low",
            Some((40, "moderate")),
        ),
        (capped, "plain", "high", Some((40, "moderate"))),
    ] {
        assert_eq!(score(&ToolUse, &body).1, a, "{body}");
        assert_eq!(score(&Size, &body).1, c, "{body}");
        let (said, tier) = score(&Keywords, &body);
        if let Some((points, expected)) = e {
            assert_eq!((said.points, tier), (Some(points), expected), "{body}");
        }
    }
}

#[test]
fn the_thresholds_of_sizes_are_exclusive() {
    for (chars, expected) in [
        (500, "low"),
        (501, "medium"),
        (5_000, "medium"),
        (5_001, "high"),
    ] {
        assert_eq!(
            score(&Size, &messages(&[user(&prose(chars))])).1,
            expected,
            "{chars}"
        );
    }
    for (cap, count, expected) in [
        (1_000, 1, "low"),
        (1_001, 1, "medium"),
        (4_001, 3, "medium"),
        (4_000, 4, "medium"),
        (4_001, 4, "high"),
    ] {
        let mut body = messages(&vec![user("hi"); count]);
        body["max_completion_tokens"] = json!(cap);
        assert_eq!(score(&Size, &body).1, expected, "{cap} {count}");
    }
    let ten = messages(&vec![user("hi"); 10]);
    assert_eq!(score(&ToolUse, &ten).1, "plain");
}

#[test]
fn the_weighted_scorer_takes_all_three_into_account() {
    let weighted = Weighted::default();
    let call = json!({"role": "assistant", "content": null, "function_call": {"name": "f", "arguments": "{}"}});
    for (body, points, tier) in [
        (messages(&[user("Translate this: hi")]), 1, "low"),
        // (0 + 0 + 2 * 65) / 4
        (messages(&[user(ANALYSIS)]), 32, "medium"),
        // (0 + 100 + 2 * 30) / 4
        (messages(&[user(&prose(5_001))]), 40, "medium"),
        // (100 + 100 + 2 * 45) / 4
        (
            messages(&[
                user("hi"),
                call,
                user("and so on, until it is long enough to count"),
            ]),
            72,
            "high",
        ),
    ] {
        let (said, name) = score(&weighted, &body);
        assert_eq!((said.points, name), (Some(points), tier), "{body}");
        assert!(said.reason.contains("words: "), "{}", said.reason);
    }
}

#[test]
fn any_json_has_a_score() {
    for body in [
        "{}",
        r#"{"messages":7}"#,
        r#"{"messages":[[],{}, "x", null]}"#,
        r#"{"input":"analyze"}"#,
    ] {
        let body = RequestBody::json(body);
        let features = Features::of(&body).unwrap();
        for scorer in [
            &ToolUse as &dyn Scorer,
            &Size,
            &Keywords,
            &Weighted::default(),
        ] {
            assert!(scorer.score(&features).tier < scorer.tiers().len());
        }
    }
}
