//! Each layer over a service that answers at once, and all of them: one request each time.

use bytes::Bytes;
use http::{HeaderValue, Request, Response, header};
use http_body_util::Full;
use tower::{Layer, Service, ServiceBuilder, layer::util::Identity};
use tower_relay::{
    admission::AdmissionLayer,
    circuit_breaker::CircuitBreakerLayer,
    client::{Credential, Target, UpstreamLayer, Upstreams},
    commit_guard::CommitGuardLayer,
    cost_meter::CostMeterLayer,
    fallback::FallbackLayer,
    hedge::HedgeLayer,
    message::{RequestBody, ResponseBody},
    model_rewrite::ModelRewriteLayer,
    normalize::ResponseNormalizeLayer,
    rate_limit::RateLimitBuilder,
    retry::RetryLayer,
    telemetry::TelemetryLayer,
    timeout::TimeoutLayer,
};

#[path = "../micro/exchange.rs"]
mod exchange;

use self::exchange::{Answers, call};

const ASKED: &[u8] = br#"{"messages":[{"role":"system","content":"You are a careful assistant. Answer in plain English."},{"role":"user","content":"Explain in two sentences what a relay for language models does."}],"model":"gpt-4o-mini","max_tokens":256,"temperature":0.2,"stream":false}"#;

const ANSWER: &[u8] = br#"{"id":"chatcmpl-1","object":"chat.completion","created":1730000000,"model":"gpt-4o-mini","choices":[{"index":0,"message":{"role":"assistant","content":"A relay for language models stands between applications and providers. It keeps their keys, limits what they spend, and answers when one provider fails.","refusal":null,"annotations":[]},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":38,"completion_tokens":29,"total_tokens":67,"prompt_tokens_details":{"cached_tokens":0,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}},"service_tier":"default","system_fingerprint":"fp_1"}"#;

const ANSWERS: Answers = Answers(|| {
    let mut response = Response::new(Full::new(Bytes::from_static(ANSWER)));
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    ResponseBody::wrap(response)
});

/// Sends one request through a layer, and reads its answer.
pub(crate) type Call = Box<dyn FnMut()>;

fn over<L>(layer: &L) -> Call
where
    L: Layer<Answers>,
    L::Service: Service<Request<RequestBody>, Response = Response<ResponseBody>> + 'static,
{
    let mut service = layer.layer(ANSWERS);
    Box::new(move || {
        let request = Request::post("/v1/chat/completions")
            .header("host", "127.0.0.1:8080")
            .header("content-type", "application/json")
            .header("authorization", "Bearer sk-of-the-caller")
            .body(RequestBody::json(Bytes::from_static(ASKED)))
            .unwrap();
        call(&mut service, request);
    })
}

/// All of them, by name. `identity` is what the request and the answer themselves take.
pub(crate) fn layers() -> Vec<(&'static str, Call)> {
    let rewrite = ModelRewriteLayer::new([("gpt-4*", "llama-4-maverick")]).unwrap();
    let limit = RateLimitBuilder::per_minute(u64::MAX >> 8, u64::MAX >> 8)
        .build()
        .unwrap();
    let backup = Upstreams::builder().add(Target::new("backup", ANSWERS));
    let backup = backup.build().unwrap();
    let fallback = FallbackLayer::builder().build(&backup).unwrap();
    let hedge = HedgeLayer::builder().build(&backup).unwrap();
    let timeout = TimeoutLayer::builder().build().unwrap();
    let upstream = UpstreamLayer::builder("mock")
        .base_url("http://127.0.0.1:9000")
        .credential(Credential::key("sk-of-the-relay").unwrap())
        .build()
        .unwrap();
    let stack = ServiceBuilder::new()
        .layer(TelemetryLayer::new())
        .layer(limit.clone())
        .layer(AdmissionLayer::default())
        .layer(fallback.clone())
        .layer(RetryLayer::default())
        .layer(CircuitBreakerLayer::default())
        .layer(CommitGuardLayer::default())
        .layer(timeout.clone())
        .layer(CostMeterLayer::new())
        .layer(rewrite.clone())
        .layer(ResponseNormalizeLayer::new())
        .layer(upstream.clone())
        .into_inner();
    vec![
        ("identity", over(&Identity::new())),
        ("telemetry", over(&TelemetryLayer::new())),
        ("rate_limit", over(&limit)),
        ("admission", over(&AdmissionLayer::default())),
        ("fallback", over(&fallback)),
        ("hedge", over(&hedge)),
        ("retry", over(&RetryLayer::default())),
        ("circuit_breaker", over(&CircuitBreakerLayer::default())),
        ("commit_guard", over(&CommitGuardLayer::default())),
        ("timeout", over(&timeout)),
        ("cost_meter", over(&CostMeterLayer::new())),
        ("model_rewrite", over(&rewrite)),
        ("normalize", over(&ResponseNormalizeLayer::new())),
        ("upstream", over(&upstream)),
        ("stack", over(&stack)),
    ]
}
