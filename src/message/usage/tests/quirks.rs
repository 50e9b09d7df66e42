//! Where providers depart from their own dialect, or where something only looks like usage.

use super::{Usage, UsageScan, counts, plain, read};

#[test]
fn odd_counts_read_to_what_was_used() {
    let table: &[(&str, &str, [u64; 8])] = &[
        (
            "xAI chat: reasoning beside the completion",
            r#"{"prompt_tokens":12,"completion_tokens":1,"total_tokens":241,
                "prompt_tokens_details":{"text_tokens":12,"cached_tokens":2},
                "completion_tokens_details":{"reasoning_tokens":228}}"#,
            [10, 2, 0, 0, 1, 228, 0, 0],
        ),
        (
            "xAI chat: as much cached as reasoned, and the surplus is the reasoning",
            r#"{"prompt_tokens":100,"completion_tokens":5,"total_tokens":145,
                "prompt_tokens_details":{"cached_tokens":40},"completion_tokens_details":{"reasoning_tokens":40}}"#,
            [60, 40, 0, 0, 5, 40, 0, 0],
        ),
        (
            "a relay before Gemini: thoughts, and the same in OpenAI's names",
            r#"{"thoughtsTokenCount":1,"totalTokenCount":6,"prompt_tokens":5,"completion_tokens":1,"total_tokens":6,
                "completion_tokens_details":{"reasoning_tokens":1}}"#,
            [5, 0, 0, 0, 0, 1, 0, 0],
        ),
        (
            "Gemini's compatible endpoint: thinking in the total only",
            r#"{"prompt_tokens":35,"completion_tokens":12,"total_tokens":109}"#,
            [35, 0, 0, 0, 74, 0, 0, 0],
        ),
        (
            "Mistral: audio beside the prompt",
            r#"{"prompt_tokens":11,"completion_tokens":15,"total_tokens":401,"prompt_audio_seconds":5,
                "prompt_tokens_details":{"audio_tokens":375,"cached_tokens":9}}"#,
            [2, 9, 0, 0, 15, 0, 375, 0],
        ),
        (
            "Mistral: audio in the total only",
            r#"{"prompt_tokens":11,"completion_tokens":15,"total_tokens":401,"prompt_audio_seconds":5}"#,
            [11, 0, 0, 0, 15, 0, 375, 0],
        ),
        (
            "Mistral: no audio after all",
            r#"{"prompt_tokens":11,"completion_tokens":15,"total_tokens":26,"prompt_audio_seconds":null}"#,
            [11, 0, 0, 0, 15, 0, 0, 0],
        ),
        (
            "a gateway before Anthropic: cached beside the prompt, as the total says",
            r#"{"prompt_tokens":10,"completion_tokens":5,"total_tokens":115,"cache_read_input_tokens":60,
                "cache_creation_input_tokens":40}"#,
            [10, 60, 40, 0, 5, 0, 0, 0],
        ),
        (
            "Venice: Anthropic's name for a cache inside the prompt",
            r#"{"prompt_tokens":5728,"completion_tokens":4,"total_tokens":5732,"cache_read_input_tokens":5280,
                "prompt_tokens_details":{"cached_tokens":5280}}"#,
            [448, 5280, 0, 0, 4, 0, 0, 0],
        ),
        (
            "Grok on Azure: more cached than prompt",
            r#"{"prompt_tokens":10,"completion_tokens":3,"total_tokens":13,"prompt_tokens_details":{"cached_tokens":161}}"#,
            [0, 10, 0, 0, 3, 0, 0, 0],
        ),
        (
            "OpenRouter, Doubleword: more reasoning than completion",
            r#"{"prompt_tokens":43,"completion_tokens":10,"total_tokens":53,"completion_tokens_details":{"reasoning_tokens":11}}"#,
            [43, 0, 0, 0, 0, 10, 0, 0],
        ),
        (
            "OpenAI deep research: negative output",
            r#"{"input_tokens":0,"output_tokens":-9,"total_tokens":-9,"output_tokens_details":{"reasoning_tokens":448}}"#,
            [0; 8],
        ),
        (
            "details that exceed the prompt: the cache first, audio what is left",
            r#"{"prompt_tokens":50,"completion_tokens":1,"total_tokens":51,
                "prompt_tokens_details":{"cached_tokens":40,"audio_tokens":40}}"#,
            [0, 40, 0, 0, 1, 0, 10, 0],
        ),
        (
            "Perplexity deep research: reasoning and citations beside the rest",
            r#"{"prompt_tokens":33,"completion_tokens":7163,"total_tokens":7196,"citation_tokens":20016,
                "reasoning_tokens":73997,"num_search_queries":18,"cost":{"total_cost":1.1}}"#,
            [20049, 0, 0, 0, 7163, 73997, 0, 0],
        ),
        (
            "Copilot, SGLang: reasoning at the top, inside the completion",
            r#"{"prompt_tokens":20,"completion_tokens":30,"total_tokens":50,"reasoning_tokens":22}"#,
            [20, 0, 0, 0, 8, 22, 0, 0],
        ),
        (
            "Moonshot, Hugging Face: cached at the top",
            r#"{"prompt_tokens":20,"completion_tokens":30,"total_tokens":50,"cached_tokens":10}"#,
            [10, 10, 0, 0, 30, 0, 0, 0],
        ),
        (
            "Mistral: another name at the top",
            r#"{"prompt_tokens":20,"completion_tokens":30,"total_tokens":50,"num_cached_tokens":16}"#,
            [4, 16, 0, 0, 30, 0, 0, 0],
        ),
        (
            "DeepSeek: the same count twice",
            r#"{"prompt_tokens":372,"completion_tokens":12,"total_tokens":384,"prompt_cache_hit_tokens":256,
                "prompt_cache_miss_tokens":116,"prompt_tokens_details":{"cached_tokens":256}}"#,
            [116, 256, 0, 0, 12, 0, 0, 0],
        ),
        (
            "Writer: details in the singular",
            r#"{"prompt_tokens":40,"completion_tokens":300,"total_tokens":340,
                "prompt_token_details":{"cached_tokens":8},"completion_token_details":{"reasoning_tokens":100}}"#,
            [32, 8, 0, 0, 200, 100, 0, 0],
        ),
        (
            "details that are null, empty, or of another type",
            r#"{"prompt_tokens":4,"completion_tokens":3,"total_tokens":7,"prompt_tokens_details":null,
                "completion_tokens_details":{},"prompt_token_details":"none","output_tokens_details":[1,null,{}]}"#,
            [4, 0, 0, 0, 3, 0, 0, 0],
        ),
        (
            "a gateway that fills the names it does not use with zeros",
            r#"{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15,"input_tokens":0,"output_tokens":0,
                "input_tokens_details":null}"#,
            [10, 0, 0, 0, 5, 0, 0, 0],
        ),
        (
            "counts in strings and floats",
            r#"{"prompt_tokens":"10","completion_tokens":5.0,"total_tokens":"15"}"#,
            [10, 0, 0, 0, 5, 0, 0, 0],
        ),
        (
            "a total of zero beside real counts",
            r#"{"prompt_tokens":10,"completion_tokens":5,"total_tokens":0}"#,
            [10, 0, 0, 0, 5, 0, 0, 0],
        ),
        (
            "Doubleword: a write that lives a day is one that lives an hour or more",
            r#"{"prompt_tokens":100,"completion_tokens":5,"total_tokens":105,"cache_creation_input_tokens":30,
                "cache_creation":{"ephemeral_5m_input_tokens":10,"ephemeral_1h_input_tokens":5,"ephemeral_24h_input_tokens":15}}"#,
            [70, 0, 10, 20, 5, 0, 0, 0],
        ),
        (
            "writes by lifetime without their sum",
            r#"{"input_tokens":1,"output_tokens":2,"cache_read_input_tokens":0,
                "cache_creation":{"ephemeral_5m_input_tokens":10,"ephemeral_1h_input_tokens":5}}"#,
            [1, 0, 10, 5, 2, 0, 0, 0],
        ),
    ];
    for (what, usage, expected) in table {
        let usage = read(&format!("{{\"usage\":{usage}}}"))
            .unwrap_or_else(|| panic!("{what}: nothing read"));
        assert_eq!(counts(usage), *expected, "{what}");
    }
}

