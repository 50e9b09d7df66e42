use std::time::Duration;

use http::Request;
use http_body_util::BodyExt;
use tower::{Layer, ServiceExt};

use super::{
    super::{TelemetryLayer, conventions},
    ANSWER, SECRET, STREAM, answer, ask, chat,
    recorded::{Closed, Recorded},
    upstream,
};
use crate::{
    message::{Bill, BillLine, Cached, CostSource, RequestBody, Selection, usage::Usage},
    testing::{answering, read},
};

/// What a span says, a line each, without what is different each time.
fn said(span: &Closed) -> String {
    let mut text = String::new();
    for (name, value) in &span.fields {
        let value = match *name {
            conventions::attribute::FIRST_CHUNK | conventions::attribute::QUEUE_TIME => "a time",
            _ => value,
        };
        text += &[name, " = ", value, "\n"].concat();
    }
    text
}

#[tokio::test(start_paused = true)]
async fn a_request_and_its_attempt_say_what_is_on_record_and_no_more() {
    let recorded = Recorded::default();
    let _listening = recorded.listen();
    let telemetry = TelemetryLayer::new();
    ask(&telemetry, chat("gpt-4.1"), |_| {
        let mut response = answer(200, "application/json", ANSWER);
        let selection = Selection::new("gpt-4.1", "high").because("more than 5,000 characters");
        response.extensions_mut().insert(selection);
        let hit = http::HeaderValue::from_static("miss");
        response.headers_mut().insert("x-relay-cache", hit);
        response
    })
    .await;

    let request = recorded.one(conventions::REQUEST_SPAN);
    assert_eq!(
        said(&request),
        "gen_ai.operation.name = chat
gen_ai.provider.name = openai
gen_ai.request.max_tokens = 50
gen_ai.request.model = gpt-4.1
gen_ai.request.stream = false
gen_ai.response.finish_reasons = stop
gen_ai.response.model = gpt-4.1-2025-04-14
gen_ai.usage.cache_read.input_tokens = 16
gen_ai.usage.input_tokens = 20
gen_ai.usage.output_tokens = 9
gen_ai.usage.reasoning.output_tokens = 4
http.response.status_code = 200
otel.kind = server
otel.name = chat gpt-4.1
relay.attempts = 1
relay.cache = miss
relay.complexity = high
relay.cost.usd = 8.8e-5
relay.end = successful
relay.endpoint = chat_completions
relay.request.id = req-7
relay.selection.reason = more than 5,000 characters
relay.upstream = openai
server.address = api.openai.com
server.port = 8443
"
    );
    let attempt = recorded.one(conventions::ATTEMPT_SPAN);
    assert_eq!(attempt.parent, Some(conventions::REQUEST_SPAN));
    assert_eq!(
        said(&attempt),
        "gen_ai.request.model = gpt-4.1
http.response.status_code = 200
otel.kind = client
relay.outcome = success
relay.upstream = openai
server.address = api.openai.com
server.port = 8443
"
    );
}

#[tokio::test(start_paused = true)]
async fn a_span_ends_when_its_answer_does() {
    let recorded = Recorded::default();
    let _listening = recorded.listen();
    let telemetry = TelemetryLayer::new();
    let service = telemetry.layer(upstream(telemetry.attempts(), |_| {
        answer(200, "text/event-stream", STREAM)
    }));
    let response = service.oneshot(chat("gpt-4.1")).await.unwrap();
    tokio::time::advance(Duration::from_secs(1)).await;
    assert!(recorded.spans().is_empty());
    response.into_body().collect().await.unwrap();

    let request = recorded.one(conventions::REQUEST_SPAN);
    assert_eq!(
        request.get("gen_ai.response.time_to_first_chunk"),
        Some("1.0")
    );
    assert_eq!(
        request.get("gen_ai.response.finish_reasons"),
        Some("length")
    );
    assert_eq!(request.get("gen_ai.usage.output_tokens"), Some("2"));
}

