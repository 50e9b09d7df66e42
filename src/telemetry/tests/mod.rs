mod config;
mod ends;
#[cfg(feature = "metrics")]
mod files;
#[cfg(feature = "metrics")]
mod metrics;
mod recorded;
mod spans;
mod traces;

use http::{Request, Response, StatusCode, header};
use tower::{Layer, Service, ServiceExt};

use super::{AttemptObserverLayer, TelemetryLayer};
use crate::{
    client::{Credential, UpstreamLayer},
    cost_meter::CostMeterLayer,
    message::{RequestBody, ResponseBody},
    testing::{answering, read},
};

const ANSWER: &str = r#"{"id":"c","object":"chat.completion","created":1,"model":"gpt-4.1-2025-04-14",
    "choices":[{"index":0,"message":{"role":"assistant","content":"the answer"},"finish_reason":"stop"}],
    "usage":{"prompt_tokens":20,"completion_tokens":9,"total_tokens":29,
        "prompt_tokens_details":{"cached_tokens":16},"completion_tokens_details":{"reasoning_tokens":4}}}"#;

const STREAM: &str = "data: {\"model\":\"gpt-4.1\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"the\"},\"finish_reason\":null}]}\n\n\
    data: {\"model\":\"gpt-4.1\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\" answer\"},\"finish_reason\":null}]}\n\n\
    data: {\"model\":\"gpt-4.1\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"length\"}],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2,\"total_tokens\":5}}\n\n\
    data: [DONE]\n\n";

/// What must never be recorded.
const SECRET: &str = "sk-hush-4711";

fn chat(model: &str) -> Request<RequestBody> {
    let body = format!(
        r#"{{"model":"{model}","max_tokens":50,"messages":[{{"role":"user","content":"the question {SECRET}"}}]}}"#
    );
    Request::post("/v1/chat/completions")
        .header(header::AUTHORIZATION, format!("Bearer {SECRET}"))
        .header("x-relay-request-id", "req-7")
        .body(RequestBody::json(body))
        .unwrap()
}

fn answer(status: u16, media: &'static str, body: &'static str) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::from(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    let media = header::HeaderValue::from_static(media);
    response.headers_mut().insert(header::CONTENT_TYPE, media);
    ResponseBody::wrap(response)
}

/// An upstream with a meter, observed, whose client answers as `respond` does.
fn upstream<F>(
    attempts: AttemptObserverLayer,
    respond: F,
) -> impl Service<
    Request<RequestBody>,
    Response = Response<ResponseBody>,
    Error = std::convert::Infallible,
    Future: Send,
> + Clone
where
    F: Fn(Request<RequestBody>) -> Response<ResponseBody> + Clone + Send + 'static,
{
    let upstream = UpstreamLayer::builder("openai")
        .base_url("https://api.openai.com:8443/v1")
        .credential(Credential::key(SECRET).unwrap())
        .build()
        .unwrap();
    (attempts, CostMeterLayer::new(), upstream).layer(answering(respond))
}

/// Sends `request` through a whole stack and reads its answer.
async fn ask<F>(
    telemetry: &TelemetryLayer,
    request: Request<RequestBody>,
    respond: F,
) -> http::response::Parts
where
    F: Fn(Request<RequestBody>) -> Response<ResponseBody> + Clone + Send + 'static,
{
    let service = telemetry.layer(upstream(telemetry.attempts(), respond));
    read(service.oneshot(request).await.unwrap()).await.0
}
