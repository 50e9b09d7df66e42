//! When a second model is tried.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt};
use http::{Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::StreamBody;
use serde_json::{Value, json};
use tower::{Layer, ServiceExt};

use super::choosing::{builder, catalog, post};
use crate::{
    cost_meter::CostMeterLayer,
    ledger::{Ledger, Record, Slot},
    message::{AllowedModels, Bill, RequestBody, ResponseBody, Selection, catalog::Cost},
    model_select::{BuiltinCheck, EscalationBuilder},
    reserve::AttemptLimit,
    testing::{answering, read},
};

fn ask() -> Value {
    json!({"model": "auto", "messages": [{"role": "user", "content": "hi"}]})
}

fn says(text: &str) -> Value {
    json!({"choices": [{"message": {"content": text}, "finish_reason": "stop", "logprobs": {"content": [{"logprob": -3.0}]}}]})
}

fn answer(status: u16, body: &Value) -> Response<ResponseBody> {
    let response = Response::builder()
        .status(status)
        .header("content-type", "application/json")
        .body(ResponseBody::from(body.to_string()));
    ResponseBody::wrap(response.unwrap())
}

fn too_long() -> Response<ResponseBody> {
    answer(
        400,
        &json!({"error": {"message": "too long", "type": "invalid_request_error", "code": "context_length_exceeded"}}),
    )
}

/// Sends `request` to models that answer as `answers` says; the answer, its text, and what was sent.
async fn send(
    escalation: EscalationBuilder,
    request: Request<RequestBody>,
    answers: impl Fn(&str) -> Response<ResponseBody> + Clone + Send + Sync + 'static,
) -> (http::response::Parts, String, Vec<Value>) {
    let sent = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&sent);
    let inner = answering(move |request: Request<RequestBody>| {
        let model = request.body().model().unwrap().into_owned();
        let body = request.body().as_bytes().unwrap();
        log.lock()
            .unwrap()
            .push(serde_json::from_slice(body).unwrap());
        answers(&model)
    });
    let layer = builder().escalation(escalation).build().unwrap();
    let response = layer.layer(inner).oneshot(request).await.unwrap();
    let (head, text) = read(response).await;
    let sent = sent.lock().unwrap().clone();
    (head, text, sent)
}

