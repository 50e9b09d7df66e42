//! What the tests of several layers share.

#[cfg(feature = "metrics")]
pub(crate) mod prometheus;
#[cfg(feature = "redis")]
pub(crate) mod redis_server;

use std::{convert::Infallible, fmt::Debug};

use bytes::Bytes;
use http::{Request, Response, response::Parts};
use http_body::Body;
use http_body_util::BodyExt;
use serde_json::Value;
use tower::{Service, util::service_fn};

use crate::message::{RequestBody, ResponseBody};

/// A service that answers each request as `answer` says.
pub(crate) fn answering<F, B>(
    answer: F,
) -> impl Service<Request<RequestBody>, Response = Response<B>, Error = Infallible, Future: Send> + Clone
where
    F: Fn(Request<RequestBody>) -> Response<B> + Clone,
    B: Send,
{
    service_fn(move |request| std::future::ready(Ok(answer(request))))
}

/// Answers with the request's own body.
pub(crate) fn echo(request: Request<RequestBody>) -> Response<ResponseBody> {
    Response::new(ResponseBody::new(request.into_body()))
}

/// A response's head, and its body as text.
pub(crate) async fn read<B>(response: Response<B>) -> (Parts, String)
where
    B: Body<Data = Bytes, Error: Debug>,
{
    let (head, body) = response.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    (head, String::from_utf8(bytes.to_vec()).unwrap())
}

/// A refusal's status and OpenAI's `code`.
pub(crate) async fn refusal(response: Response<ResponseBody>) -> (u16, String) {
    let (head, text) = read(response).await;
    let error: Value = serde_json::from_str(&text).unwrap();
    (
        head.status.as_u16(),
        error["error"]["code"]
            .as_str()
            .unwrap_or_default()
            .to_owned(),
    )
}
