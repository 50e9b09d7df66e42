use bytes::Bytes;

use super::harness::{EVENTS, LINES, Seen, events, sent, streamed};
use crate::{
    message::{End, Failure, Media},
    normalize::Repair,
};

const ROLE: &str = r#"0 {"content":"","role":"assistant"}"#;
const START: &str = r#"{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"claude","content":[],"usage":{"input_tokens":7,"cache_read_input_tokens":3,"output_tokens":1}}}"#;
const TEXT: &str =
    r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hi"}}"#;
const END: &str =
    r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":5}}"#;
const STOP: &str = r#"{"type":"message_stop"}"#;

#[test]
fn anthropics_blocks_become_deltas_and_what_has_no_place_is_left_out() {
    let seen = streamed(
        EVENTS,
        &events(&[
            START,
            r#"{"type":"ping"}"#,
            r#"{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}"#,
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"Hm"}}"#,
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"x"}}"#,
            r#"{"type":"content_block_stop","index":0}"#,
            r#"{"type":"content_block_start","index":1,"content_block":{"type":"server_tool_use","id":"s","name":"web_search","input":{}}}"#,
            r#"{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{}"}}"#,
            r#"{"type":"content_block_stop","index":1}"#,
            r#"{"type":"content_block_start","index":2,"content_block":{"type":"tool_use","id":"t","name":"f","input":{}}}"#,
            r#"{"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":""}}"#,
            r#"{"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"{\"a\":"}}"#,
            r#"{"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"1}"}}"#,
            r#"{"type":"content_block_stop","index":2}"#,
            r#"{"type":"content_block_start","index":3,"content_block":{"type":"tool_use","id":"u","name":"g","input":{}}}"#,
            r#"{"type":"content_block_stop","index":3}"#,
            r#"{"type":"news_of_next_year"}"#,
            END,
            STOP,
        ]),
    );
    assert_eq!(
        seen.deltas(),
        [
            ROLE,
            r#"0 {"reasoning_content":"Hm"}"#,
            r#"0 {"tool_calls":[{"function":{"arguments":"","name":"f"},"id":"t","index":0,"type":"function"}]}"#,
            r#"0 {"tool_calls":[{"function":{"arguments":"{\"a\":"},"index":0}]}"#,
            r#"0 {"tool_calls":[{"function":{"arguments":"1}"},"index":0}]}"#,
            r#"0 {"tool_calls":[{"function":{"arguments":"","name":"g"},"id":"u","index":1,"type":"function"}]}"#,
            r#"0 {"tool_calls":[{"function":{"arguments":"{}"},"index":1}]}"#,
            "0 tool_calls",
            "usage 15",
        ]
    );
    assert!(seen.is_done() && seen.text().contains(": ping\n\n"));
    let last = seen.events().pop().unwrap();
    assert_eq!(last["usage"]["prompt_tokens_details"]["cached_tokens"], 3);
    assert_eq!(
        (&last["id"], &last["model"]),
        (&"msg_1".into(), &"claude".into())
    );
    assert!(seen.repairs.contains(&Repair::Native));
}

#[test]
fn each_event_is_passed_on_before_the_next_one_comes() {
    let pieces = [START, TEXT, TEXT, END, STOP].map(|json| Bytes::from(events(&[json])));
    let asked = r#"{"model":"asked","stream":true}"#;
    let seen = sent(EVENTS, asked, pieces.to_vec(), false);
    assert_eq!(seen.pieces.len(), 5);
    assert!(seen.pieces[1].contains("Hi") && seen.pieces[3].contains("\"stop\""));
    assert_eq!(seen.pieces[4], "data: [DONE]\n\n");
}

