use bytes::Bytes;
use http::{Request, Response, request};
use http_body::Body;
use tower::{Service, ServiceExt};
use tower_layer::Layer;

use super::*;
use crate::message::{RequestBody, ResponseBody};

mod caps;
mod errors;
mod ids;
mod passing;
mod times;

/// Sends one request through a layer to a service.
async fn send<S, B, C>(layer: &EdgeLayer, to: S, request: Request<B>) -> Response<ResponseBody>
where
    S: Service<Request<RequestBody>, Response = Response<C>, Error: Into<crate::message::BoxError>>
        + Clone,
    B: Body<Data = Bytes, Error: Into<crate::message::BoxError>> + Send + 'static,
    C: Body<Data = Bytes, Error: Into<crate::message::BoxError>> + Send + 'static,
{
    let Ok(response) = layer.layer(to).oneshot(request).await;
    response
}

/// A chat request without a body yet.
fn chat() -> request::Builder {
    Request::post("/v1/chat/completions").header("content-type", "application/json")
}
