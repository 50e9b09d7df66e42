//! What each layer adds to a call, over a service that answers at once.

use std::{hint::black_box, sync::Arc};

use bytes::Bytes;
use criterion::{Criterion, criterion_group};
use http::{HeaderValue, Request, Response, Uri, header};
use http_body_util::Full;
use tower::{Layer, Service, ServiceBuilder, layer::util::Identity, util::MapRequestLayer};
use tower_relay::{
    admission::AdmissionLayer,
    balance::{BalanceLayer, Policy},
    circuit_breaker::CircuitBreakerLayer,
    client::{Credential, Target, UpstreamLayer, Upstreams, UpstreamsBuilder},
    commit_guard::CommitGuardLayer,
    fallback::FallbackLayer,
    hedge::HedgeLayer,
    key::StickyBy,
    message::{RequestBody, ResponseBody},
    model_rewrite::{Aliases, Checks, ModelRewriteLayer, ParamRule, Window},
    rate_limit::RateLimitBuilder,
    retry::RetryLayer,
    server::{EdgeLayer, Prometheus},
    telemetry::TelemetryLayer,
    timeout::TimeoutLayer,
};

use crate::exchange::{Answers, call};

const BODY: &str = r#"{"messages":[{"role":"system","content":"You are a careful assistant. Answer in plain English."},{"role":"user","content":"Explain in two sentences what a relay for language models does."}],"model":"gpt-4o-mini","max_tokens":256,"temperature":0.2,"stream":false}"#;

/// A body of the size of a short answer.
const ANSWER: &[u8; 700] = &{
    let mut answer = [b' '; 700];
    answer[0] = b'{';
    answer[699] = b'}';
    answer
};

const ANSWERS: Answers = Answers(|| {
    let mut response = Response::new(ResponseBody::from(Bytes::from_static(ANSWER)));
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
});

/// As a server has read it: its path and the values of its headers are parts of one buffer.
fn request<B>(body: B) -> Request<B> {
    const PATH: &str = "/v1/chat/completions";
    let headers = [
        ("host", "127.0.0.1:8080"),
        ("content-type", "application/json"),
        ("authorization", "Bearer sk-of-the-caller"),
        ("accept", "*/*"),
        ("user-agent", "bench"),
        ("content-length", "262"),
    ];
    let mut read = Bytes::from([PATH, &headers.map(|(_, value)| value).concat()].concat());
    let uri = Uri::from_maybe_shared(read.split_to(PATH.len())).unwrap();
    let mut request = Request::post(uri);
    for (name, value) in headers {
        let value = read.split_to(value.len());
        request = request.header(name, HeaderValue::from_maybe_shared(value).unwrap());
    }
    request.body(body).unwrap()
}

fn layered<L>(criterion: &mut Criterion, name: &str, layer: L)
where
    L: Layer<Answers>,
    L::Service: Service<Request<RequestBody>, Response = Response<ResponseBody>>,
{
    let mut service = layer.layer(ANSWERS);
    let body = RequestBody::json(BODY);
    criterion.bench_function(name, |bencher| {
        bencher.iter_batched(
            // A fresh index each time: a request is new.
            || request(RequestBody::json(body.as_bytes().unwrap().clone())),
            |request| call(&mut service, request),
            criterion::BatchSize::SmallInput,
        );
    });
}

