//! Layers around a `reqwest::Client`: `cargo run --example wrap_reqwest`.
//!
//! An upstream of the example's own stands in for a provider, so that it runs without a key and without a network.

use http::Request;
use http_body_util::BodyExt;
use tower::{Service, ServiceBuilder, ServiceExt};
use tower_relay::{
    client::{Credential, ReqwestClient, UpstreamLayer},
    gateway::demo::Demo,
    message::{RequestBody, Served},
    model_rewrite::ModelRewriteLayer,
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let base_url = format!("http://{}/v1", listener.local_addr()?);
    tokio::spawn(Demo::exact().serve(listener, std::future::pending::<()>()));

    let mut relay = ServiceBuilder::new()
        .layer(ModelRewriteLayer::new([("gpt-4.1-*", "demo-small")])?)
        .layer(
            UpstreamLayer::builder("demo")
                .base_url(&base_url)
                .credential(Credential::key("demo-key")?)
                .build()?,
        )
        .service(ReqwestClient::default());

    let request = Request::post("/v1/chat/completions")
        .header("content-type", "application/json")
        .body(RequestBody::json(
            r#"{"model": "gpt-4.1-mini", "messages": [{"role": "user", "content": "Hello!"}]}"#,
        ))?;
    let response = relay.ready().await?.call(request).await?;

    let status = response.status();
    let served = response.extensions().get::<Served>().cloned();
    let body = response.into_body().collect().await?.to_bytes();
    println!("{status}, {served:?}");
    println!("{}", String::from_utf8_lossy(&body));
    assert!(status.is_success());
    Ok(())
}
