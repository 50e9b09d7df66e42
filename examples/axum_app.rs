//! An axum application that exists already gains limits, costs and a fallback, by one call of `Router::layer`: `cargo run --example axum_app`.
//!
//! The application asks a model itself; the layers stand around that route, and its pages are not counted. It runs without a network.
#![allow(clippy::print_stdout, reason = "an example shows what came of it")]

use std::convert::Infallible;

use axum::{
    Json, Router,
    body::Body,
    http::{Request, StatusCode},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::{Layer, ServiceExt, service_fn};
use tower_relay::{
    client::{AdaptLayer, Target, Upstreams},
    cost_meter::{BillLayer, CostMeterLayer},
    fallback::FallbackLayer,
    message::{ConfigError, RequestBody, ResponseBody},
    rate_limit::RateLimitBuilder,
    server::EdgeLayer,
};

/// The application's model, as it was before. It is at times not there.
fn model() -> Router {
    async fn complete(Json(request): Json<Value>) -> Response {
        match request.get("user").and_then(Value::as_str) {
            Some("unlucky") => StatusCode::SERVICE_UNAVAILABLE.into_response(),
            _ => Json(answer("the application")).into_response(),
        }
    }
    Router::new().route("/v1/chat/completions", post(complete))
}

/// The rest of the application.
fn pages() -> Router {
    Router::new().route("/about", get(|| async { "an application of its own" }))
}

/// The model, with what it gains.
fn relay() -> Result<Router, ConfigError> {
    let elsewhere = Upstreams::builder().add(backup()?).build()?;
    Ok(model().layer((
        EdgeLayer::default(), // any request in, every error out as a response
        RateLimitBuilder::per_minute(3, 100_000).build()?, // requests and tokens of each key
        BillLayer::new(),     // one bill, whatever was tried
        FallbackLayer::builder().build(&elsewhere)?, // who answers when the application cannot
        meter("own")?,        // what each attempt used and cost
        AdaptLayer::new(Body::new), // handlers get their own bodies back
    )))
}

/// Says in `x-relay-cost-usd` what an answer has cost.
fn meter(name: &'static str) -> Result<CostMeterLayer, ConfigError> {
    let meter = CostMeterLayer::builder().name(name);
    meter.cost_header(true).build()
}

/// Who answers when the application's own model does not. In its place stands a stack with an `UpstreamLayer` and a client.
fn backup() -> Result<Target, ConfigError> {
    let answers = service_fn(async |_: Request<RequestBody>| {
        let response = Json(answer("the backup")).into_response();
        Ok::<_, Infallible>(ResponseBody::wrap(response))
    });
    Ok(Target::new("backup", meter("backup")?.layer(answers)))
}

fn answer(who: &str) -> Value {
    json!({
        "object": "chat.completion",
        "model": "gpt-4.1",
        "choices": [{"message": {"role": "assistant", "content": format!("Hello from {who}.")}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100},
    })
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let app = pages().merge(relay()?);
    for (path, user, expected) in [
        ("/about", "", StatusCode::OK),
        ("/v1/chat/completions", "lucky", StatusCode::OK),
        ("/v1/chat/completions", "unlucky", StatusCode::OK),
        ("/v1/chat/completions", "lucky", StatusCode::OK),
        (
            "/v1/chat/completions",
            "lucky",
            StatusCode::TOO_MANY_REQUESTS,
        ),
        ("/about", "", StatusCode::OK),
    ] {
        let request = match user {
            "" => Request::get(path).body(Body::empty())?,
            user => {
                let body = json!({"model": "gpt-4.1", "user": user, "messages": []});
                let request = Request::post(path).header("content-type", "application/json");
                request.body(Body::from(body.to_string()))?
            }
        };
        let response = app.clone().oneshot(request).await?;
        println!("{path} {user}: {}", response.status());
        for name in ["x-relay-attempts", "x-relay-cost-usd", "retry-after"] {
            if let Some(value) = response.headers().get(name) {
                println!("  {name}: {}", value.to_str()?);
            }
        }
        assert_eq!(response.status(), expected);
        let text = response.into_body().collect().await?.to_bytes();
        println!("  {}", String::from_utf8_lossy(&text));
    }
    Ok(())
}
