//! How streams begin and end.

use super::{EVENTS, HEAD, chunks, seen};
use crate::normalize::Repair;

const TEXT: &str = r#""choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}]"#;
const END: &str = r#""choices":[{"index":0,"delta":{},"finish_reason":"stop"}]"#;
const DONE: &str = "data: [DONE]\n\n";

/// What the caller of a stream gets, who asked for usage.
fn stream(sent: &str) -> (String, Vec<Repair>) {
    let (body, repairs) = seen(EVENTS, sent.as_bytes(), 1 << 20, true);
    (String::from_utf8(body.to_vec()).unwrap(), repairs)
}

#[test]
fn azures_first_event_waits_for_the_names_that_the_second_has() {
    let first = r#"data: {"choices":[],"created":0,"id":"","model":"","object":"","prompt_filter_results":[]}"#;
    let sent = format!("{first}\n\n{}{DONE}", chunks(&[TEXT, END]));
    let opened = r#"data: {"choices":[],"created":1,"id":"1","model":"m","object":"chat.completion.chunk","prompt_filter_results":[]}"#;
    let (body, repairs) = stream(&sent);
    assert_eq!(body, format!("{opened}\n\n{}{DONE}", chunks(&[TEXT, END])));
    assert_eq!(
        repairs,
        [Repair::Id, Repair::Object, Repair::Created, Repair::Model]
    );
}

#[test]
fn a_first_event_that_nothing_follows_is_not_lost() {
    let (body, _) = stream("data: {\"choices\":[],\"id\":\"\",\"x\":1}\n\n");
    assert!(
        body.contains("\"x\":1") && body.contains("\"id\":\"chatcmpl-"),
        "{body}"
    );
}

#[test]
fn a_stream_that_never_says_why_it_ended_is_told_by_its_end() {
    let empty = r#""choices":[{"index":0,"delta":{"content":"a"},"finish_reason":""}]"#;
    let (body, repairs) = stream(&(chunks(&[empty]) + DONE));
    assert_eq!(body, chunks(&[TEXT, END]) + DONE);
    assert_eq!(repairs, [Repair::FinishReason]);
}

#[test]
fn a_truncated_stream_never_ends_as_if_it_were_complete() {
    let empty = r#""choices":[{"index":0,"delta":{"content":"a"},"finish_reason":""}]"#;
    let (body, _) = stream(&chunks(&[empty]));
    assert_eq!(body, chunks(&[TEXT]));
}

#[test]
fn usage_on_every_chunk_becomes_one_chunk_with_the_last() {
    let usage = |count| {
        format!(
            r#""usage":{{"prompt_tokens":5,"completion_tokens":{count},"total_tokens":{}}}"#,
            5 + count
        )
    };
    let sent = chunks(&[
        &format!("{TEXT},{}", usage(1)),
        &format!("{END},{}", usage(2)),
        &format!("\"choices\":[],{}", usage(2)),
        &format!("\"choices\":[],{}", usage(2)),
    ]);
    let expected = chunks(&[
        &format!("{TEXT},\"usage\":null"),
        &format!("{END},\"usage\":null"),
        &format!("\"choices\":[],{}", usage(2)),
    ]);
    let (body, repairs) = stream(&(sent + DONE));
    assert_eq!(body, expected + DONE);
    assert_eq!(repairs, [Repair::UsagePlace]);
}

#[test]
fn an_error_in_a_stream_is_openais_and_the_last_that_is_said() {
    let error = r#"data: {"error":{"message":"m","type":"t","param":null,"code":null}}"#;
    for (sent, repaired) in [
        (format!("{error}\n\n"), false),
        (
            "event: error\ndata: {\"error\":{\"message\":\"m\",\"type\":\"t\"}}\n\n".to_owned(),
            true,
        ),
        (
            "{\"error\":{\"message\":\"m\",\"type\":\"t\"}}\n\n".to_owned(),
            true,
        ),
        (
            "error: {\"message\":\"m\",\"type\":\"t\"}\n\n".to_owned(),
            true,
        ),
        (
            format!(
                "data: {{{HEAD},\"choices\":[{{\"index\":0,\"delta\":{{}},\"error\":{{\"message\":\"m\",\"type\":\"t\"}}}}]}}\n\n"
            ),
            true,
        ),
    ] {
        let (body, repairs) = stream(&(chunks(&[TEXT]) + &sent + &chunks(&[END]) + DONE));
        let said = body.strip_prefix(&chunks(&[TEXT])).unwrap();
        let json = said.strip_prefix("data: ").unwrap();
        let json: serde_json::Value = serde_json::from_str(json).unwrap();
        assert_eq!(json["error"]["message"], "m", "{sent}");
        assert!(
            json["error"]["code"].is_null() && json["error"]["param"].is_null(),
            "{said}"
        );
        assert_eq!(repairs.contains(&Repair::Error), repaired, "{sent}");
    }
}

