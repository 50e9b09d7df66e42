use std::sync::{Arc, Mutex};

use http::{Request, Response, request};
use tower::ServiceExt;
use tower_layer::Layer;

use super::*;
use crate::{
    client::Credential,
    message::{RequestBody, ResponseBody},
    testing::answering,
};

mod answers;
mod credentials;
mod file;
mod hygiene;
mod transport;

fn upstream(credential: Credential) -> UpstreamBuilder {
    UpstreamLayer::builder("test")
        .base_url("https://upstream.test/v1")
        .credential(credential)
}

fn keyed() -> UpstreamBuilder {
    upstream(Credential::key("sk-own").unwrap().named("own"))
}

fn chat() -> request::Builder {
    Request::post("/v1/chat/completions").header("content-type", "application/json")
}

/// What the client gets of `request`.
async fn sent(layer: &UpstreamLayer, request: request::Builder) -> request::Parts {
    let seen = Arc::new(Mutex::new(None));
    let slot = Arc::clone(&seen);
    let client = answering(move |request| {
        *slot.lock().unwrap() = Some(request.into_parts().0);
        Response::new(ResponseBody::empty())
    });
    let Ok(response) = layer
        .layer(client)
        .oneshot(request.body(RequestBody::json("{}")).unwrap())
        .await;
    seen.lock()
        .unwrap()
        .take()
        .unwrap_or_else(|| panic!("answered {} itself", response.status()))
}

/// What the caller gets when the client answers so.
async fn answered(
    layer: &UpstreamLayer,
    request: request::Builder,
    answer: fn() -> Response<ResponseBody>,
) -> Response<ResponseBody> {
    let request = request.body(RequestBody::json("{}")).unwrap();
    let Ok(response) = layer
        .layer(answering(move |_| answer()))
        .oneshot(request)
        .await;
    response
}
