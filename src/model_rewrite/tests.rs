use std::sync::{Arc, Mutex};

use http::{Request, Response};
use tower::ServiceExt;
use tower_layer::Layer;

use super::*;
use crate::{
    message::{RequestBody, ResponseBody},
    testing::answering,
};

mod answers;
mod catalog;
mod checks;
mod params;
mod properties;
mod requests;
mod tables;

const CHAT: &str = "/v1/chat/completions";

fn aliases<const N: usize>(aliases: [(&str, &str); N]) -> ModelRewriteBuilder {
    ModelRewriteLayer::builder().aliases(Aliases::new(aliases).unwrap())
}

fn post(path: &str, text: &str) -> Request<RequestBody> {
    Request::post(path)
        .body(RequestBody::json(text.to_owned()))
        .unwrap()
}

/// What the inner service gets, or else the layer's own answer.
async fn passed(
    layer: &ModelRewriteLayer,
    request: Request<RequestBody>,
) -> Result<Request<RequestBody>, Response<ResponseBody>> {
    let seen = Arc::new(Mutex::new(None));
    let slot = Arc::clone(&seen);
    let inner = answering(move |request| {
        *slot.lock().unwrap() = Some(request);
        Response::new(ResponseBody::empty())
    });
    let Ok(response) = layer.layer(inner).oneshot(request).await;
    seen.lock().unwrap().take().ok_or(response)
}

/// The text that the inner service gets at the chat endpoint.
async fn sent(layer: &ModelRewriteLayer, text: &str) -> String {
    let request = passed(layer, post(CHAT, text)).await.unwrap();
    String::from_utf8(request.body().as_bytes().unwrap().to_vec()).unwrap()
}

/// A header of the answer, empty where it is not there.
async fn reported(layer: &ModelRewriteLayer, text: &str, name: http::HeaderName) -> String {
    let inner = answering(|_| Response::new(ResponseBody::empty()));
    let Ok(response) = layer.layer(inner).oneshot(post(CHAT, text)).await;
    let value = response.headers().get(name);
    value.map_or_else(String::new, |value| value.to_str().unwrap().to_owned())
}

fn real() -> ParamRule {
    ParamRule::new(["real"])
}
