//! What the record says of attempts that came to nothing.

use std::{future::pending, time::Duration};

use tokio::time::timeout;

use super::*;
use crate::{
    commit_guard::{self, CommitGuardLayer},
    message::Deadline,
    timeout::{self, TimeoutLayer},
};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn an_upstreams_error_is_recorded_as_what_it_means() {
    let long = r#"{"error":{"message":"too long","type":"invalid_request_error","code":"context_length_exceeded"}}"#;
    let error = r#"{"error":{"message":"no","type":"x"}}"#;
    for (status, body, outcome) in [
        (400, error, "invalid_request"),
        (400, long, "context_too_long"),
        (401, error, "upstream_auth"),
        (404, "", "model_not_found"),
        (429, error, "rate_limited"),
        (500, "<html>", "server_error"),
        (504, error, "timeout"),
    ] {
        let (meter, kept) = meter();
        let meter = meter.build().unwrap();
        let response = served(&meter, asked(), move |_| {
            let mut response = answer(JSON, body);
            *response.status_mut() = StatusCode::from_u16(status).unwrap();
            response
        });
        assert_eq!(text(response.await).await, body);
        let record = kept.only();
        assert_eq!(&*record.outcome, outcome, "{status} {body}");
        assert_eq!(
            (record.status, record.source),
            (status, CostSource::Unbilled)
        );
    }
}

/// What is recorded of an attempt at an upstream that never answers.
async fn unanswered<L>(outside: L, mut request: Request<RequestBody>, deadline: Duration) -> Record
where
    L: Layer<
        CostMeter<
            tower::util::BoxCloneService<Request<RequestBody>, Response<ResponseBody>, Infallible>,
        >,
    >,
    L::Service: tower::Service<Request<RequestBody>, Response = Response<ResponseBody>>,
{
    let (meter, kept) = meter();
    let silent = service_fn(|_| pending::<Result<Response<ResponseBody>, Infallible>>());
    let silent = tower::util::BoxCloneService::new(silent);
    request.extensions_mut().insert(Deadline::after(deadline));
    let service = outside.layer(meter.build().unwrap().layer(silent));
    let _ = timeout(5 * SECOND, service.oneshot(request)).await;
    kept.only()
}

#[tokio::test(start_paused = true)]
async fn who_gave_an_attempt_up_is_told_from_a_caller_who_left() {
    let head = timeout::Limits::none().head(SECOND);
    let timeouts = TimeoutLayer::builder().limits(head).build().unwrap();
    let token = commit_guard::Limits::none().first_token(SECOND);
    let guard = CommitGuardLayer::builder().limits(token).build().unwrap();
    let nothing = tower::layer::util::Identity::new;
    let streamed = || chat(r#"{"model":"gpt-4.1","stream":true,"messages":[]}"#);
    let long = 60 * SECOND;
    assert_eq!(
        &*unanswered(timeouts, asked(), long).await.outcome,
        "timeout"
    );
    assert_eq!(
        &*unanswered(guard, streamed(), long).await.outcome,
        "timeout"
    );
    assert_eq!(
        &*unanswered(nothing(), asked(), SECOND).await.outcome,
        "timeout"
    );
    assert_eq!(
        &*unanswered(nothing(), asked(), long).await.outcome,
        "cancelled"
    );
}

#[tokio::test(start_paused = true)]
async fn an_attempt_without_an_answer_is_priced_by_what_its_upstream_calls_the_model() {
    let (meter, kept) = meter();
    let own = |model: &str| (model == "gpt-4.1").then(|| Arc::from("gpt-4.1-mini"));
    let layer = meter.own_names(own).build().unwrap();
    let silent = service_fn(|_| pending::<Result<Response<ResponseBody>, Infallible>>());
    let _ = timeout(SECOND, layer.layer(silent).oneshot(asked())).await;
    let record = kept.only();
    assert_eq!(record.model_served.as_deref(), Some("gpt-4.1-mini"));
    assert_eq!(record.model_asked.as_deref(), Some("gpt-4.1"));
    // 13 tokens at 0.40 USD a million.
    assert_eq!(record.cost_usd.unwrap().to_string(), "0.0000052");
}
