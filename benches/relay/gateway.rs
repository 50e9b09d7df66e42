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
pub(crate) async fn program(listener: TcpListener, upstream: &str) {
    let config = format!(
        r#"
        [models.aliases]
        "gpt-4*" = "llama-4-maverick"
        [[upstreams]]
        name = "mock"
        base_url = "http://{upstream}"
        credential = {{ env = "KEY" }}
        "#
    );
    let gateway = Config::from_toml(&config, "bench")
        .and_then(|config| {
            config.build_with_env(&|name| (name == "KEY").then(|| "sk-bench".to_owned()))
        })
        .expect("a configuration");
    gateway.serve(listener, future::pending()).await;
}
