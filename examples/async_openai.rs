//! A stack beneath the typed client of `async-openai`: `cargo run --example async_openai`.
//!
//! An upstream of the example's own stands in for a provider, so that it runs without a key and without a network.
#![allow(clippy::print_stdout, reason = "an example shows what came of it")]

use async_openai::{
    Client,
    config::OpenAIConfig,
    error::OpenAIError,
    types::chat::{
        ChatCompletionRequestUserMessage, CreateChatCompletionRequest,
        CreateChatCompletionRequestArgs,
    },
};
use futures_util::StreamExt;
use tower::ServiceBuilder;
use tower_relay::{
    client::{AsyncOpenAi, Credential, ReqwestClient, UpstreamLayer},
    gateway::demo::Demo,
    model_rewrite::{Aliases, ModelRewriteLayer, Unknown},
    retry::RetryLayer,
    server::EdgeLayer,
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let base_url = format!("http://{}/v1", listener.local_addr()?);
    tokio::spawn(Demo::exact().serve(listener, std::future::pending::<()>()));

    let models = ModelRewriteLayer::builder()
        .aliases(Aliases::new([("gpt-4.1-*", "demo-small")])?)
        .unknown(Unknown::Reject)
        .build()?;
    let stack = ServiceBuilder::new()
        .layer(EdgeLayer::default())
        .layer(models)
        .layer(RetryLayer::default())
        .layer(
            UpstreamLayer::builder("demo")
                .base_url(&base_url)
                .credential(Credential::key("demo-key")?)
                .build()?,
        )
        .service(ReqwestClient::default());
    let config = OpenAIConfig::new().with_api_key("sk-of-nobody");
    let client = Client::with_config(config).with_http_service(AsyncOpenAi::new(stack));

    let answer = client.chat().create(ask("gpt-4.1-mini")?).await?;
    for choice in &answer.choices {
        println!("{}: {:?}", answer.model, choice.message.content);
    }

    let mut chunks = client.chat().create_stream(ask("gpt-4.1-mini")?).await?;
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk?;
        let text = chunk
            .choices
            .first()
            .and_then(|choice| choice.delta.content.as_deref());
        print!("{}", text.unwrap_or_default());
    }
    println!();

    // What a layer refuses is the client's own error.
    let Err(OpenAIError::ApiError(error)) = client.chat().create(ask("gpt-9")?).await else {
        return Err("gpt-9 was answered".into());
    };
    println!("{error}");
    Ok(())
}

fn ask(model: &str) -> Result<CreateChatCompletionRequest, OpenAIError> {
    CreateChatCompletionRequestArgs::default()
        .model(model)
        .messages([ChatCompletionRequestUserMessage::from("Hello!").into()])
        .build()
}
