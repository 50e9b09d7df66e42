//! A commit guard's limit on silence, where a layer further in reads answers to their end.

use std::{convert::Infallible, time::Duration};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use tokio::time::{Instant, sleep, timeout};
use tower::{Layer, ServiceExt, service_fn};
use tower_relay::{
    commit_guard::{CommitGuardLayer, Limits},
    message::{Outcome, Phase, RequestBody, ResponseBody},
    normalize::ResponseNormalizeLayer,
};

const SECOND: Duration = Duration::from_secs(1);

/// An answer that comes in these pieces, each after so many seconds, and then nothing more.
fn coming(pieces: &'static [(u32, &'static str)]) -> Response<ResponseBody> {
    let pieces = stream::iter(pieces).then(|(seconds, piece)| async {
        sleep(*seconds * SECOND).await;
        Ok::<_, Infallible>(Frame::data(Bytes::from_static(piece.as_bytes())))
    });
    let body = StreamBody::new(pieces.chain(stream::pending()));
    let response = Response::builder().header("content-type", "application/json");
    ResponseBody::wrap(response.body(body).unwrap())
}

/// What becomes of an answer that comes like this, through a guard that takes ten seconds of silence around a normaliser, and after how many seconds.
async fn answered(pieces: &'static [(u32, &'static str)]) -> (Response<ResponseBody>, u64) {
    let guard = CommitGuardLayer::builder()
        .limits(Limits::default().idle(10 * SECOND))
        .build()
        .unwrap();
    let upstream =
        service_fn(
            move |_: Request<RequestBody>| async move { Ok::<_, Infallible>(coming(pieces)) },
        );
    let relay = guard.layer(ResponseNormalizeLayer::default().layer(upstream));
    let request = Request::post("/v1/chat/completions").body(RequestBody::json("{}"));
    let began = Instant::now();
    let answered = timeout(100 * SECOND, relay.oneshot(request.unwrap())).await;
    let response = answered.expect("it is waited for on and on").unwrap();
    (response, began.elapsed().as_secs())
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_falls_silent_within_json_is_waited_for_no_longer() {
    for pieces in [&[][..], &[(5, "{"), (9, "\"choices\": [")]] {
        let (response, took) = answered(pieces).await;
        assert_eq!(response.status(), 504);
        let timeout = Outcome::Timeout { phase: Phase::Body };
        assert_eq!(Outcome::of(&response), Some(timeout));
        let spoken: u32 = pieces.iter().map(|(seconds, _)| seconds).sum();
        assert_eq!(took, u64::from(spoken) + 10);
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let text = String::from_utf8_lossy(&body);
        assert!(text.contains("fell silent"), "{text}");
    }
}
