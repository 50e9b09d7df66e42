use bytes::Bytes;

use super::{AnswerScan, has_output};
use crate::message::Media;

fn scan(media: Media, text: &str, split: usize) -> (bool, AnswerScan) {
    let mut scan = AnswerScan::new(media);
    for chunk in text.as_bytes().chunks(split) {
        scan.push(&Bytes::copy_from_slice(chunk));
    }
    let whole = scan.finish();
    (whole, scan)
}

#[test]
fn what_is_stated_after_the_end_is_no_error_of_the_answer() {
    let error = "data: {\"error\":{\"message\":\"x\"}}\n\n";
    let after = format!("data: {{\"choices\":[]}}\n\ndata: [DONE]\n\n{error}");
    let before = format!("{error}data: [DONE]\n\n");
    for split in [1, 7, 4096] {
        for (text, is_stated) in [(&after, false), (&before, true)] {
            let (_, scan) = scan(Media::EventStream, text, split);
            assert_eq!(scan.facts().error.is_some(), is_stated, "{text} by {split}");
        }
    }
}

#[test]
fn a_stream_is_whole_by_its_terminal_event_or_its_finish_reason() {
    for (text, whole) in [
        ("data: {\"choices\":[]}\n\ndata: [DONE]\n\n", true),
        ("data:[DONE]", true),
        (
            "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n",
            true,
        ),
        (
            "data: {\"choices\":[{\"delta\":{},\"finish_reason\":null}]}\n\n",
            false,
        ),
        (
            "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
            true,
        ),
        (
            "event: message_start\ndata: {\"type\":\"message_start\"}\n\n",
            false,
        ),
        ("event: response.completed\ndata: {}\n\n", true),
        ("event: response.completed\ndata: {}", true),
        (
            "event: response.completed\ndata: {\"response\":{\"id\":\"r",
            false,
        ),
        ("event: message_stop\n", false),
        ("data: [DO", false),
        ("event: response.incomplete\ndata: {}\n\n", true),
        ("data: {}\nevent: response.completed\n\n", true),
        (
            "data: {\"candidates\":[{\"finishReason\":\"STOP\"}]}\r\n\r\n",
            true,
        ),
        (
            "data: {\"choices\":[{\"delta\":{\"content\":\"[DONE]\"}}]}\n\n",
            false,
        ),
        (": keep-alive\n\n", false),
        ("", false),
    ] {
        for split in [1, 7, 4096] {
            assert_eq!(
                scan(Media::EventStream, text, split).0,
                whole,
                "{text} by {split}"
            );
        }
    }
}

#[test]
fn json_lines_are_whole_by_their_last_one_and_its_usage_is_read() {
    let part =
        r#"{"model":"m","message":{"role":"assistant","content":"\"done\":true"},"done":false}"#;
    let done = r#"{"model":"m","message":{"role":"assistant","content":""},"done":true,"prompt_eval_count":7,"eval_count":5}"#;
    let pulled = r#"{"status":"pulling"}"#;
    for (text, whole, total) in [
        (format!("{part}\n{done}\n"), true, Some(12)),
        (format!("{part}\n{done}"), true, Some(12)),
        (format!("{part}\n"), false, None),
        (
            format!("{part}\n{}", done.trim_end_matches('}')),
            false,
            None,
        ),
        (format!("{pulled}\n{pulled}\r\n "), true, None),
        ("{\"model\":\"m\",\"mess".into(), false, None),
        (
            "{\"is_finished\":false,\"text\":\"a\"}\n".into(),
            false,
            None,
        ),
        ("{\"is_finished\":true}\n".into(), true, None),
    ] {
        for split in [1, 7, 4096] {
            let (is_whole, scan) = scan(Media::JsonLines, &text, split);
            assert_eq!(is_whole, whole, "{text} by {split}");
            let usage = scan.facts().usage.usage();
            assert_eq!(usage.map(|usage| usage.total()), total, "{text}");
        }
    }
}

#[test]
fn usage_is_read_from_a_body_in_any_pieces_and_at_any_length() {
    let usage = r#""usage":{"prompt_tokens":7,"completion_tokens":5,"total_tokens":12}}"#;
    let short = format!("{{\"choices\":[],{usage}");
    let long = format!("{{\"data\":\"{}\",{usage}", "x".repeat(3 << 20));
    for text in [short, long] {
        for split in [1000, usize::MAX] {
            let (_, scan) = scan(Media::Json, &text, split);
            assert_eq!(
                scan.facts().usage.usage().map(|usage| usage.total()),
                Some(12)
            );
        }
    }
}

#[test]
fn quoted_usage_at_the_end_of_a_long_body_is_not_read() {
    let text = format!(
        "{{\"data\":\"{} {{\\\"usage\\\":{{\\\"total_tokens\\\":9}}}}\"}}",
        "x".repeat(2 << 20)
    );
    let (_, scan) = scan(Media::Json, &text, usize::MAX);
    assert_eq!(scan.facts().usage.usage(), None);
}

#[test]
fn only_what_a_model_made_is_output() {
    for (data, output) in [
        (
            r#"{"choices":[{"delta":{"role":"assistant","content":""}}]}"#,
            false,
        ),
        (
            r#"{"choices":[{"delta":{"content":null,"tool_calls":[ ]}}]}"#,
            false,
        ),
        (r#"{"choices":[],"usage":{}}"#, false),
        (r#"{"choices":[{"delta":{"content":"a"}}]}"#, true),
        (r#"{"choices":[{"delta":{"reasoning_content":"a"}}]}"#, true),
        (
            r#"{"choices":[{"delta":{"tool_calls":[{"index":0}]}}]}"#,
            true,
        ),
        (r#"{"choices":[{"text":"a"}]}"#, true),
        (
            r#"{"type":"message_start","message":{"content":[]}}"#,
            false,
        ),
        (
            r#"{"type":"message_start","message":{"content":"x"}}"#,
            false,
        ),
        (r#"{"type":"ping"}"#, false),
        (
            r#"{"type":"content_block_start","content_block":{"type":"text","text":""}}"#,
            false,
        ),
        (
            r#"{"type":"content_block_start","content_block":{"type":"tool_use","id":"t"}}"#,
            true,
        ),
        (
            r#"{"type":"content_block_delta","delta":{"type":"text_delta","text":"a"}}"#,
            true,
        ),
        (
            r#"{"type":"response.created","response":{"output":[]}}"#,
            false,
        ),
        (r#"{"type":"response.output_text.delta","delta":"a"}"#, true),
        (
            r#"{"candidates":[{"content":{"parts":[{"text":"a"}]}}]}"#,
            true,
        ),
        (r#"{"candidates":[{"content":{"role":"model"}}]}"#, false),
        (r#"{"message":{"role":"assistant","content":"a"}}"#, true),
        (r#"{"message":{"role":"assistant","content":""}}"#, false),
        (r#"{"response":"a"}"#, true),
        (r#"{"contentBlockDelta":{"delta":{"text":"a"}}}"#, true),
        ("[DONE]", false),
        ("", false),
        (r#"{"choices":7}"#, false),
    ] {
        assert_eq!(has_output(data.as_bytes()), output, "{data}");
    }
}

#[test]
fn an_event_too_long_to_hold_ends_the_reading_and_not_the_stream() {
    let text = format!(
        "data: {{\"image\":\"{}\"}}\n\ndata: [DONE]\n\n",
        "x".repeat(2 << 20)
    );
    for split in [1000, usize::MAX] {
        let (whole, scan) = scan(Media::EventStream, &text, split);
        assert!(whole);
        assert_eq!(scan.facts().usage.usage(), None);
    }
}
