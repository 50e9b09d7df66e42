//! A stack as a client, without Tower in sight: `cargo run --example relay_client`.
//!
//! An upstream of the example's own stands in for a provider, so that it runs without a key and without a network.
#![allow(clippy::print_stdout, reason = "an example shows what came of it")]
#![allow(
    clippy::indexing_slicing,
    reason = "a member that is not there is null"
)]

use http::StatusCode;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use serde_json::{Value, json};
use tower::ServiceBuilder;
use tower_relay::{
    client::{Credential, Relay, UpstreamLayer},
    commit_guard::CommitGuardLayer,
    gateway::demo::Demo,
    message::RequestBody,
    rate_limit::RateLimitBuilder,
    retry::RetryLayer,
    server::EdgeLayer,
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let base_url = format!("http://{}/v1", listener.local_addr()?);
    tokio::spawn(Demo::exact().serve(listener, std::future::pending::<()>()));

    let relay = Relay::new(
        ServiceBuilder::new()
            .layer(EdgeLayer::default())
            .layer(RateLimitBuilder::per_minute(3, 100_000).build()?)
            .layer(RetryLayer::default())
            .layer(CommitGuardLayer::default())
            .layer(
                UpstreamLayer::builder("demo")
                    .base_url(&base_url)
                    .credential(Credential::key("demo-key")?)
                    .build()?,
            )
            .service(Client::builder(TokioExecutor::new()).build_http::<RequestBody>()),
    );

    let mut request =
        json!({"model": "demo-small", "messages": [{"role": "user", "content": "Hello!"}]});
    let answer = relay.chat(&request).await?;
    println!("{:?}", answer.served());
    let answer: Value = answer.json().await?;
    println!("{}", answer["choices"][0]["message"]["content"]);

    request["stream"] = true.into();
    let mut events = relay.chat(&request).await?.events();
    while let Some(event) = events.next().await {
        let chunk: Value = event?.json()?;
        print!(
            "{}",
            chunk["choices"][0]["delta"]["content"]
                .as_str()
                .unwrap_or_default()
        );
    }
    println!();

    // An upstream's error and a layer's are one type, which says whose it is.
    request["model"] = "no-such-model".into();
    let error = relay.chat(&request).await.err().ok_or("it was answered")?;
    println!("{error}; refused by {:?}", error.rejection());
    assert_eq!(error.status(), Some(StatusCode::NOT_FOUND));
    let error = relay.chat(&request).await.err().ok_or("it was answered")?;
    println!("{error}; refused by {:?}", error.rejection());
    assert_eq!(
        error.rejection().map(|refused| refused.layer),
        Some("rate_limit")
    );
    Ok(())
}
