mod flights;
mod keys;
#[cfg(feature = "redis")]
mod redis;
mod service;
mod stale;
mod stores;

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use http::{Request, Response, request};
use http_body_util::BodyExt;
use tower::{
    Layer, ServiceExt,
    util::{BoxCloneSyncService, service_fn},
};

use super::{CacheBuilder, CacheHandle, CacheLayer, X_RELAY_CACHE};
use crate::message::{Media, RequestBody, ResponseBody};

const ANSWER: &str = r#"{"id":"1","model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"Hello","refusal":null,"tool_calls":null},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":2}}"#;
const EVENTS: [&str; 3] = [
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hel\"}}]}\n\n",
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"lo\"},\"finish_reason\":\"stop\"}]}\n\n",
    "data: [DONE]\n\n",
];
const CHAT: &str = r#"{"model":"m","temperature":0,"messages":[{"role":"user","content":"hi"}]}"#;
const STREAMED: &str =
    r#"{"model":"m","temperature":0,"stream":true,"messages":[{"role":"user","content":"hi"}]}"#;

type Service = BoxCloneSyncService<Request<RequestBody>, Response<ResponseBody>, Infallible>;

/// A cache before an upstream that counts its calls.
struct Relay {
    service: Service,
    handle: CacheHandle,
    calls: Arc<AtomicUsize>,
}

impl Relay {
    fn new(
        builder: CacheBuilder,
        answer: impl Fn(usize) -> Response<ResponseBody> + Clone + Send + Sync + 'static,
    ) -> Self {
        let layer = builder.build().unwrap();
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&calls);
        let upstream = service_fn(move |_: Request<RequestBody>| {
            let response = answer(counted.fetch_add(1, SeqCst));
            async move {
                // As an upstream would: not at once.
                tokio::task::yield_now().await;
                Ok(response)
            }
        });
        Self {
            service: BoxCloneSyncService::new(layer.layer(upstream)),
            handle: layer.handle(),
            calls,
        }
    }

    fn calls(&self) -> usize {
        self.calls.load(SeqCst)
    }

    async fn send(&self, request: Request<RequestBody>) -> Response<ResponseBody> {
        self.service.clone().oneshot(request).await.unwrap()
    }

    /// The status of the cache that the answer states, and its body.
    async fn ask(&self, request: Request<RequestBody>) -> (String, String) {
        let response = self.send(request).await;
        let status = response.headers().get(X_RELAY_CACHE);
        let status = status
            .map_or("", |status| status.to_str().unwrap())
            .to_owned();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }
}

fn shared() -> CacheBuilder {
    CacheLayer::builder().scope(super::CacheScope::Shared)
}

fn post(path: &str) -> request::Builder {
    Request::post(path).header("authorization", "Bearer sk-one")
}

fn request(body: impl Into<bytes::Bytes>) -> Request<RequestBody> {
    post("/v1/chat/completions")
        .body(RequestBody::json(body))
        .unwrap()
}

fn json(body: impl Into<ResponseBody>) -> Response<ResponseBody> {
    let response = Response::builder().header("content-type", "application/json");
    ResponseBody::wrap(response.body(body.into()).unwrap())
}

/// A stream that came in these pieces.
fn events<const N: usize>(pieces: [&'static str; N]) -> Response<ResponseBody> {
    let frames = pieces.map(|piece| Ok::<_, Infallible>(http_body::Frame::data(piece.into())));
    let body = http_body_util::StreamBody::new(futures_util::stream::iter(frames));
    let response = Response::builder().header("content-type", "text/event-stream");
    let response = ResponseBody::wrap(response.body(body).unwrap());
    assert_eq!(response.body().media(), Media::EventStream);
    response
}
