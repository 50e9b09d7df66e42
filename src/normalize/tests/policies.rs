//! What else may be done than to repair, and what is told of it.

use std::{
    io,
    sync::{Arc, Mutex},
};

use tracing_subscriber::fmt::format::FmtSpan;

use super::{EVENTS, HEAD, JSON, NormalizePolicy, Repair, chunks, normalized};

const ODD: &str = r#"{"id":"1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"finish_reason":"stop","logprobs":null,"message":{"role":"assistant","refusal":null,"content":"a"}},{"index":1,"finish_reason":"eos","logprobs":null,"message":{"role":"assistant","refusal":null,"content":null,"tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":{}}}]}}]}"#;

#[test]
fn strict_says_what_is_wrong_and_where() {
    let (status, body, repairs) = normalized(NormalizePolicy::Strict, JSON, ODD.as_bytes());
    assert_eq!(status, 502);
    let error: serde_json::Value = serde_json::from_slice(&body).unwrap();
    let message = error["error"]["message"].as_str().unwrap();
    assert!(
        message.ends_with("tool_call at choices[1], tool call 0"),
        "{message}"
    );
    assert_eq!(error["error"]["code"], "nonconformant_answer");
    assert_eq!(repairs, [Repair::FinishReasonToolCalls, Repair::ToolCall]);
    for what in ["{}", "no json", r#"{"choices":7}"#] {
        assert_eq!(
            normalized(NormalizePolicy::Strict, JSON, what.as_bytes()).0,
            502,
            "{what}"
        );
    }
}

#[test]
fn strict_ends_a_stream_at_its_first_deviation_as_failed() {
    let fine = r#""choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}]"#;
    let sent = chunks(&[
        fine,
        r#""choices":[{"delta":{},"finish_reason":"stop"}]"#,
        fine,
    ]);
    let (_, body, _) = normalized(
        NormalizePolicy::Strict,
        EVENTS,
        (sent + "data: [DONE]\n\n").as_bytes(),
    );
    let body = String::from_utf8(body.to_vec()).unwrap();
    let said = body.strip_prefix(&chunks(&[fine])).unwrap();
    assert!(
        said.starts_with("data: {\"error\":{") && said.contains("index at choices[0]"),
        "{said}"
    );
    assert!(
        !said.contains("[DONE]") && said.matches("data:").count() == 1,
        "{said}"
    );

    let end = r#""choices":[{"index":0,"delta":{},"finish_reason":"stop"}]"#;
    let (_, body, repairs) = normalized(
        NormalizePolicy::Strict,
        EVENTS,
        chunks(&[fine, end]).as_bytes(),
    );
    let body = String::from_utf8(body.to_vec()).unwrap();
    assert!(body.contains("what OpenAI would have sent: done"), "{body}");
    assert_eq!(repairs, [Repair::Done]);
}

#[test]
fn observe_counts_and_changes_nothing() {
    let (status, body, repairs) = normalized(NormalizePolicy::Observe, JSON, ODD.as_bytes());
    assert_eq!((status, &body[..]), (200, ODD.as_bytes()));
    assert_eq!(repairs, [Repair::FinishReasonToolCalls, Repair::ToolCall]);

    let sent = format!(
        "data: {{\"choices\":[]}}\n\n{}event: error\ndata: {{{HEAD},\"error\":\"m\"}}\n\ndata: [DONE]\n\n",
        chunks(&[r#""choices":[{"delta":{},"finish_reason":"stop"}]"#])
    );
    let (_, body, repairs) = normalized(NormalizePolicy::Observe, EVENTS, sent.as_bytes());
    assert_eq!(body, sent);
    assert!(
        repairs.contains(&Repair::Id) && repairs.contains(&Repair::Error),
        "{repairs:?}"
    );

    let unended = chunks(&[r#""choices":[{"index":0,"delta":{},"finish_reason":"stop"}]"#]);
    let (_, body, repairs) = normalized(NormalizePolicy::Observe, EVENTS, unended.as_bytes());
    assert_eq!((body, repairs), (unended.into(), vec![Repair::Done]));
}

#[test]
fn an_error_is_put_right_where_the_policy_is_strict() {
    let (status, body, _) = normalized(
        NormalizePolicy::Strict,
        JSON,
        br#"{"error":"rate limit","code":429}"#,
    );
    assert_eq!(status, 429);
    assert!(body.starts_with(b"{\"error\":{"));
    let (status, _, repairs) = normalized(
        NormalizePolicy::Observe,
        JSON,
        br#"{"error":"x","code":429}"#,
    );
    assert_eq!(
        (status, repairs),
        (200, vec![Repair::Error, Repair::ErrorStatus])
    );
}

/// What was logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn the_span_of_the_call_shows_what_was_repaired() {
    let log = Log::default();
    let shown = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_span_events(FmtSpan::CLOSE)
        .with_ansi(false)
        .with_writer(move || log.clone())
        .finish();
    tracing::subscriber::with_default(subscriber, || {
        let span = tracing::info_span!("call", relay.repairs = tracing::field::Empty);
        span.in_scope(|| normalized(NormalizePolicy::Lenient, JSON, ODD.as_bytes()));
    });
    let shown = String::from_utf8(shown.0.lock().unwrap().clone()).unwrap();
    assert!(
        shown.contains("relay.repairs=finish_reason_tool_calls,tool_call"),
        "{shown}"
    );
}
