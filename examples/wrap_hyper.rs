//! Layers around a hyper-util client, which takes a stack's requests as they are: `cargo run --example wrap_hyper`.
//!
//! An upstream of the example's own stands in for a provider, so that it runs without a key and without a network.

use http::Request;
use http_body_util::BodyExt;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tower::{Service, ServiceBuilder, ServiceExt};
use tower_relay::{
    client::{Credential, UpstreamLayer},
    gateway::demo::Demo,
    message::{End, RequestBody},
    model_rewrite::ModelRewriteLayer,
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let base_url = format!("http://{}/v1", listener.local_addr()?);
    tokio::spawn(Demo::exact().serve(listener, std::future::pending::<()>()));

    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client = Client::builder(TokioExecutor::new()).build::<_, RequestBody>(connector);

    let mut relay = ServiceBuilder::new()
        .layer(ModelRewriteLayer::new([("gpt-4.1-*", "demo-small")])?)
        .layer(
            UpstreamLayer::builder("demo")
                .base_url(&base_url)
                .credential(Credential::key("demo-key")?)
                .build()?,
        )
        .service(client);

    let request = Request::post("/v1/chat/completions")
        .header("content-type", "application/json")
        .body(RequestBody::json(
            r#"{"model": "gpt-4.1-mini", "stream": true, "messages": [{"role": "user", "content": "Hello!"}]}"#,
        ))?;
    let response = relay.ready().await?.call(request).await?;

    let mut body = response.into_body().on_end(|completion| {
        println!("ended: {:?}, {} bytes", completion.end, completion.bytes);
        assert_eq!(completion.end, End::Complete);
    });
    while let Some(frame) = body.frame().await {
        let frame = frame?;
        print!("{}", String::from_utf8_lossy(frame.data_ref().map_or(b"", |data| data)));
    }
    Ok(())
}
