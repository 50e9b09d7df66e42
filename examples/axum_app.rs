//! Layers put into an axum application that exists already, by one call of `Router::layer`: `cargo run --example axum_app`.
//!
//! The application serves a model itself and has routes of its own, which pass untouched. It runs without a network.
#![allow(clippy::print_stdout, reason = "an example shows what came of it")]

use axum::{
    Json, Router,
    body::Body,
    http::Request,
    routing::{get, post},
};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;
use tower_relay::{
    client::AdaptLayer,
    model_rewrite::{Aliases, ModelRewriteLayer, Unknown},
    server::EdgeLayer,
};

/// The application, as it was before.
fn application() -> Router {
    async fn complete(Json(request): Json<Value>) -> Json<Value> {
        Json(json!({"object": "chat.completion", "model": request.get("model"), "choices": []}))
    }
    Router::new()
        .route("/v1/chat/completions", post(complete))
        .route("/about", get(|| async { "an application of its own" }))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let models = ModelRewriteLayer::builder()
        .aliases(Aliases::new([
            ("gpt-4", "llama-4-maverick"),
            ("llama-*", "llama-*"),
        ])?)
        .unknown(Unknown::Reject)
        .restore_name(true)
        .build()?;
    let app = application().layer((EdgeLayer::default(), models, AdaptLayer::new(Body::new)));

    for (path, body) in [
        (
            "/v1/chat/completions",
            r#"{"model": "gpt-4", "messages": []}"#,
        ),
        (
            "/v1/chat/completions",
            r#"{"model": "gpt-9", "messages": []}"#,
        ),
        (
            "/v1/chat/completions",
            r#"{"model": "gpt-4", "model": "gpt-9"}"#,
        ),
        ("/about", ""),
    ] {
        let method = if body.is_empty() { "GET" } else { "POST" };
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", "application/json")
            .body(Body::from(body))?;
        let response = app.clone().oneshot(request).await?;
        let status = response.status();
        let text = response.into_body().collect().await?.to_bytes();
        println!(
            "{method} {path} {body}\n  -> {status} {}",
            String::from_utf8_lossy(&text)
        );
    }
    Ok(())
}