#[test]
fn a_refusal_is_a_content_filter_and_a_failure_an_error() {
    let stopped = |json: &str| streamed(EVENTS, &events(&[START, json, STOP]));
    let refused = stopped(r#"{"type":"message_delta","delta":{"stop_reason":"refusal"}}"#);
    assert_eq!(refused.deltas()[1], "0 content_filter");

    let gemini = |json: &str| streamed(EVENTS, &events(&[json]));
    let blocked = gemini(
        r#"{"promptFeedback":{"blockReason":"OTHER"},"usageMetadata":{"promptTokenCount":4,"totalTokenCount":4}}"#,
    );
    assert_eq!(blocked.deltas(), [ROLE, "0 content_filter", "usage 4"]);
    let failed = gemini(
        r#"{"candidates":[{"finishReason":"MALFORMED_FUNCTION_CALL","finishMessage":"no such call"}]}"#,
    );
    assert_eq!(
        failed.deltas(),
        [
            ROLE,
            r#"error "the model failed: no such call (MALFORMED_FUNCTION_CALL)""#
        ]
    );
    assert!(!failed.text().contains("[DONE]"));
    let unasked = gemini(r#"{"candidates":[{"finishReason":"UNEXPECTED_TOOL_CALL"}]}"#);
    assert_eq!(
        unasked.deltas()[1],
        r#"error "the model failed: UNEXPECTED_TOOL_CALL""#
    );
    let by_number = gemini(r#"{"candidates":[{"finishReason":10}]}"#);
    assert!(by_number.deltas()[1].starts_with("error"));
}

#[test]
fn an_error_in_a_stream_becomes_openais_and_nothing_follows_it() {
    let error = r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#;
    for (seen, message) in [
        (
            streamed(EVENTS, &events(&[START, error, TEXT, STOP])),
            "Overloaded",
        ),
        (
            streamed(
                EVENTS,
                "event: messageStart\ndata: {}\n\nevent: throttlingException\ndata: {\"message\":\"slow\"}\n\nevent: messageStop\ndata: {\"stopReason\":\"end_turn\"}\n\n",
            ),
            "slow",
        ),
        (
            streamed(
                LINES,
                "{\"message\":{\"content\":\"a\"},\"done\":false}\n{\"error\":\"oh no\"}\n{\"done\":true}",
            ),
            "oh no",
        ),
        (streamed(LINES, "{\"error\":\"oh no\"}\n"), "oh no"),
        (
            streamed(
                EVENTS,
                &(events(&[START]) + "data: {\"type\":\n\n" + &events(&[END, STOP])),
            ),
            "the upstream sent an event that cannot be read",
        ),
    ] {
        let deltas = seen.deltas();
        assert_eq!(deltas.last().unwrap(), &format!("error {message:?}"));
        assert!(!seen.text().contains("[DONE]"), "{deltas:?}");
        let error = &seen.events().pop().unwrap()["error"];
        assert!(error["type"].is_string() && error["code"].is_string() || error["code"].is_null());
    }
}

#[test]
fn a_stream_that_broke_off_gets_no_end() {
    let start = events(&[START, TEXT]);
    let half = events(&[END]);
    for cut in [
        start.clone(),
        start.clone() + half.split("\"usage\"").next().unwrap(),
        start + "\n: ping\n",
    ] {
        let seen = streamed(EVENTS, &cut);
        assert_eq!(seen.deltas(), [ROLE, r#"0 {"content":"Hi"}"#]);
        assert!(!seen.text().contains("[DONE]"));
    }
    // Whatever was still to come: the reason that was held back is the caller's, and the break too.
    let gemini = r#"{"candidates":[{"content":{"parts":[{"text":"Hi"}]},"finishReason":"STOP"}]}"#;
    let pieces = vec![Bytes::from(events(&[gemini]))];
    let seen = sent(EVENTS, r#"{"stream":true}"#, pieces, true);
    assert_eq!(seen.deltas(), [ROLE, r#"0 {"content":"Hi"}"#, "0 stop"]);
    assert!(seen.error.is_some() && !seen.is_done());
}

#[test]
fn geminis_last_reason_counts_and_its_candidates_are_choices() {
    let seen = streamed(
        EVENTS,
        &events(&[
            r#"{"candidates":[{"content":{"parts":[{"text":"a"}]},"finishReason":"STOP"},{"index":1,"content":{"parts":[{"text":"hm","thought":true}]}}]}"#,
            r#"{"candidates":[{"content":{"parts":[{"text":"b"}]},"finishReason":"MAX_TOKENS"},{"index":1,"content":{"parts":[{"functionCall":{"name":"f","args":{ "x":1.0}}}]},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":2,"candidatesTokenCount":3,"thoughtsTokenCount":4,"totalTokenCount":9}}"#,
        ]),
    );
    assert_eq!(
        seen.deltas()[..4],
        [
            ROLE,
            r#"0 {"content":"a"}"#,
            r#"1 {"content":"","role":"assistant"}"#,
            r#"1 {"reasoning_content":"hm"}"#,
        ]
    );
    assert!(seen.text().contains(r#""arguments":"{ \"x\":1.0}""#));
    assert_eq!(seen.deltas()[7..], ["0 length", "1 tool_calls", "usage 9"]);
    let usage = &seen.events().pop().unwrap()["usage"];
    assert_eq!(
        (
            &usage["completion_tokens"],
            &usage["completion_tokens_details"]["reasoning_tokens"]
        ),
        (&7.into(), &4.into())
    );
}

fn are_events(seen: &Seen) {
    assert_eq!(
        (&seen.headers["content-type"], seen.media),
        (&EVENTS.parse().unwrap(), Media::EventStream)
    );
    assert!(!seen.headers.contains_key("content-length"));
}

#[test]
fn lines_become_events_whatever_they_say() {
    let seen = streamed(
        LINES,
        "{\"model\":\"qwen\",\"message\":{\"thinking\":\"Hm\"},\"done\":false}\r\n\n{\"model\":\"qwen\",\"message\":{\"tool_calls\":[{\"function\":{\"name\":\"f\",\"arguments\":{\"a\":1}}}]},\"done\":false}\n{\"done\":true,\"done_reason\":\"stop\",\"prompt_eval_count\":2,\"eval_count\":3}",
    );
    are_events(&seen);
    assert_eq!(seen.deltas()[1], r#"0 {"reasoning_content":"Hm"}"#);
    assert_eq!(
        seen.deltas()[3],
        r#"0 {"tool_calls":[{"function":{"arguments":"{\"a\":1}"},"index":0}]}"#
    );
    assert_eq!(seen.deltas()[4..], ["0 tool_calls", "usage 5"]);
    assert!(seen.is_done());

    let chunk = |rest: &str| {
        format!(
            "{{\"id\":\"1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{{\"index\":0,{rest}}}]}}\n"
        )
    };
    let openai = chunk(r#""delta":{"content":"a"},"finish_reason":null"#)
        + &chunk(r#""delta":{},"finish_reason":"stop""#);
    let seen = streamed(LINES, &openai);
    are_events(&seen);
    assert_eq!(seen.deltas(), [r#"0 {"content":"a"}"#, "0 stop"]);
    assert!(seen.is_done() && !seen.repairs.contains(&Repair::Native));
}

#[test]
fn how_a_stream_of_lines_ended_is_told_by_the_upstreams_own_bytes() {
    let line = "{\"model\":\"q\",\"message\":{\"content\":\"a\"},\"done\":false}\n";
    let whole = line.to_owned()
        + "{\"done\":true,\"done_reason\":\"stop\",\"prompt_eval_count\":2,\"eval_count\":3}\n";
    let seen = streamed(LINES, &whole);
    assert_eq!(seen.completion.end, End::Complete);
    assert_eq!(seen.completion.usage.unwrap().total(), 5);
    assert_eq!(seen.completion.bytes, whole.len() as u64);
    let cut = streamed(LINES, line);
    assert_eq!(cut.completion.end, End::Failed(Failure::Truncated));
}