fn layers(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let _entered = runtime.enter();
    let models = ModelRewriteLayer::new([("gpt-4*", "llama-4-maverick")]).unwrap();
    let rule = ParamRule::new(["llama-*"])
        .rename("max_tokens", "max_completion_tokens")
        .drop(["temperature"]);
    let fitted = ModelRewriteLayer::builder()
        .aliases(Aliases::new([("gpt-4*", "llama-4-maverick")]).unwrap())
        .rule(rule)
        .clamp_output(true)
        .checks(Checks::new().capabilities(true).window(Window::Prompt))
        .build()
        .unwrap();
    let upstream = UpstreamLayer::builder("mock")
        .base_url("http://127.0.0.1:9000")
        .credential(Credential::key("sk-bench").unwrap())
        .build()
        .unwrap();

    layered(criterion, "stack/identity", Identity::new());
    // What settling at the end of a body costs whoever does so first in a stack.
    let watched = tower::util::MapResponseLayer::new(|response: Response<ResponseBody>| {
        response.map(|body| body.on_end(|completion| _ = black_box(completion)))
    });
    layered(criterion, "stack/on_end", watched);
    layered(
        criterion,
        "stack/circuit_breaker",
        CircuitBreakerLayer::default(),
    );
    layered(criterion, "stack/commit_guard", CommitGuardLayer::default());
    layered(criterion, "stack/admission", AdmissionLayer::default());
    layered(criterion, "stack/model_rewrite", models.clone());
    layered(criterion, "stack/model_rewrite_rules", fitted);
    let limit = || RateLimitBuilder::per_minute(u64::MAX >> 8, u64::MAX >> 8);
    for (name, limit) in [
        ("stack/rate_limit", limit()),
        ("stack/rate_limit_untold", limit().headers(false)),
        ("stack/rate_limit_of_a_provider", limit().provider()),
    ] {
        layered(criterion, name, limit.build().unwrap());
    }
    layered(criterion, "stack/retry", RetryLayer::default());
    let backup = Upstreams::builder().add(Target::new("backup", ANSWERS));
    let fallback = FallbackLayer::builder().build(&backup.build().unwrap());
    layered(criterion, "stack/fallback", fallback.unwrap());
    let others = |names: &[&'static str]| {
        let others = names.iter().map(|name| Target::new(*name, ANSWERS));
        let others = others.fold(Upstreams::builder(), UpstreamsBuilder::add);
        others.build().unwrap()
    };
    for (name, policy, names) in [
        ("stack/balance_3", Policy::PeakEwma, &["b", "c"][..]),
        ("stack/balance_least_3", Policy::LeastInFlight, &["b", "c"]),
        ("stack/balance_cheapest_3", Policy::Cheapest, &["b", "c"]),
        (
            "stack/balance_8",
            Policy::PeakEwma,
            &["b", "c", "d", "e", "f", "g", "h"],
        ),
    ] {
        let balance = BalanceLayer::builder().policy(policy);
        layered(criterion, name, balance.build(&others(names)).unwrap());
    }
    let balance = BalanceLayer::builder().sticky(StickyBy::api_key());
    let balance = balance.build(&others(&["b", "c"])).unwrap();
    layered(criterion, "stack/balance_sticky_3", balance);
    let hedge = HedgeLayer::builder().build(&others(&["b"])).unwrap();
    layered(criterion, "stack/hedge", hedge);
    let timeout = TimeoutLayer::builder().build().unwrap();
    layered(criterion, "stack/timeout", timeout);
    let quiet = TelemetryLayer::builder().headers(false).propagate(false);
    layered(
        criterion,
        "stack/telemetry_of_statistics",
        quiet.build().unwrap(),
    );
    layered(criterion, "stack/telemetry", TelemetryLayer::new());
    let recorder = Arc::new(Prometheus::new());
    let counted = TelemetryLayer::builder()
        .recorder(recorder)
        .build()
        .unwrap();
    layered(criterion, "stack/telemetry_with_metrics", counted.clone());
    layered(criterion, "stack/telemetry_attempts", counted.attempts());
    let read = MapRequestLayer::new(|request: Request<RequestBody>| {
        black_box(request.body().model());
        request
    });
    layered(criterion, "stack/model_read", read.clone());
    layered(criterion, "stack/model_read_and_telemetry", (read, counted));
    layered(criterion, "stack/upstream", upstream.clone());

    let mut edge = EdgeLayer::default().layer(ANSWERS);
    let mut stack = ServiceBuilder::new()
        .layer(EdgeLayer::default())
        .layer(models)
        .layer(upstream)
        .service(ANSWERS);
    let full = || request(Full::new(Bytes::from_static(BODY.as_bytes())));
    criterion.bench_function("stack/edge", |bencher| {
        bencher.iter_batched(
            full,
            |request| call(&mut edge, request),
            criterion::BatchSize::SmallInput,
        );
    });
    criterion.bench_function("stack/all", |bencher| {
        bencher.iter_batched(
            full,
            |request| call(&mut stack, request),
            criterion::BatchSize::SmallInput,
        );
    });
}

criterion_group!(benches, layers);
