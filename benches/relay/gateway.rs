//! The stack under test.

use std::{convert::Infallible, future, sync::Arc};

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::{Service, service_fn};
use tokio::net::TcpListener;
use tower::ServiceBuilder;
use tower_relay::{
    client::{Credential, UpstreamLayer},
    gateway::Config,
    message::{RequestBody, ResponseBody},
    model_rewrite::ModelRewriteLayer,
    server::EdgeLayer,
};

use crate::server;

/// The service between server and client, in front of `upstream`, a host and port: `EdgeLayer`, `ModelRewriteLayer` and
/// `UpstreamLayer`, with the model of every request rewritten.
pub(crate) fn stack(
    upstream: &str,
) -> impl Service<Request<Incoming>, Response = Response<ResponseBody>, Error = Infallible, Future: Send>
+ Clone
+ Send
+ 'static {
    let models =
        ModelRewriteLayer::new([("gpt-4*", "llama-4-maverick")]).expect("a table of aliases");
    let upstream = UpstreamLayer::builder("mock")
        .base_url(&format!("http://{upstream}"))
        .credential(Credential::key("sk-bench").expect("a key"))
        .build()
        .expect("an upstream");
    let edge = ServiceBuilder::new()
        .layer(EdgeLayer::default())
        .layer(models)
        .layer(upstream)
        .service(server::client::<RequestBody>());
    let edge = Arc::new(edge);
    service_fn(move |request| edge.handle(request))
}

/// The same layers as the program runs them, with its own server, choice of upstreams and client.
const PROGRAM: &str = r#"
    [models.aliases]
    "gpt-4*" = "llama-4-maverick"
    [[upstreams]]
    name = "mock"
    base_url = "http://UPSTREAM"
    credential = { env = "KEY" }
"#;

/// The program with the six layers that most relays want, and no more: limits, a breaker, a fallback, costs, aliases, normalized answers.
/// Nothing is ever refused, and nothing fails.
const SIX: &str = r#"
    telemetry = false
    [rate_limit]
    limits = [{ requests = 1000000000, per = "1m" }, { tokens = 1000000000000, per = "1m" }]
    [models.aliases]
    "gpt-4*" = "llama-4-maverick"
    [[routes]]
    name = "mocks"
    [routes.fallback]
    targets = ["mock", "backup"]
    [[upstreams]]
    name = "mock"
    base_url = "http://UPSTREAM"
    credential = { env = "KEY" }
    circuit_breaker = {}
    cost = {}
    normalize = {}
    [[upstreams]]
    name = "backup"
    base_url = "http://UPSTREAM"
    credential = { env = "KEY" }
"#;

/// The program with every layer that has something to do with an ordinary request.
const ALL: &str = r#"
    [rate_limit]
    limits = [{ requests = 1000000000, per = "1m" }, { tokens = 1000000000000, per = "1m" }]
    [admission]
    [[budgets]]
    name = "all"
    by = "global"
    hard = "1000000000"
    per = "month"
    [models.aliases]
    "gpt-4*" = "llama-4-maverick"
    [models.checks]
    capabilities = true
    [[routes]]
    name = "mocks"
    [routes.fallback]
    targets = ["mock", "backup"]
    [[upstreams]]
    name = "mock"
    base_url = "http://UPSTREAM"
    credential = { env = "KEY" }
    retry = {}
    rate_limit = {}
    circuit_breaker = {}
    commit_guard = {}
    timeout = {}
    cost = {}
    normalize = {}
    [[upstreams]]
    name = "backup"
    base_url = "http://UPSTREAM"
    credential = { env = "KEY" }
"#;

/// The program's configuration in this role.
pub(crate) fn configuration(role: &str) -> Option<&'static str> {
    match role {
        "program" => Some(PROGRAM),
        "six" => Some(SIX),
        "all" => Some(ALL),
        _ => None,
    }
}

/// The gateway as it is configured and run, in front of `upstream`.
pub(crate) async fn program(listener: TcpListener, configuration: &str, upstream: &str) {
    let text = configuration.replace("UPSTREAM", upstream);
    let gateway = Config::from_toml(&text, "bench")
        .and_then(|config| {
            config.build_with_env(&|name| (name == "KEY").then(|| "sk-bench".to_owned()))
        })
        .expect("a configuration");
    gateway.serve(listener, future::pending()).await;
}
