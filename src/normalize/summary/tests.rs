use std::time::Duration;

use super::ChatSummary;
use crate::message::Served;

#[test]
fn a_body_with_other_habits_gives_the_same_summary() {
    let usage = r#""usage":{"prompt_tokens":5,"generated_tokens":2,"total_tokens":7}"#;
    let openai = format!(
        r#"{{"id":"1","created":9,"model":"m","choices":[{{"index":0,"finish_reason":"eos","message":{{"content":[{{"text":"a"}},{{"type":"thinking"}},{{"text":"b"}}]}}}}],{usage}}}"#
    );
    let summary = ChatSummary::of_body(openai.as_bytes()).unwrap();
    assert_eq!(
        (&*summary.id, &*summary.model, &*summary.content),
        ("1", "m", "ab")
    );
    assert_eq!(summary.created, Some(9));
    assert_eq!(summary.finish_reason.as_deref(), Some("stop"));
    assert_eq!(summary.usage.unwrap().total(), 7);

    let gemini = br#"{"candidates":[{"content":{"parts":[{"text":"t","thought":true},{"text":"ab"},{"functionCall":{"name":"f","args":{}}}]},"finishReason":"STOP"}],"responseId":"1"}"#;
    let summary = ChatSummary::of_body(gemini).unwrap();
    assert_eq!(
        (&*summary.content, summary.finish_reason.as_deref()),
        ("ab", Some("tool_calls"))
    );
}

#[test]
fn a_stream_is_summed_up_and_one_that_broke_off_has_no_reason() {
    let lines = "{\"model\":\"m\",\"message\":{\"content\":\"a\"},\"done\":false}\n{\"model\":\"m\",\"message\":{\"content\":\"b\"},\"done\":true,\"done_reason\":\"length\",\"eval_count\":2}";
    let summary = ChatSummary::of_stream(lines.as_bytes()).unwrap();
    assert_eq!(
        (&*summary.content, summary.finish_reason.as_deref()),
        ("ab", Some("length"))
    );

    let cut = "data: {\"choices\":[{\"delta\":{\"content\":\"a\"},\"finish_reason\":null}]}\n\ndata: {\"cho";
    let summary = ChatSummary::of_stream(cut.as_bytes()).unwrap();
    assert_eq!((&*summary.content, summary.finish_reason), ("a", None));
}

#[test]
fn an_error_is_an_error_and_what_is_no_answer_is_one_too() {
    for (json, code) in [
        (
            r#"{"error":{"message":"x","code":"overloaded"}}"#,
            "overloaded",
        ),
        (r#"{"data":[]}"#, "no_chat_answer"),
        ("[]", "no_chat_answer"),
        ("", "no_chat_answer"),
    ] {
        assert_eq!(
            ChatSummary::of_body(json.as_bytes()).unwrap_err().code(),
            Some(code)
        );
    }
    let stream = b"event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"x\"}}\n\n";
    assert_eq!(
        ChatSummary::of_stream(stream).unwrap_err().kind(),
        "overloaded_error"
    );
    assert!(ChatSummary::of_stream(b"").is_err());
}

#[test]
fn who_served_is_told_and_stands_for_a_model_that_is_not_named() {
    let mut served = Served::by("local".into());
    served.model = Some("m".into());
    let summary = ChatSummary::of_body(br#"{"choices":[]}"#).unwrap();
    let summary = summary
        .served_by(&served)
        .with_latency(Duration::from_secs(1));
    assert_eq!(
        (&*summary.model, summary.upstream.as_deref()),
        ("m", Some("local"))
    );
    assert_eq!(summary.latency, Some(Duration::from_secs(1)));
}
