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
mod requests;
mod tables;

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