#[test]
fn stated_zeros_are_usage() {
    let usage = read(r#"{"usage":{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}}"#);
    assert_eq!(usage, Some(Usage::default()));
}

#[test]
fn what_states_no_count_states_nothing() {
    for json in [
        r#"{"usage":null}"#,
        r#"{"usage":{}}"#,
        r#"{"usage":{"prompt_tokens":null}}"#,
        r#"{"usage":"12 tokens"}"#,
        r#"{"usage":[{"prompt_tokens":1}]}"#,
        r#"{"usageMetadata":{"trafficType":"ON_DEMAND"}}"#,
        r#"{"text":"hi","usage":{"type":"duration","seconds":9}}"#,
        r#"{"results":[],"meta":{"billed_units":{"search_units":1}}}"#,
        r#"{"max_tokens":5,"max_output_tokens":7}"#,
        "[]",
        "[[[[1]]]]",
        "null",
        "",
        "[DONE]",
        "tokens\"",
    ] {
        assert_eq!(read(json), None, "{json}");
    }
}

#[test]
fn text_that_looks_like_usage_is_not_read() {
    for json in [
        r#"{"choices":[{"delta":{"content":"{\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}}"}}]}"#,
        r#"{"choices":[{"message":{"content":"\"prompt_tokens\": 5, \"usage\": 3"}}],"usage":null}"#,
        r#"{"choices":[{"message":{"tool_calls":[{"function":{"arguments":{"usage":{"prompt_tokens":7}}}}]}}]}"#,
        r#"{"message":{"tool_calls":[{"function":{"arguments":{"eval_count":7,"usage":{"prompt_tokens":7}}}}]}}"#,
        r#"{"content":[{"type":"tool_use","input":{"usage":{"input_tokens":7,"output_tokens":7}}}]}"#,
        r#"{"candidates":[{"content":{"parts":[{"functionCall":{"args":{"usageMetadata":{"promptTokenCount":7}}}}]}}]}"#,
        r#"{"output":[{"type":"function_call","usage":{"input_tokens":7}}],"tool_usage":{"image_gen":{"input_tokens":7}}}"#,
        r#"{"trace":{"guardrail":{"invocationMetrics":{"usage":{"inputTokens":7}}}}}"#,
    ] {
        assert_eq!(read(json), None, "{json}");
    }
}

#[test]
fn metadata_that_a_caller_had_echoed_is_not_read() {
    let usage = read(
        r#"{"metadata":{"usage":{"prompt_tokens":0,"completion_tokens":0,"prompt_tokens_details":{"cached_tokens":9999}}},
            "usage":{"prompt_tokens":20,"completion_tokens":9,"total_tokens":29}}"#,
    );
    assert_eq!(usage, Some(plain(20, 9)));
    let response = r#"{"response":{"metadata":{"usage":{"input_tokens":1}},"usage":{"input_tokens":20,"output_tokens":9}}}"#;
    assert_eq!(read(response), Some(plain(20, 9)));
}

