use proptest::prelude::*;
use serde_json::{Value, json};

use super::{UsageScan, read};

fn scan(body: &[u8]) -> UsageScan {
    let mut scan = UsageScan::default();
    scan.body(body);
    scan
}

/// Names that mean something in one place or another, so that random JSON gets past the first `match`.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        proptest::sample::select(vec![
            "usage",
            "usageMetadata",
            "response",
            "message",
            "metadata",
            "choices",
            "results",
            "meta",
            "billed_units",
            "tokens",
            "prompt_tokens",
            "completion_tokens",
            "total_tokens",
            "input_tokens",
            "cache_read_input_tokens",
            "prompt_tokens_details",
            "completion_tokens_details",
            "cached_tokens",
            "reasoning_tokens",
            "audio_tokens",
            "cache_creation",
            "ephemeral_24h_input_tokens",
            "cacheDetails",
            "promptTokensDetails",
            "modality",
            "tokenCount",
            "eval_count",
            "finish_reason",
            "status",
        ])
        .prop_map(str::to_owned),
        ".{0,6}",
    ]
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (0_u64..1000).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((name(), inner), 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn random_json_reads_the_same_as_a_body_and_as_an_event(value in value()) {
        read(&value.to_string());
    }

    #[test]
    fn random_bytes_state_nothing_or_something_but_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut scan = scan(&bytes);
        scan.event(&bytes);
        let _ = scan.usage();
    }

    #[test]
    fn json_that_breaks_off_never_panics(value in value(), cut in any::<prop::sample::Index>()) {
        let text = value.to_string();
        let _ = scan(&text.as_bytes()[..cut.index(text.len() + 1)]).usage();
    }

    #[test]
    fn parts_never_sum_to_more_than_their_whole(
        prompt in 0_u64..5000, completion in 0_u64..5000, cached in 0_u64..9000, written in 0_u64..9000,
        audio in 0_u64..9000, reasoning in 0_u64..9000, spoken in 0_u64..9000,
    ) {
        let usage = read(&json!({"usage": {
            "prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion,
            "prompt_tokens_details": {"cached_tokens": cached, "cache_write_tokens": written, "audio_tokens": audio},
            "completion_tokens_details": {"reasoning_tokens": reasoning, "audio_tokens": spoken},
        }}).to_string()).unwrap();
        prop_assert_eq!(usage.total_input(), prompt);
        prop_assert_eq!(usage.total_output(), completion);
    }

    #[test]
    fn a_larger_total_is_accounted_for_to_the_last_token(
        prompt in 0_u64..50, completion in 0_u64..50, cached in 0_u64..50, audio in 0_u64..50, reasoning in 0_u64..50,
        surplus in 0_u64..100,
    ) {
        let total = prompt + completion + surplus;
        let usage = read(&json!({"usage": {
            "prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": total,
            "prompt_tokens_details": {"cached_tokens": cached, "audio_tokens": audio},
            "completion_tokens_details": {"reasoning_tokens": reasoning},
        }}).to_string()).unwrap();
        prop_assert_eq!(usage.total(), total);
        prop_assert!(usage.total_input() >= prompt);
        prop_assert!(usage.total_output() >= completion);
    }

    #[test]
    fn equal_copies_in_any_number_and_order_change_nothing(order in prop::collection::vec(0_usize..4, 1..12)) {
        let usage = json!({"prompt_tokens": 20, "completion_tokens": 9, "total_tokens": 29,
            "completion_tokens_details": {"reasoning_tokens": 4}});
        let events = [
            json!({"choices": [], "usage": usage}),
            json!({"choices": [{"delta": {}, "finish_reason": "stop"}], "x_groq": {"usage": usage}}),
            json!({"choices": [{"delta": {"content": "tokens"}, "usage": usage}], "usage": null}),
            json!({"choices": [{"delta": {"content": "tokens"}}], "usage": usage}),
        ];
        let mut scan = UsageScan::default();
        for event in order {
            scan.event(events[event].to_string().as_bytes());
        }
        let usage = scan.usage().unwrap();
        prop_assert_eq!((usage.input, usage.output, usage.reasoning), (20, 5, 4));
    }
}
