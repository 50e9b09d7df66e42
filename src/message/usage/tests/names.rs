//! Finish reason, model and service tier.

use super::stream;

#[test]
fn a_finish_reason_is_kept_as_the_provider_words_it() {
    for (event, expected) in [
        (
            r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#,
            Some("stop"),
        ),
        (
            r#"{"choices":[{"index":0,"finish_reason": "length","stop_reason":"END"}]}"#,
            Some("length"),
        ),
        (
            r#"{"choices":[{"finish_reason":"tool_calls","native_finish_reason":"STOP"}]}"#,
            Some("tool_calls"),
        ),
        (
            r#"{"type":"message_delta","delta":{"stop_reason":"max_tokens"}}"#,
            Some("max_tokens"),
        ),
        (
            r#"{"candidates": [{"finishReason": "SAFETY"}]}"#,
            Some("SAFETY"),
        ),
        (r#"{"candidates":[{"finishReason":2}]}"#, Some("2")),
        (
            r#"{"model":"m","done":true,"done_reason":"stop"}"#,
            Some("stop"),
        ),
        (
            r#"{"stopReason":"guardrail_intervened"}"#,
            Some("guardrail_intervened"),
        ),
        (
            r#"{"messageStop":{"stopReason":"tool_use"}}"#,
            Some("tool_use"),
        ),
        (
            r#"{"outputs":[{"text":"hi","stop_reason":"stop"}]}"#,
            Some("stop"),
        ),
        (
            r#"{"results":[{"completionReason":"FINISH"}]}"#,
            Some("FINISH"),
        ),
        (
            r#"{"details":{"finish_reason":"eos_token"}}"#,
            Some("eos_token"),
        ),
        (
            r#"{"delta":{"finish_reason":"MAX_TOKENS"}}"#,
            Some("MAX_TOKENS"),
        ),
        (
            r#"{"response":{"status":"incomplete","incomplete_details":{"reason":"max_output_tokens"}}}"#,
            Some("max_output_tokens"),
        ),
        (
            r#"{"response":{"status":"completed","incomplete_details":null,"usage":{"input_tokens":1,"output_tokens":1}}}"#,
            Some("completed"),
        ),
        (
            r#"{"response":{"status":"in_progress","max_output_tokens":9}}"#,
            None,
        ),
        (r#"{"choices":[{"finish_reason":""}]}"#, None),
        (r#"{"choices":[{"finish_reason" : null}]}"#, None),
        (
            r#"{"choices":[{"delta":{"content":"\"finish_reason\":\"stop\""}}]}"#,
            None,
        ),
        (
            r#"{"choices":[{"delta":{"tool_calls":[{"function":{"arguments":{"finish_reason":"stop"}}}]}}]}"#,
            None,
        ),
        (r#"{"error":{"reason":"quota"}}"#, None),
    ] {
        assert_eq!(stream(&[event]).finish_reason(), expected, "{event}");
    }
}

#[test]
fn a_later_event_does_not_take_a_reason_back() {
    let scan = stream(&[
        r#"{"choices":[{"finish_reason":"length"}]}"#,
        r#"{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1}}"#,
    ]);
    assert_eq!(scan.finish_reason(), Some("length"));
}

#[test]
fn the_served_model_and_tier_are_the_last_ones_named() {
    let scan = stream(&[
        r#"{"response":{"model":"gpt-x","service_tier":"auto","max_output_tokens":null}}"#,
        r#"{"response":{"model":"gpt-x-2026","service_tier":"default","usage":{"input_tokens":1,"output_tokens":1}}}"#,
        r#"{"id":"","model":"","choices":[],"usage":{"prompt_tokens":1}}"#,
    ]);
    assert_eq!(scan.model(), Some("gpt-x-2026"));
    assert_eq!(scan.service_tier(), Some("default"));

    let gemini = stream(&[
        r#"{"modelVersion":"gemini-x","usageMetadata":{"promptTokenCount":1,"trafficType":"ON_DEMAND_FLEX"}}"#,
    ]);
    assert_eq!(gemini.model(), Some("gemini-x"));
    assert_eq!(gemini.service_tier(), Some("ON_DEMAND_FLEX"));
}