#[test]
fn a_model_that_failed_leaves_its_words_and_an_error() {
    let failed =
        r#""choices":[{"index":0,"delta":{"content":"a"},"finish_reason":"network_error"}]"#;
    let (body, _) = stream(&(chunks(&[failed]) + DONE));
    let said = body.strip_prefix(&chunks(&[TEXT])).unwrap();
    assert!(said.starts_with("data: {\"error\":{"), "{said}");
    assert!(
        said.contains("network_error") && !body.contains("[DONE]"),
        "{said}"
    );
}

#[test]
fn usage_that_only_groqs_wrapper_states_becomes_a_chunk_of_its_own() {
    let usage = r#""usage":{"prompt_tokens":5,"completion_tokens":1,"total_tokens":6}"#;
    let end = format!("{END},\"x_groq\":{{\"id\":\"r\",{usage}}}");
    let alone = format!("\"choices\":[],{usage}");
    let (body, repairs) = stream(&(chunks(&[TEXT, &end]) + DONE));
    assert_eq!(body, chunks(&[TEXT, &end, &alone]) + DONE);
    assert_eq!(repairs, [Repair::UsagePlace]);
    let sent = chunks(&[TEXT, &end, &alone]) + DONE;
    assert_eq!(stream(&sent), (sent, Vec::new()));
    let sent = chunks(&[TEXT, &end]) + DONE;
    let (unasked, repairs) = seen(EVENTS, sent.as_bytes(), 1 << 20, false);
    assert_eq!((unasked, repairs), (sent.into(), Vec::new()));
}

#[test]
fn a_reason_that_is_said_again_beside_the_usage_is_said_once() {
    let usage = r#""usage":{"prompt_tokens":5,"completion_tokens":1,"total_tokens":6}"#;
    let again = r#""choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":"stop","native_finish_reason":"STOP"}]"#;
    let last = r#""choices":[{"index":0,"delta":{"content":"b"},"finish_reason":"stop"}]"#;
    let alone = format!("\"choices\":[],{usage}");
    let (body, _) = stream(&(chunks(&[TEXT, END, &format!("{again},{usage}")]) + DONE));
    assert_eq!(body, chunks(&[TEXT, END, &alone]) + DONE);
    let (body, _) = stream(&(chunks(&[TEXT, END, &format!("{last},{usage}")]) + DONE));
    let last = format!("{last},\"usage\":null");
    assert_eq!(body, chunks(&[TEXT, END, &last, &alone]) + DONE);
}

#[test]
fn usage_within_a_choice_becomes_a_chunk_of_its_own() {
    let end = r#""choices":[{"index":0,"delta":{},"finish_reason":"stop","usage":{"prompt_tokens":5,"completion_tokens":1,"total_tokens":6,"cached_tokens":2}}]"#;
    let usage = r#""choices":[],"usage":{"prompt_tokens":5,"completion_tokens":1,"total_tokens":6,"cached_tokens":2,"prompt_tokens_details":{"cached_tokens":2}}"#;
    let (body, repairs) = stream(&(chunks(&[end]) + DONE));
    assert_eq!(body, chunks(&[END, usage]) + DONE);
    assert_eq!(repairs, [Repair::UsagePlace]);
}

/// A line end may come in two pieces: CR, with which the event is whole, and LF.
#[test]
fn an_event_that_is_held_or_left_out_goes_with_its_whole_line_end() {
    let usage =
        r#""choices":[],"usage":{"prompt_tokens":5,"completion_tokens":1,"total_tokens":6}"#;
    for sent in [
        "data: {\"choices\":[]}\n\n".to_owned(),
        format!("data: {{\"choices\":[]}}\n\n{}", chunks(&[TEXT, END])),
        chunks(&[TEXT, END, usage]) + DONE,
        chunks(&[TEXT, END, usage]),
    ] {
        let sent = sent.replace('\n', "\r\n");
        let (whole, _) = seen(EVENTS, sent.as_bytes(), 1 << 20, false);
        let (pieces, _) = seen(EVENTS, sent.as_bytes(), 1, false);
        assert_eq!(pieces.len(), whole.len(), "{whole:?} and {pieces:?}");
    }
}