#[test]
fn an_answer_that_breaks_off_states_nothing() {
    let whole = r#"{"usage":{"prompt_tokens":1234,"completion_tokens":9}}"#;
    assert_eq!(read(whole), Some(plain(1234, 9)));
    for end in 0..whole.len() {
        let cut = whole.get(..end).unwrap();
        assert_eq!(read(cut), None, "{cut}");
    }
}

#[test]
fn whitespace_before_an_answer_is_skipped() {
    let body =
        "\n         \n\n{\"usage\": { \"prompt_tokens\" : 1 , \"completion_tokens\" : 2 } }\n";
    assert_eq!(read(body), Some(plain(1, 2)));
}

#[test]
fn names_may_be_escaped() {
    let mut scan = UsageScan::default();
    scan.body(br#"{"us\u0061ge":{"prompt\u005ftokens":3,"completion_tokens":4}}"#);
    assert_eq!(scan.usage(), Some(plain(3, 4)));
}

#[test]
fn deep_nesting_neither_overflows_nor_states_anything() {
    for open in [
        r#"{"response":"#,
        r#"{"usage":"#,
        r#"{"choices":["#,
        "[",
        r#"{"a":"#,
    ] {
        let mut scan = UsageScan::default();
        scan.body(open.repeat(100_000).as_bytes());
        assert_eq!(scan.usage(), None);
    }
}
