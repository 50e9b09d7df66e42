//! What holds at the end of a stream, and at any point before.

use super::{Usage, UsageScan, counts, plain, stream};

#[test]
fn equal_copies_are_not_summed() {
    let usage = r#"{"prompt_tokens":20,"completion_tokens":9,"total_tokens":29}"#;
    let last_choice = format!(
        r#"{{"choices":[{{"index":0,"delta":{{}},"finish_reason":"stop","usage":{usage}}}],"x_groq":{{"id":"r","usage":{usage}}},"usage":{usage}}}"#
    );
    let extra = format!(r#"{{"choices":[],"usage":{usage}}}"#);
    let scan = stream(&[&last_choice, &extra, &extra]);
    assert_eq!(scan.usage(), Some(plain(20, 9)));
}

#[test]
fn each_single_copy_is_enough() {
    let usage = r#"{"prompt_tokens":20,"completion_tokens":9}"#;
    for event in [
        format!(r#"{{"x_groq":{{"usage":{usage}}}}}"#),
        format!(r#"{{"choices":[{{"usage":{usage}}}]}}"#),
        format!(r#"{{"choices":[],"usage":{usage}}}"#),
        format!(r#"{{"type":"response.completed","response":{{"usage":{usage}}}}}"#),
        format!(r#"{{"type":"message_start","message":{{"usage":{usage}}}}}"#),
        format!(r#"{{"type":"message-end","delta":{{"usage":{usage}}}}}"#),
    ] {
        assert_eq!(stream(&[&event]).usage(), Some(plain(20, 9)), "{event}");
    }
}

#[test]
fn a_later_null_erases_nothing() {
    let scan = stream(&[
        r#"{"choices":[{"finish_reason":"stop"}],"usage":{"prompt_tokens":20,"completion_tokens":9}}"#,
        r#"{"choices":[{"finish_reason":null}],"usage":null}"#,
        r#"{"choices":[],"usage":{"prompt_tokens":null,"completion_tokens":null}}"#,
    ]);
    assert_eq!(scan.usage(), Some(plain(20, 9)));
    assert_eq!(scan.finish_reason(), Some("stop"));
}

#[test]
fn cumulative_usage_holds_as_last_stated() {
    let scan = stream(&[
        r#"{"usageMetadata":{"promptTokenCount":34,"totalTokenCount":102,"thoughtsTokenCount":68}}"#,
        r#"{"usageMetadata":{"promptTokenCount":34,"candidatesTokenCount":23,"totalTokenCount":844,"thoughtsTokenCount":787}}"#,
        r#"{"usageMetadata":{"promptTokenCount":34,"candidatesTokenCount":469,"totalTokenCount":1290,"thoughtsTokenCount":787}}"#,
        r#"{"usageMetadata":{"trafficType":"ON_DEMAND"}}"#,
    ]);
    assert_eq!(counts(scan.usage().unwrap()), [34, 0, 0, 0, 469, 787, 0, 0]);
    assert_eq!(
        scan.service_tier(),
        None,
        "an event without counts is not parsed"
    );
}

#[test]
fn anthropic_states_the_input_first_and_the_rest_last() {
    let mut scan = UsageScan::default();
    scan.event(
        br#"{"type":"message_start","message":{"model":"claude","stop_reason":null,"usage":{"input_tokens":52,
            "cache_creation_input_tokens":30,"cache_read_input_tokens":7,"output_tokens":2,
            "cache_creation":{"ephemeral_5m_input_tokens":10,"ephemeral_1h_input_tokens":20},"service_tier":"standard"}}}"#,
    );
    assert_eq!(counts(scan.usage().unwrap()), [52, 7, 10, 20, 2, 0, 0, 0]);
    scan.event(
        br#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"hi"}}"#,
    );
    scan.event(br#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":216}}"#);
    assert_eq!(counts(scan.usage().unwrap()), [52, 7, 10, 20, 216, 0, 0, 0]);
    assert_eq!(scan.finish_reason(), Some("end_turn"));
    assert_eq!(scan.model(), Some("claude"));
    assert_eq!(scan.service_tier(), Some("standard"));
}

#[test]
fn a_larger_input_at_the_end_is_the_input() {
    let scan = stream(&[
        r#"{"type":"message_start","message":{"usage":{"input_tokens":2068,"cache_read_input_tokens":0,"output_tokens":3}}}"#,
        r#"{"type":"message_delta","delta":{},"usage":{"input_tokens":22397,"cache_read_input_tokens":100,
            "cache_creation_input_tokens":50,"output_tokens":300}}"#,
    ]);
    assert_eq!(
        counts(scan.usage().unwrap()),
        [22397, 100, 50, 0, 300, 0, 0, 0]
    );
}

#[test]
fn a_body_of_lines_reads_like_its_events() {
    let mut scan = UsageScan::default();
    scan.body(b"{\"is_finished\":false,\"text\":\"Ar\"}\n{\"event_type\":\"stream-end\",\"finish_reason\":\"COMPLETE\",\"response\":{\"meta\":{\"billed_units\":{\"input_tokens\":7,\"output_tokens\":3}}}}\n");
    assert_eq!(scan.usage(), Some(plain(7, 3)));
    assert_eq!(scan.finish_reason(), Some("COMPLETE"));
}

#[test]
fn a_body_that_is_an_array_of_chunks_reads_like_its_events() {
    let mut scan = UsageScan::default();
    scan.body(
        br#"[{"usageMetadata":{"promptTokenCount":4,"candidatesTokenCount":1,"totalTokenCount":5}},
            {"candidates":[{"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":4,"candidatesTokenCount":9,"totalTokenCount":13}}]"#,
    );
    assert_eq!(scan.usage(), Some(plain(4, 9)));
    assert_eq!(scan.finish_reason(), Some("STOP"));
}

#[test]
fn nothing_is_kept_of_a_stream_that_states_nothing() {
    let scan = stream(&[
        r#"{"choices":[{"delta":{"content":"hi"},"finish_reason":null}],"usage":null}"#,
        "[DONE]",
    ]);
    assert_eq!(scan.usage(), None::<Usage>);
    assert_eq!(scan.finish_reason(), None);
    assert!(size_of::<UsageScan>() <= 64);
}
