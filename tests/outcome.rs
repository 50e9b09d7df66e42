//! What the layers note on an answer is what `classify` finds.
#![cfg(feature = "upstream")]
#![allow(clippy::unwrap_used, reason = "in a test")]

use std::convert::Infallible;

use http::{Request, Response};
use tower::{Layer, ServiceExt, service_fn};
use tower_relay::{
    client::{Credential, UpstreamLayer},
    message::{Outcome, RequestBody, ResponseBody, classify},
};

async fn through_upstream(status: u16) -> Response<ResponseBody> {
    let layer = UpstreamLayer::builder("labs")
        .base_url("https://labs.example/v1")
        .credential(Credential::none())
        .build()
        .unwrap();
    let client = service_fn(move |_: Request<RequestBody>| {
        let body = ResponseBody::from("nothing to see");
        let response = Response::builder().status(status).body(body).unwrap();
        std::future::ready(Ok::<_, Infallible>(response))
    });
    let request = Request::post("/v1/chat/completions")
        .body(RequestBody::json(r#"{"model":"m"}"#))
        .unwrap();
    layer.layer(client).oneshot(request).await.unwrap()
}

#[tokio::test]
async fn a_refused_key_of_the_relay_is_the_upstreams_auth_whatever_the_status_has_become() {
    let response = through_upstream(401).await;
    assert_eq!(response.status(), 502);
    let response = classify(response).await;
    assert_eq!(Outcome::of(&response), Some(Outcome::UpstreamAuth));
}

#[tokio::test]
async fn a_redirect_that_is_not_followed_is_a_server_error() {
    let response = classify(through_upstream(302).await).await;
    assert_eq!(Outcome::of(&response), Some(Outcome::ServerError));
}
