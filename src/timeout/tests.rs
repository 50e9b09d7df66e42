use std::{convert::Infallible, future::pending, time::Duration};

use http::{Request, Response};
use http_body_util::{BodyExt, channel::Channel};
use tokio::time::Instant;
use tower::{ServiceExt, service_fn};
use tower_layer::Layer;

use super::*;
use crate::{
    message::{
        BoxError, Deadline, End, Failure, Outcome, Phase, Reason, Rejection, RequestBody,
        ResponseBody,
    },
    testing::answering,
};

const SECOND: Duration = Duration::from_secs(1);

fn chat(model: &str) -> Request<RequestBody> {
    Request::post("/v1/chat/completions")
        .body(RequestBody::json(format!(r#"{{"model":"{model}"}}"#)))
        .unwrap()
}

/// The seconds after which silence ends, in a 504.
async fn silence(layer: &TimeoutLayer, request: Request<RequestBody>) -> u64 {
    let silent = service_fn(|_| pending::<Result<_, Infallible>>());
    let start = Instant::now();
    let Ok(response) = layer.layer(silent).oneshot(request).await;
    assert_eq!(response.status(), 504);
    let rejection = response.extensions().get::<Rejection>().unwrap();
    assert_eq!(rejection.reason, Reason::Timeout(Phase::Head));
    let phase = Phase::Head;
    assert_eq!(
        Outcome::of_head(&response),
        Some(Outcome::Timeout { phase })
    );
    start.elapsed().as_secs()
}

#[tokio::test(start_paused = true)]
async fn silence_ends_at_the_head_deadline_of_the_closest_model() {
    let layer = TimeoutBuilder::guide_e()
        .model("gpt-*".parse().unwrap(), Limits::none().head(7 * SECOND))
        .build()
        .unwrap();
    for (model, seconds) in [
        ("deepseek-v3-2", 30),
        ("gemini-2.5-flash", 30),
        ("claude-sonnet-4.5", 120),
        ("gpt-4.1", 90),
        ("gpt-4.1-mini", 7),
        ("anything", 60),
    ] {
        assert_eq!(silence(&layer, chat(model)).await, seconds, "{model}");
    }
}

#[tokio::test(start_paused = true)]
async fn no_limit_reaches_beyond_the_requests_deadline() {
    let mut request = chat("gpt-4.1");
    request.extensions_mut().insert(Deadline::after(5 * SECOND));
    let layer = TimeoutBuilder::guide_e().build().unwrap();
    assert_eq!(silence(&layer, request).await, 5);
}

#[tokio::test(start_paused = true)]
async fn a_body_past_its_total_breaks_and_one_with_a_head_limit_only_does_not() {
    for (limits, breaks) in [
        (Limits::none().total(9 * SECOND), true),
        (Limits::none().head(9 * SECOND), false),
    ] {
        let layer = TimeoutLayer::builder().limits(limits).build().unwrap();
        let (sender, body) = Channel::<bytes::Bytes, BoxError>::new(1);
        let body = std::sync::Mutex::new(Some(body));
        let body = std::sync::Arc::new(body);
        let inner = answering(move |_| {
            Response::new(ResponseBody::new(body.lock().unwrap().take().unwrap()))
        });
        let Ok(response) = layer.layer(inner).oneshot(chat("any")).await;
        let (ended, end) = std::sync::mpsc::channel();
        let body = response
            .into_body()
            .on_end(move |done| ended.send(done.end).unwrap());
        let start = Instant::now();
        let read = tokio::time::timeout(100 * SECOND, body.collect()).await;
        drop(sender);
        if breaks {
            assert!(read.unwrap().is_err());
            assert_eq!(start.elapsed(), 9 * SECOND);
            assert_eq!(end.recv().unwrap(), End::Failed(Failure::Deadline));
        } else {
            assert!(read.is_err(), "it goes on");
        }
    }
}

#[test]
fn settings_that_cannot_work_are_named() {
    let zero = Limits::none().head(Duration::ZERO);
    let refused = TimeoutLayer::builder().model("gpt-*".parse().unwrap(), zero);
    assert_eq!(
        refused.build().unwrap_err().to_string(),
        "models.gpt-*.head: must be more than zero"
    );
    let config = r#"{"limits": {"head": "20s"}, "models": {"o3*": {"head": "5m", "total": "1h"}}}"#;
    let read: TimeoutBuilder = serde_json::from_str(config).unwrap();
    assert!(read.build().is_ok());
    assert!(serde_json::from_str::<TimeoutBuilder>(r#"{"limits": {"haed": "20s"}}"#).is_err());
}
