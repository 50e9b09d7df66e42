use serde_json::{Value, json};

use super::harness::{EVENTS, JSON, LINES, answered, under};
use crate::normalize::{NormalizePolicy, Repair};

fn body(text: &str) -> Value {
    let seen = answered(JSON, text);
    assert!(seen.repairs.contains(&Repair::Native), "{text}");
    serde_json::from_str(&seen.text()).unwrap()
}

#[test]
fn a_body_is_a_chat_completion_with_all_that_it_has_a_place_for() {
    let body = body(
        r#"{"id":"msg_1","type":"message","role":"assistant","model":"claude","content":[
            {"type":"thinking","thinking":"Hm","signature":"x"},
            {"type":"text","text":"Hi "},{"type":"text","text":"you"},
            {"type":"web_search_tool_result","tool_use_id":"s","content":[]},
            {"type":"tool_use","id":"t","name":"f","input":{"a":1.0}},
            {"type":"tool_use","id":"u","name":"g"}],
            "stop_reason":"max_tokens","usage":{"input_tokens":7,"cache_read_input_tokens":3,"cache_creation_input_tokens":2,"output_tokens":5}}"#,
    );
    let created = body["created"].clone();
    assert!(created.as_u64() > Some(1_700_000_000));
    assert_eq!(
        body,
        json!({"id": "msg_1", "object": "chat.completion", "created": created, "model": "claude", "choices": [{
            "index": 0, "finish_reason": "length", "logprobs": null, "message": {
                "role": "assistant", "content": "Hi you", "reasoning_content": "Hm", "refusal": null, "tool_calls": [
                    {"id": "t", "type": "function", "function": {"name": "f", "arguments": "{\"a\":1.0}"}},
                    {"id": "u", "type": "function", "function": {"name": "g", "arguments": "{}"}},
                ]}}],
            "usage": {"prompt_tokens": 12, "completion_tokens": 5, "total_tokens": 17,
                "prompt_tokens_details": {"cached_tokens": 3, "cache_write_tokens": 2},
                "completion_tokens_details": {"reasoning_tokens": 0}}})
    );
}

#[test]
fn what_an_answer_does_not_name_is_what_was_asked_for() {
    let body = body(
        r#"{"output":{"message":{"content":[{"text":"Hi"}]}},"stopReason":"guardrail_intervened"}"#,
    );
    assert_eq!(body["model"], "asked");
    assert!(body["id"].as_str().unwrap().starts_with("chatcmpl-"));
    assert_eq!(body["choices"][0]["finish_reason"], "content_filter");
    assert_eq!(body.get("usage"), None);
}

#[test]
fn a_blocked_prompt_is_a_content_filter_and_a_failure_an_error() {
    let blocked = body(r#"{"promptFeedback":{"blockReason":"SAFETY"}}"#);
    assert_eq!(blocked["choices"][0]["finish_reason"], "content_filter");
    assert_eq!(blocked["choices"][0]["message"]["content"], Value::Null);

    for (text, message) in [
        (
            r#"{"candidates":[{"finishReason":"MALFORMED_FUNCTION_CALL"}]}"#,
            "the model failed: MALFORMED_FUNCTION_CALL",
        ),
        (
            r#"{"message":{"content":[]},"finish_reason":"TIMEOUT","id":"1"}"#,
            "the model failed: ERROR",
        ),
    ] {
        let failed = body(text);
        assert_eq!(failed["error"]["message"], message);
        assert_eq!(failed.get("choices"), None);
        assert_eq!(answered(JSON, text).status, 502);
    }
}

#[test]
fn geminis_list_of_answers_is_one() {
    let body = body(
        r#"[{"candidates":[{"content":{"parts":[{"text":"a"}]}}],"responseId":"r","modelVersion":"g"},
            {"candidates":[{"content":{"parts":[{"text":"b"}]},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":1,"candidatesTokenCount":2,"totalTokenCount":3}}]"#,
    );
    assert_eq!(body["choices"][0]["message"]["content"], "ab");
    assert_eq!(
        (&body["id"], &body["usage"]["total_tokens"]),
        (&"r".into(), &3.into())
    );
}

#[test]
fn lines_are_one_body_for_a_caller_who_asked_for_no_stream() {
    let lines = "{\"model\":\"q\",\"message\":{\"content\":\"a\"},\"done\":false}\n{\"model\":\"q\",\"message\":{\"content\":\"b\"},\"done\":true,\"done_reason\":\"length\",\"prompt_eval_count\":2,\"eval_count\":3}\n";
    let seen = answered(LINES, lines);
    assert_eq!(seen.headers["content-type"], JSON);
    let body: Value = serde_json::from_str(&seen.text()).unwrap();
    assert_eq!(body["choices"][0]["message"]["content"], "ab");
    assert_eq!(body["choices"][0]["finish_reason"], "length");
    assert_eq!(body["usage"]["total_tokens"], 5);

    let broken = answered(LINES, lines.lines().next().unwrap());
    assert!(broken.error.is_some() && broken.text().is_empty());
    let error = answered(LINES, "{\"error\":\"oh no\"}");
    assert!(error.text().starts_with(r#"{"error":{"message":"oh no""#));
}

#[test]
fn what_is_no_answer_of_a_known_api_stays() {
    for text in [
        r#"{"type":"message","content":[7]}"#,
        r#"{"candidates":[{"content":{"parts":[{"functionCall":{"#,
        r#"{"message":"Too many tokens"}"#,
        "[]",
        "",
    ] {
        let seen = answered(JSON, text);
        assert_eq!((seen.text(), seen.repairs), (text.to_owned(), Vec::new()));
    }
}

#[test]
fn a_strict_policy_refuses_native_answers_and_an_observing_one_only_counts_them() {
    let text = r#"{"model":"q","message":{"content":"a"},"done":true,"done_reason":"stop"}"#;
    let event = format!("data: {text}\n\n");
    let (whole, stream) = (r#"{"model":"m"}"#, r#"{"model":"m","stream":true}"#);
    for (media, asked, text) in [
        (JSON, whole, text),
        (EVENTS, stream, &*event),
        (LINES, stream, text),
        (LINES, whole, text),
    ] {
        let strict = under(NormalizePolicy::Strict, media, asked, text);
        assert!(
            strict.text().contains("nonconformant_answer"),
            "{}",
            strict.text()
        );
        assert!(!strict.text().contains("choices") && !strict.text().contains("[DONE]"));
        assert!(strict.repairs.contains(&Repair::Native));

        let observed = under(NormalizePolicy::Observe, media, asked, text);
        assert_eq!((&*observed.text(), observed.status), (text, 200));
        assert_eq!(observed.headers["content-type"], media);
        // Lines pass unread.
        assert_eq!(observed.repairs.contains(&Repair::Native), media != LINES);
    }
}