#[tokio::test(start_paused = true)]
async fn nothing_that_is_said_stands_in_a_span() {
    let recorded = Recorded::default();
    let _listening = recorded.listen();
    let telemetry = TelemetryLayer::new();
    for (status, media, body) in [
        (200, "application/json", ANSWER),
        (200, "text/event-stream", STREAM),
        (
            401,
            "application/json",
            r#"{"error":{"message":"Incorrect API key provided: sk-hush-4711"}}"#,
        ),
        (500, "text/plain", "sk-hush-4711: the question"),
    ] {
        ask(&telemetry, chat("gpt-4.1"), move |_| {
            answer(status, media, body)
        })
        .await;
    }
    let text = format!("{:?}", recorded.spans());
    assert_eq!(recorded.spans().len(), 8);
    for part in [SECRET, "the question", "the answer", "Bearer"] {
        assert!(!text.contains(part), "{part} in {text}");
    }
}

#[tokio::test(start_paused = true)]
async fn contents_that_are_asked_for_are_cut() {
    let recorded = Recorded::default();
    let _listening = recorded.listen();
    let telemetry = TelemetryLayer::builder().contents(true).max_content(40);
    let telemetry = telemetry.build().unwrap();
    ask(&telemetry, chat("gpt-4.1"), |_| {
        answer(200, "application/json", ANSWER)
    })
    .await;
    let request = recorded.one(conventions::REQUEST_SPAN);
    assert_eq!(
        request.get("gen_ai.input.messages"),
        Some(r#"[{"role":"user","content":"the question "#)
    );
    assert_eq!(request.get("relay.answer"), ANSWER.get(..40));
    let attempt = recorded.one(conventions::ATTEMPT_SPAN);
    assert!(!format!("{attempt:?}").contains("question"));
}

#[tokio::test(start_paused = true)]
async fn a_name_without_end_is_cut_and_one_that_is_no_text_is_none() {
    let recorded = Recorded::default();
    let _listening = recorded.listen();
    let telemetry = TelemetryLayer::new();
    let long = "é".repeat(1_000);
    ask(&telemetry, chat(&long), |_| {
        answer(200, "application/json", ANSWER)
    })
    .await;
    let request = recorded.one(conventions::REQUEST_SPAN);
    assert_eq!(request.get("gen_ai.request.model"), Some(&*"é".repeat(128)));
}

#[tokio::test(start_paused = true)]
async fn spans_may_be_off() {
    let recorded = Recorded::default();
    let _listening = recorded.listen();
    let telemetry = TelemetryLayer::builder().spans(false).build().unwrap();
    ask(&telemetry, chat("gpt-4.1"), |_| {
        answer(200, "application/json", ANSWER)
    })
    .await;
    assert!(recorded.spans().is_empty());
    let snapshot = telemetry.stats().snapshot(tokio::time::Instant::now());
    assert_eq!(snapshot.requests.since_start.successful, 1);
}

/// A stream that states no usage to its caller has used what its meter saw, and what a cache gives has used nothing.
#[tokio::test(start_paused = true)]
async fn what_was_used_is_what_the_bill_has_where_the_answer_does_not_say_it() {
    let silent = "data: {\"choices\":[{\"delta\":{\"content\":\"the\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
    for (is_cached, body, used) in [
        (false, STREAM, Some("3")),
        (false, silent, Some("7")),
        (true, STREAM, None),
        (true, silent, None),
    ] {
        let recorded = Recorded::default();
        let _listening = recorded.listen();
        let telemetry = TelemetryLayer::new();
        let service = telemetry.layer(answering(move |mut request: Request<RequestBody>| {
            let mut response = answer(200, "text/event-stream", body);
            let bill = Bill::of(request.extensions_mut());
            if is_cached {
                let cached = Cached::new(Duration::from_secs(9));
                response.extensions_mut().insert(cached);
            } else {
                let usage = Usage {
                    input: 7,
                    ..Usage::default()
                };
                let line = BillLine::new("a".into(), usage, CostSource::Reported, None);
                bill.open().close(line);
            }
            response.map(|body| body.on_end(move |end| end.bill = Some(bill)))
        }));
        read(service.oneshot(chat("gpt-4.1")).await.unwrap()).await;
        let request = recorded.one(conventions::REQUEST_SPAN);
        assert_eq!(request.get("gen_ai.usage.input_tokens"), used, "{body}");
    }
}
