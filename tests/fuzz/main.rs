//! The fuzz targets of `fuzz/`, on mutated inputs: that folder needs a nightly toolchain, this does not.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]
#![cfg(test)]

mod configuration;
mod failures;
mod frames;
mod json;
mod normalize;
mod usage;

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
    r#"{"id":"msg_1","type":"message","role":"assistant","model":"claude","content":[{"type":"thinking","thinking":"a"},{"type":"text","text":"b"},{"type":"tool_use","id":"t","name":"f","input":{"a":1}}],"stop_reason":"tool_use","usage":{"input_tokens":3,"cache_read_input_tokens":2,"output_tokens":5}}"#,
    r#"{"candidates":[{"content":{"parts":[{"text":"a","thought":true},{"text":"b"},{"functionCall":{"name":"f","args":{}}}],"role":"model"},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":3,"candidatesTokenCount":2,"thoughtsTokenCount":1,"totalTokenCount":6},"modelVersion":"g"}"#,
    r#"{"id":"c","finish_reason":"COMPLETE","message":{"role":"assistant","content":[{"type":"text","text":"a"}]},"usage":{"billed_units":{"input_tokens":1,"output_tokens":2},"tokens":{"input_tokens":4,"output_tokens":2}}}"#,
    r#"{"model":"llama","created_at":"2026-01-01T00:00:00Z","message":{"role":"assistant","content":"a","thinking":"b"},"done":true,"done_reason":"stop","prompt_eval_count":3,"eval_count":2}"#,
    r#"{"output":{"message":{"role":"assistant","content":[{"text":"a"}]}},"stopReason":"end_turn","usage":{"inputTokens":1,"outputTokens":2,"totalTokens":3}}"#,
];

const CHUNKS: &[&str] = &[
    r#"{"id":"1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":"<think>a</th"},"finish_reason":null}]}"#,
    r#"{"choices":[{"delta":{"content":"ink>b <","reasoning":"c"}}]}"#,
    r#"{"choices":[{"delta":{"tool_calls":[{"id":"","function":{"name":null,"arguments":"{"}}]}}]}"#,
    r#"{"choices":[{"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":4}}"#,
    r#"{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}"#,
    r#"{"choices":[{"text":"a","message":{}}]}"#,
    r#"{"error":{"message":"x"}}"#,
    r#"{"type":"message_start","message":{"id":"m","type":"message","role":"assistant","model":"c","content":[],"usage":{"input_tokens":3,"output_tokens":1}}}"#,
    r#"{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"t","name":"f","input":{}}}"#,
    r#"{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{"}}"#,
    r#"{"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"a"}}"#,
    r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":5}}"#,
    r#"{"type":"message_stop"}"#,
    r#"{"candidates":[{"content":{"parts":[{"text":"a"}]},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":3,"totalTokenCount":6}}"#,
    r#"{"type":"content-delta","index":0,"delta":{"message":{"content":{"text":"a"}}}}"#,
    r#"{"type":"response.completed","response":{"model":"m","status":"completed","usage":{"input_tokens":1,"output_tokens":2}}}"#,
    r#"{"model":"l","message":{"role":"assistant","content":"a"},"done":true,"eval_count":2}"#,
    "[DONE]",
];

const STREAMS: &[&str] = &[
    "data: {\"a\":1}\n\ndata: [DONE]\n\n",
    "\u{feff}: comment\r\n\r\nevent: ping\r\ndata: a\r\ndata: b\r\n\r\n",
    "id: 1\rdata\rdata:  two\r\rretry: 5\n\n",
    "{\"n\":1}\n{\"n\":2}\r\n\n{\"n\":3}",
];

const FAILURES: &[&str] = &[
    r#"{"error":{"message":"Rate limit reached. Please try again in 6m0s.","type":"requests","param":null,"code":"rate_limit_exceeded"}}"#,
    r#"[{"error":{"code":429,"message":"retry in 48.9s.","status":"RESOURCE_EXHAUSTED","details":[{"retryDelay":"48s"}]}}]"#,
    r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#,
    r#"{"detail":[{"loc":["body","model"],"msg":"field required","type":"missing"}]}"#,
    "<html><head><title>502 Bad Gateway</title></head></html>",
    "data: {\"error\":\"x\"}\n\n",
    "upstream connect error",
    "Wed, 21 Oct 2026 07:28:00 GMT",
    "1.5e3",
    "1h2m3.4s",
    "2026-11-30T00:00:00Z",
];

const TABLES: &[&str] = &[
    r#"{"gpt":{"input_cost_per_token":2e-06,"max_input_tokens":1000,"litellm_provider":"openai","input_cost_per_token_above_200k_tokens":4e-06},"sample_spec":{}}"#,
    "[models.\"acme-1\"]\nprovider = \"acme\"\ncontext_window = 128_000\n[models.\"acme-1\".prices]\ninput = \"0.10\"\noutput = 0.42\nabove = [{ tokens = 200_000, input = \"0.20\" }]\n",
    "currency = { label = \"CNY\", usd = \"0.14\" }\n[models.\"local/*\".prices]\ninput = 0\noff_peak = { windows = [{ hours = \"16:30-00:30\", weekdays = [1] }], input = \"0.05\" }\n",
];

