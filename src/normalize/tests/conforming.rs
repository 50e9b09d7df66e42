//! What the fast path says, against what the repairs do.

use proptest::{collection::vec, prelude::*, sample::select};

use crate::{
    message::Edited,
    normalize::{
        choice::Place,
        conform,
        events::Events,
        head::{self, Answer},
        repairs::Repairs,
    },
};

fn answer(openai: bool) -> Answer {
    Answer {
        id: "made-up".to_owned(),
        created: 7,
        model: "asked".to_owned(),
        openai,
        api: crate::normalize::api::Api::Chat,
        reasoning: crate::normalize::Reasoning::Keep,
    }
}

/// Texts of members of which the first, and only the first, surely conform, joined to an object.
fn object(members: Vec<BoxedStrategy<&'static str>>) -> BoxedStrategy<String> {
    members
        .prop_map(|members| {
            let present: Vec<_> = members
                .into_iter()
                .filter(|text| !text.is_empty())
                .collect();
            format!("{{{}}}", present.join(","))
        })
        .boxed()
}

/// Mostly `usual`, sometimes one of `odd`.
fn mostly(usual: &'static str, odd: &'static [&'static str]) -> BoxedStrategy<&'static str> {
    prop_oneof![12 => Just(usual), 1 => select(odd)].boxed()
}

fn joined(items: impl Strategy<Value = Vec<String>> + 'static) -> BoxedStrategy<String> {
    items
        .prop_map(|items| format!("[{}]", items.join(",")))
        .boxed()
}

fn named(name: &'static str, value: BoxedStrategy<String>) -> BoxedStrategy<String> {
    value
        .prop_map(move |value| format!("\"{name}\":{value}"))
        .boxed()
}

fn with(object: BoxedStrategy<String>, member: BoxedStrategy<String>) -> BoxedStrategy<String> {
    (object, member, any::<bool>())
        .prop_map(|(object, member, first)| {
            let inner = object.trim_start_matches('{').strip_suffix('}').unwrap();
            match (inner.is_empty(), first) {
                (true, _) => format!("{{{member}}}"),
                (_, true) => format!("{{{member},{inner}}}"),
                _ => format!("{{{inner},{member}}}"),
            }
        })
        .boxed()
}

fn tool_call(in_stream: bool) -> BoxedStrategy<String> {
    let usual = if in_stream { "\"index\":0" } else { "" };
    object(vec![
        mostly(usual, &["", "\"index\":0", "\"index\":1", "\"index\":1e0", "\"index\":null"]),
        prop_oneof![3 => Just("\"id\":\"c\""), 1 => select(&["", "\"id\":\"\"", "\"id\":null"])].boxed(),
        prop_oneof![3 => Just("\"type\":\"function\""), 1 => select(&["", "\"type\":\"custom\"", "\"type\":\"\"", "\"type\":null"])].boxed(),
        mostly(
            r#""function":{"name":"f","arguments":"{\"a\":1}"}"#,
            &[
                "",
                "\"function\":null",
                "\"function\":{}",
                r#""function":{"arguments":"x"}"#,
                r#""function":{"name":"","arguments":"x"}"#,
                r#""function":{"name":null,"arguments":{"a":1}}"#,
                r#""function":{"name":"f","arguments":null,"x":1}"#,
            ],
        ),
        mostly("", &["\"x\":[1]"]),
    ])
}

fn message(in_stream: bool) -> BoxedStrategy<String> {
    let (role, refusal) = if in_stream {
        ("", "")
    } else {
        ("\"role\":\"assistant\"", "\"refusal\":null")
    };
    let plain = object(vec![
        mostly(
            role,
            &[
                "",
                "\"role\":\"assistant\"",
                "\"role\":null",
                "\"role\":\"model\"",
                r#""rol\u0065":"assistant""#,
            ],
        ),
        mostly(
            r#""content":"a\n\"b\" ü""#,
            &[
                "",
                "\"content\":null",
                r#""content":[{"text":"a"}]"#,
                "\"content\":\"\"",
            ],
        ),
        mostly(refusal, &["", "\"refusal\":null", "\"refusal\":\"no\""]),
        mostly(
            "",
            &[
                "\"annotations\":[]",
                "\"annotations\":null",
                r#""annotations":[{"type":"url_citation","url_citation":{}}]"#,
                r#""annotations":[{"url_citation":{"x":[]}},{"file":{}}]"#,
            ],
        ),
        mostly(
            "",
            &[
                "\"function_call\":null",
                "\"function_call\":{}",
                "\"audio\":{}",
                "\"audio\":null",
                "\"reasoning\":\"r\"",
            ],
        ),
    ]);
    let calls = joined(vec(tool_call(in_stream), 0..3));
    let calls =
        prop_oneof![4 => calls, 1 => select(&["null", "{}"]).prop_map(str::to_owned)].boxed();
    prop_oneof![2 => plain.clone(), 1 => with(plain, named("tool_calls", calls))].boxed()
}

fn choice(in_stream: bool) -> BoxedStrategy<String> {
    let (place, logprobs, finish) = if in_stream {
        ("delta", "", "\"finish_reason\":null")
    } else {
        ("message", "\"logprobs\":null", "\"finish_reason\":\"stop\"")
    };
    let outer = object(vec![
        mostly(
            "\"index\":0",
            &["", "\"index\":1", "\"index\":\"0\"", "\"index\":0.0"],
        ),
        mostly(
            logprobs,
            &[
                "",
                "\"logprobs\":null",
                "\"logprobs\":{}",
                r#""logprobs":{"content":[{"token":"a"}],"refusal":null}"#,
                "\"logprobs\":3",
            ],
        ),
        prop_oneof![4 => Just(finish), 2 => select(&[
            "",
            "\"finish_reason\":null",
            "\"finish_reason\":\"\"",
            "\"finish_reason\":\"stop\"",
            "\"finish_reason\":\"tool_calls\"",
            "\"finish_reason\":\"eos\"",
            "\"finish_reason\":\"huh\"",
            "\"finish_reason\":\"network_error\"",
            "\"finish_reason\":7",
        ])]
        .boxed(),
        mostly(
            "",
            &[
                "\"error\":null",
                "\"error\":{}",
                "\"message\":{}",
                "\"delta\":{}",
                "\"content_filter_results\":{\"hate\":{\"filtered\":false}}",
                "\"usage\":{\"prompt_tokens\":1}",
            ],
        ),
    ]);
    // `message` and `delta` may both be among the odd ones: a name that stands twice is for nobody to repair.
    let one = with(outer.clone(), named(place, message(in_stream)))
        .prop_filter("a name stands twice", move |text| {
            text.matches(&format!("\"{place}\":")).count() == 1
        });
    prop_oneof![12 => one.boxed(), 1 => outer].boxed()
}

fn text(in_stream: bool) -> BoxedStrategy<String> {
    let object_is = if in_stream {
        "\"object\":\"chat.completion.chunk\""
    } else {
        "\"object\":\"chat.completion\""
    };
    let outer = object(vec![
        mostly("\"id\":\"1\"", &["", "\"id\":\"\"", "\"id\":null", "\"id\":7"]),
        mostly(object_is, &["", "\"object\":\"\"", "\"object\":null"]),
        mostly("\"created\":1", &["", "\"created\":0", "\"created\":\"1\"", "\"created\":1.0", "\"created\":1.5"]),
        mostly("\"model\":\"m\"", &["", "\"model\":\"\"", "\"model\":\"\\u006d\""]),
        mostly("", &["\"service_tier\":\"default\"", "\"service_tier\":null", "\"service_tier\":\"on_demand\""]),
        mostly("", &["\"error\":null", "\"error\":{}", "\"error_message\":\"\"", "\"type\":\"chunk\"", "\"x\":[{\"y\":[[]]}]"]),
        prop_oneof![6 => Just(""), 4 => select(&[
            "\"usage\":null",
            r#""usage":{"prompt_tokens":5,"completion_tokens":1,"total_tokens":6}"#,
            r#""usage":{"prompt_tokens":5,"completion_tokens":1,"total_tokens":9}"#,
            r#""usage":{"prompt_tokens":5,"completion_tokens":1,"total_tokens":6,"cached_tokens":2}"#,
            r#""usage":{"prompt_tokens":5,"completion_tokens":1,"total_tokens":6,"prompt_tokens_details":null,"cost":0.1}"#,
            r#""usage":{"prompt_tokens":5,"completion_tokens":3,"total_tokens":8,"prompt_tokens_details":{"cached_tokens":4,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":2,"accepted_prediction_tokens":0}}"#,
            r#""usage":{"prompt_tokens":5,"completion_tokens":3,"total_tokens":8,"completion_tokens_details":{"reasoning_tokens":9}}"#,
            r#""usage":{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}"#,
            r#""usage":{}"#,
        ])].boxed(),
    ]);
    let choices = joined(vec(choice(in_stream), 0..3));
    let full = with(outer.clone(), named("choices", choices));
    prop_oneof![20 => full, 1 => outer].boxed()
}

/// Whether `text` can be an answer at all; only then is there anything to be repaired.
fn has_choices(text: &str) -> bool {
    serde_json::from_str::<serde_json::Value>(text).unwrap()["choices"].is_array()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_body_conforms_exactly_if_nothing_is_repaired(text in text(false), openai in any::<bool>()) {
        prop_assume!(has_choices(&text));
        let mut repairs = Repairs::default();
        let repaired = head::repaired(text.as_bytes(), &answer(openai), &mut Place::Body, &mut repairs);
        prop_assert_eq!(repaired.is_none(), repairs.is_empty(), "{} {}", text, repairs);
        prop_assert_eq!(conform::body(text.as_bytes(), openai), repaired.is_none(), "{} {}", text, repairs);
        if let Some(repaired) = repaired && repairs.failed().is_none() {
            let repaired = std::str::from_utf8(&repaired).unwrap();
            prop_assert!(conform::body(repaired.as_bytes(), openai), "{} became {}", text, repaired);
        }
    }

    #[test]
    fn an_event_conforms_exactly_if_nothing_is_repaired_whatever_came_before(
        texts in vec(text(true), 1..6),
        openai in any::<bool>(),
        wants_usage in any::<bool>(),
    ) {
        let mut fast = Events::new(answer(openai), wants_usage);
        let mut slow = Events::new(answer(openai), wants_usage);
        for text in texts.iter().filter(|text| has_choices(text)) {
            slow.learn(text.as_bytes());
            let (step, repairs) = slow.step(text.as_bytes(), false);
            let conforms = fast.conforms(text.as_bytes());
            prop_assert_eq!(conforms, step.own == Edited::Keep && step.failure.is_none(), "{} {}", text, repairs);
            prop_assert_eq!(conforms, repairs.is_empty(), "{} {}", text, repairs);
            if !conforms {
                fast.learn(text.as_bytes());
                let (again, _) = fast.step(text.as_bytes(), false);
                prop_assert_eq!(again.own, step.own);
            }
        }
    }
}
