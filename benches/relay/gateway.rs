//! The stack under test.

use std::{convert::Infallible, sync::Arc};

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::{Service, service_fn};
use tower::ServiceBuilder;
use tower_relay::{
    client::{Credential, UpstreamLayer},
    message::{RequestBody, ResponseBody},
    model_rewrite::ModelRewriteLayer,
    server::EdgeLayer,
};

use crate::server;

/// The service between server and client, in front of `upstream`, a host and port: `EdgeLayer`, `ModelRewriteLayer` and
/// `UpstreamLayer`, with the model of every request rewritten. The gateway has a choice of upstreams and a server of its own besides.
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