const CONFIGS: &[&str] = &[
    include_str!("../../examples/gateway.toml"),
    "listen = \"127.0.0.1:1\"\n[store]\nredis = \"redis://h/\"\n[[tenants]]\nname = \"a\"\nkeys = [{ id = \"b\", sha256 = \"00\" }]\n",
    "[[upstreams]]\nname = \"u\"\nbase_url = \"http://h/v1\"\ncredential = { env = \"KEY\" }\nretry = {}\n[edge]\nmax_body = \"1MiB\"\n",
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

fn streamed(chunks: &[&str]) -> String {
    chunks
        .iter()
        .fold(String::new(), |all, chunk| all + "data: " + chunk + "\n\n")
}

/// A target, texts for it, and what it may take for itself of the bytes before each.
type Seeds<'a> = (&'a str, &'a [&'a str], &'a [&'a [u8]]);

/// What the fuzzer begins with.
#[test]
#[ignore = "it writes `fuzz/corpus`, for `cargo fuzz`"]
fn the_fuzzer_gets_its_seeds() {
    let (chunks, lines) = (streamed(CHUNKS), CHUNKS.join("\n"));
    let returns = chunks.replace('\n', "\r\n");
    let streams = [&*chunks, &*lines, &*returns];
    let answers: Vec<&str> = BODIES.iter().copied().chain(streams).collect();
    let seeds: [Seeds<'_>; 9] = [
        (
            "normalize_body",
            BODIES,
            &[b"\0\x07", b"\x01\x07", b"\x02\x07", b"\x03\x07"],
        ),
        (
            "normalize_events",
            &answers,
            &[b"\0\x07", b"\x21\x07", b"\x40\x07"],
        ),
        ("usage", &answers, &[b"\x08\x07", b"\x09\x07", b"\x0a\x07"]),
        ("json_edit", BODIES, &[b"\0", b"\x01", b"\x02", b"\x03"]),
        ("frames", STREAMS, &[b"\x07"]),
        ("error_body", FAILURES, &[b"\x72\0", b"\x72\x07"]),
        (
            "retry_after",
            FAILURES,
            &[b"\x72\0", b"\x72\x01", b"\x72\x03", b"\x72\x04"],
        ),
        ("price_table", TABLES, &[b""]),
        ("gateway_config", CONFIGS, &[b""]),
    ];
    let corpus = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    for (target, texts, firsts) in seeds {
        let folder = corpus.join(target);
        std::fs::create_dir_all(&folder).unwrap();
        for (number, text) in texts.iter().enumerate() {
            for (variant, first) in firsts.iter().enumerate() {
                let seed = [first, text.as_bytes()].concat();
                std::fs::write(folder.join(format!("seed-{number}-{variant}")), seed).unwrap();
            }
        }
    }
}

/// The usage that nobody asked for tells whose form the stream is in, and is left out.
#[test]
fn a_stream_of_two_apis_is_normalised_without_harm() {
    let [usage, other] = [CHUNKS[4], CHUNKS[9]];
    normalize::events(&mutated(0, 7, &streamed(&[usage, other]), &[]));
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
        line_end in prop::sample::select(vec!["\n", "\r\n", "\r"]),
        mutations in mutations(),
    ) {
        let stream = streamed(&chunks).replace('\n', line_end);
        normalize::events(&mutated(what, piece, &stream, &mutations));
    }

    #[test]
    fn mutated_answers_are_read_alike_however_they_are_cut(
        what in any::<u8>(),
        piece in any::<u8>(),
        body in prop::sample::select(BODIES),
        chunks in prop::collection::vec(prop::sample::select(CHUNKS), 0..6),
        mutations in mutations(),
    ) {
        usage::usage(&mutated(what, piece, body, &mutations));
        usage::usage(&mutated(what, piece, &streamed(&chunks), &mutations));
    }

    #[test]
    fn mutated_requests_are_indexed_and_edited_without_harm(
        what in any::<u8>(),
        text in prop::sample::select(BODIES),
        mutations in mutations(),
    ) {
        let mut data = mutated(what, 0, text, &mutations);
        data.remove(1);
        json::edit(&data);
    }

    #[test]
    fn mutated_streams_are_cut_without_harm(
        piece in any::<u8>(),
        parts in prop::collection::vec(prop::sample::select(STREAMS), 0..4),
        mutations in mutations(),
    ) {
        let mut data = mutated(piece, 0, &parts.concat(), &mutations);
        data.remove(1);
        frames::frames(&data);
    }

    #[test]
    fn mutated_failures_are_read_without_harm(
        what in any::<u8>(),
        which in 0_u8..12,
        text in prop::sample::select(FAILURES),
        mutations in mutations(),
    ) {
        let data = mutated(what, which, text, &mutations);
        failures::error(&data);
        failures::wait(&data);
    }

    #[test]
    fn mutated_tables_are_read_without_harm(
        text in prop::sample::select(TABLES),
        mutations in mutations(),
    ) {
        configuration::table(&mutated(0, 0, text, &mutations)[2..]);
    }
}

proptest! {
    // A whole configuration is long.
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn mutated_configurations_are_read_without_harm(
        text in prop::sample::select(CONFIGS),
        mutations in mutations(),
    ) {
        configuration::config(&mutated(0, 0, text, &mutations)[2..]);
    }
}
