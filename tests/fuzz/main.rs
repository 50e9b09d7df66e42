//! The fuzz targets of `fuzz/`, on mutated answers: that folder needs a nightly toolchain, this does not.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]
#![cfg(test)]

mod normalize;

use proptest::{prelude::*, sample::Index};

const BODIES: &[&str] = &[
    r#"{"id":"1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"<think>a</think>b","refusal":null},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}"#,
    r#"{"choices":[{"message":{"content":[{"type":"thinking","thinking":[{"text":"a"}]},{"text":"b"}],"reasoning":"c","tool_calls":[{"function":{"name":"f","arguments":{"a":1}}}]},"finish_reason":"eos"}]}"#,
    r#"{"choices":[{"text":"a","finish_reason":"MAX_TOKENS"},{"delta":{}}],"usage":{"total_tokens":7},"error":null}"#,
    r#"{"data":[{"embedding":[1.5,-2]},{"embedding":"AAA=","index":1}],"usage":{"total_tokens":3}}"#,
    r#"{"embeddings":{"float":[[1],[2]]},"meta":{"billed_units":{"input_tokens":4}}}"#,
    r#"{"models":[{"name":"models/a","created_at":"2025-03-15T08:58:28Z"},"b"]}"#,
    r#"[{"id":"a/b"},{"id":"c","object":"model","created":1,"owned_by":"x"}]"#,
    r#"{"error":{"message":"x"}}"#,
];

const CHUNKS: &[&str] = &[
    r#"{"id":"1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":"<think>a</th"},"finish_reason":null}]}"#,
    r#"{"choices":[{"delta":{"content":"ink>b <","reasoning":"c"}}]}"#,
    r#"{"choices":[{"delta":{"tool_calls":[{"id":"","function":{"name":null,"arguments":"{"}}]}}]}"#,
    r#"{"choices":[{"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":4}}"#,
    r#"{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}"#,
    r#"{"choices":[{"text":"a","message":{}}]}"#,
    r#"{"error":{"message":"x"}}"#,
    "[DONE]",
];

/// A place, how many bytes go there, and what comes instead.
type Mutation = (Index, usize, Vec<u8>);

fn mutations() -> impl Strategy<Value = Vec<Mutation>> {
    let few = prop::collection::vec(any::<u8>(), 0..3);
    let tokens: Vec<&[u8]> = vec![
        b"null", b"\"\"", b"{}", b"[]", b"0", b",", b"\n\n", b"\r", b"data:", b"index", b"<think>",
        b"\\u00e9",
    ];
    let token = prop::sample::select(tokens).prop_map(<[u8]>::to_vec);
    prop::collection::vec((any::<Index>(), 0_usize..12, prop_oneof![few, token]), 0..5)
}

fn mutated(what: u8, piece: u8, text: &str, mutations: &[Mutation]) -> Vec<u8> {
    let mut text = text.as_bytes().to_vec();
    for (at, gone, new) in mutations {
        let start = at.index(text.len() + 1);
        let end = text.len().min(start + gone);
        text.splice(start..end, new.iter().copied());
    }
    text.splice(0..0, [what, piece]);
    text
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn mutated_bodies_are_normalised_without_harm(
        what in any::<u8>(),
        piece in any::<u8>(),
        text in prop::sample::select(BODIES),
        mutations in mutations(),
    ) {
        normalize::body(&mutated(what, piece, text, &mutations));
    }

    #[test]
    fn mutated_streams_are_normalised_without_harm(
        what in any::<u8>(),
        piece in any::<u8>(),
        chunks in prop::collection::vec(prop::sample::select(CHUNKS), 0..6),
        mutations in mutations(),
    ) {
        let text = chunks.iter().fold(String::new(), |all, chunk| all + "data: " + chunk + "\n\n");
        normalize::events(&mutated(what, piece, &text, &mutations));
    }
}