fn models(sent: &[Value]) -> Vec<&str> {
    sent.iter()
        .map(|body| body["model"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn a_request_too_long_for_its_model_goes_to_a_larger_window() {
    let (head, text, sent) = send(
        EscalationBuilder::new(),
        post(&ask()),
        |model| match model {
            "small" => too_long(),
            _ => answer(200, &says("done")),
        },
    )
    .await;
    assert_eq!(models(&sent), ["small", "middle"]);
    assert_eq!(head.status, StatusCode::OK);
    assert!(text.contains("done"));
    assert_eq!(head.headers["x-relay-model"], "middle");
    assert_eq!(head.headers["x-relay-attempts"], "2");
    let selection = head.extensions.get::<Selection>().unwrap();
    assert!(
        selection
            .reason
            .ends_with("; escalated from small: context_too_long")
    );
}

#[tokio::test]
async fn the_next_model_is_tried_once_and_the_first_answer_stands_where_it_does_no_better() {
    let (head, text, sent) = send(
        EscalationBuilder::new(),
        post(&ask()),
        |model| match model {
            "small" => too_long(),
            _ => answer(500, &json!({"error": {"message": "broken"}})),
        },
    )
    .await;
    assert_eq!(models(&sent), ["small", "middle"]);
    assert_eq!(head.status, StatusCode::BAD_REQUEST);
    assert!(text.contains("too long"));
    assert_eq!(head.headers["x-relay-model"], "small");
}

#[tokio::test]
async fn an_answer_that_fails_its_check_is_asked_for_again() {
    let checks = || EscalationBuilder::new().check(BuiltinCheck::Empty);
    for (first, asked) in [("", vec!["small", "middle"]), ("fine", vec!["small"])] {
        let (_, text, sent) = send(checks(), post(&ask()), move |model| match model {
            "small" => answer(200, &says(first)),
            _ => answer(200, &says("better")),
        })
        .await;
        assert_eq!(models(&sent), asked);
        assert!(text.contains(if first.is_empty() { "better" } else { first }));
    }
}

#[tokio::test]
async fn an_answer_that_a_layer_further_in_had_to_read_is_checked_all_the_same() {
    let checks = EscalationBuilder::new().check(BuiltinCheck::Empty);
    let (_, text, sent) = send(checks, post(&ask()), |model| {
        let mut answer = match model {
            "small" => answer(200, &says("")),
            _ => answer(200, &says("better")),
        };
        let ahead = std::future::poll_fn(|cx| answer.body_mut().poll_ahead(cx));
        assert!(ahead.now_or_never().flatten().is_some());
        answer
    })
    .await;
    assert_eq!(models(&sent), ["small", "middle"]);
    assert!(text.contains("better"));
}

#[tokio::test]
async fn what_is_checked_and_passes_is_handed_on_byte_for_byte() {
    let checks = EscalationBuilder::new().check(BuiltinCheck::Refused);
    let body = says("fine").to_string();
    let (_, text, _) = send(checks, post(&ask()), |_| answer(200, &says("fine"))).await;
    assert_eq!(text, body);
}

#[tokio::test]
async fn an_answer_longer_than_the_bound_is_not_checked() {
    let checks = EscalationBuilder::new()
        .check(BuiltinCheck::Empty)
        .max_answer(64);
    let (_, text, sent) = send(checks, post(&ask()), |_| answer(200, &says(""))).await;
    assert_eq!(models(&sent), ["small"]);
    assert_eq!(text, says("").to_string());
}

#[tokio::test]
async fn probabilities_are_asked_for_looked_at_and_taken_out_again() {
    let checks = || EscalationBuilder::new().check(BuiltinCheck::LowLogprob);
    let (_, text, sent) = send(checks(), post(&ask()), |_| answer(200, &says("guess"))).await;
    assert_eq!(models(&sent), ["small", "middle"]);
    assert_eq!(sent[0]["logprobs"], true);
    let seen: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(seen["choices"][0]["logprobs"], Value::Null);

    let mut asks = ask();
    asks["logprobs"] = json!(true);
    let (_, text, _) = send(checks(), post(&asks), |_| answer(200, &says("guess"))).await;
    assert!(text.contains("-3.0"));
}

fn stream(said: &str) -> String {
    format!(
        "data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":{said:?}}},\"logprobs\":{{\"content\":[{{\"logprob\":-3.0}}]}}}}]}}\n\n\
         data: {{\"choices\":[{{\"index\":0,\"delta\":{{}},\"finish_reason\":\"stop\"}}]}}\n\ndata: [DONE]\n\n"
    )
}

fn streams(said: &str) -> Response<ResponseBody> {
    let response = Response::builder().header("content-type", "text/event-stream");
    ResponseBody::wrap(response.body(ResponseBody::from(stream(said))).unwrap())
}

#[tokio::test]
async fn a_stream_is_checked_where_that_is_asked_for() {
    let mut asks = ask();
    asks["stream"] = json!(true);
    let checks = || EscalationBuilder::new().check(BuiltinCheck::Empty);
    for (checks, first, asked, said) in [
        (checks(), "", vec!["small"], ""),
        (
            checks().streams(true),
            "",
            vec!["small", "middle"],
            "better",
        ),
        (checks().streams(true), "fine", vec!["small"], "fine"),
        // Longer than what may be held: it goes on as it is.
        (checks().streams(true).max_answer(64), "", vec!["small"], ""),
    ] {
        let (head, text, sent) = send(checks, post(&asks), move |model| match model {
            "small" => streams(first),
            _ => streams("better"),
        })
        .await;
        assert_eq!((models(&sent), text), (asked, stream(said)));
        assert_eq!(head.headers["content-type"], "text/event-stream");
    }
}

#[tokio::test]
async fn a_stream_that_has_said_its_last_word_is_checked_though_its_upstream_leaves_it_open() {
    let mut asks = ask();
    asks["stream"] = json!(true);
    let checks = EscalationBuilder::new().check(BuiltinCheck::Empty);
    let (_, text, sent) = send(checks.streams(true), post(&asks), |model| match model {
        "small" => {
            let said = Frame::data(Bytes::from(stream("")));
            let said = futures_util::stream::iter([Ok::<_, Infallible>(said)]);
            let body = StreamBody::new(said.chain(futures_util::stream::pending()));
            let response = Response::builder().header("content-type", "text/event-stream");
            ResponseBody::wrap(response.body(body).unwrap())
        }
        _ => streams("better"),
    })
    .await;
    assert_eq!(
        (models(&sent), text),
        (vec!["small", "middle"], stream("better"))
    );
}

#[tokio::test]
async fn probabilities_of_a_stream_are_taken_out_of_its_events() {
    let mut asks = ask();
    asks["stream"] = json!(true);
    let checks = EscalationBuilder::new().check(BuiltinCheck::LowLogprob);
    let checks = checks.streams(true);
    let (_, text, sent) = send(checks, post(&asks), |_| streams("guess")).await;
    assert_eq!(models(&sent), ["small", "middle"]);
    assert_eq!(sent[0]["logprobs"], true);
    assert!(text.contains("guess") && !text.contains("-3.0"), "{text}");
}

#[tokio::test]
async fn a_caller_is_not_escalated_to_a_model_that_he_may_not_ask_for() {
    for (allowed, asked) in [
        (vec!["small"], vec!["small"]),
        (vec!["small", "large"], vec!["small", "large"]),
    ] {
        let mut body = ask();
        body["model"] = json!("small");
        body["auto_model_select"] = json!(true);
        let mut request = post(&body);
        let allowed = allowed.iter().map(|name| name.parse().unwrap());
        request.extensions_mut().insert(AllowedModels::new(allowed));
        let checks = EscalationBuilder::new().check(BuiltinCheck::Empty);
        let (_, _, sent) = send(checks, request, |_| answer(200, &says(""))).await;
        assert_eq!(models(&sent), asked);
    }
}

#[tokio::test]
async fn no_more_attempts_are_made_than_the_request_may_make() {
    let mut request = post(&ask());
    request.extensions_mut().insert(AttemptLimit::new(1));
    let (_, _, sent) = send(EscalationBuilder::new(), request, |_| too_long()).await;
    assert_eq!(models(&sent), ["small"]);
}

#[tokio::test]
async fn what_an_upstream_keeps_is_not_asked_for_twice() {
    let mut body = ask();
    body["store"] = json!(true);
    let (_, _, sent) = send(EscalationBuilder::new(), post(&body), |_| too_long()).await;
    assert_eq!(models(&sent), ["small"]);
}

/// Keeps what it is given.
#[derive(Debug, Default, Clone)]
struct Kept(Arc<Mutex<Vec<Record>>>);

impl Ledger for Kept {
    fn record(&self, record: Record, _: Slot) {
        self.0.lock().unwrap().push(record);
    }
}

#[tokio::test]
async fn both_attempts_are_billed_under_the_requests_complexity() {
    let kept = Kept::default();
    let meter = CostMeterLayer::builder().catalog(catalog());
    let meter = meter.ledger(Arc::new(kept.clone())).build().unwrap();
    let inner = answering(|_| {
        let mut empty = says("");
        empty["usage"] = json!({"prompt_tokens": 1_000, "completion_tokens": 0});
        answer(200, &empty)
    });
    let checks = EscalationBuilder::new().check(BuiltinCheck::Empty);
    let layer = builder().escalation(checks).build().unwrap();
    let mut request = post(&ask());
    let bill = Bill::of(request.extensions_mut());
    let service = layer.layer(meter.layer(inner));
    read(service.oneshot(request).await.unwrap()).await;

    // 1,000 tokens at 1 USD a million, and as many at 5.
    assert_eq!(bill.attempts(), 2);
    assert_eq!(bill.cost(), Cost::parse_usd("0.006").unwrap());
    let records = kept.0.lock().unwrap();
    let records: Vec<_> = records
        .iter()
        .map(|record| {
            let model = record.model_served.as_deref().unwrap();
            (model, record.complexity.as_deref(), record.attempt)
        })
        .collect();
    assert_eq!(
        records,
        [("small", Some("low"), 1), ("middle", Some("low"), 2)]
    );
}
