//! Independent [Tower](https://docs.rs/tower) layers that turn any HTTP client into a relay for LLM APIs.
//!
//! A program that calls LLM APIs is locked to one provider, surprised by the bill, rate limited at peak, and broken by a stream that dies half-way.
//! Each of these is one layer here. They stack around any HTTP client, go into an existing axum application, or make a gateway of their own.
//!
//! # A stack
//!
//! ```
//! use tower::{ServiceBuilder, ServiceExt};
//! use tower_relay::{
//!     client::{Credential, UpstreamLayer},
//!     message::RequestBody,
//!     model_rewrite::ModelRewriteLayer,
//!     server::EdgeLayer,
//! };
//! # use hyper_util::{client::legacy::Client, rt::TokioExecutor};
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!
//! let relay = ServiceBuilder::new()
//!     .layer(EdgeLayer::default())
//!     .layer(ModelRewriteLayer::new([("gpt-4.1-mini", "llama-4-maverick")])?)
//!     .layer(
//!         UpstreamLayer::builder("local")
//!             .base_url("http://127.0.0.1:1/v1")
//!             .credential(Credential::key("sk-local")?)
//!             .build()?,
//!     )
//!     // hyper-util's client takes a stack's requests as they are; so does any other through an adapter.
//!     .service(Client::builder(TokioExecutor::new()).build_http::<RequestBody>());
//!
//! let request = http::Request::post("/v1/chat/completions")
//!     .header("content-type", "application/json")
//!     .body(RequestBody::json(r#"{"model": "gpt-4.1-mini", "messages": []}"#))?;
//! // Nobody listens there: what came of it is a response all the same.
//! let response = relay.oneshot(request).await?;
//! assert_eq!(response.status(), 502);
//! # Ok(())
//! # }
//! ```
//!
//! # The ideas
//!
//! - **One currency.** Every layer is a service from `http::Request<`[`RequestBody`](message::RequestBody)`>` to
//!   `http::Response<`[`ResponseBody`](message::ResponseBody)`>` and leaves the error type as it is.
//! - **Parse once.** A JSON request is indexed at most once, when a layer first reads it; an edit splices bytes.
//! - **Never buffer a stream.** Answers are forwarded as the bytes that came; layers look.
//! - **Settle at the end.** What an answer used and how it ended is known when its body ends, fails or is dropped:
//!   [`ResponseBody::on_end`](message::ResponseBody::on_end).
//! - **A refusal is a response**, in the caller's dialect, with a [`Rejection`](message::Rejection) in its extensions.
//! - **State belongs to the layer.** Services and clones of one layer share it.
//!
//! # The layers, outermost first
//!
//! | layer | what it does |
//! |---|---|
#![cfg_attr(
    feature = "edge",
    doc = "| [`HeaderNamesLayer`](server::HeaderNamesLayer) | other names for the headers of this crate |"
)]
#![cfg_attr(
    feature = "edge",
    doc = "| [`EdgeLayer`](server::EdgeLayer) | any request in, every error out as a response |"
)]
#![cfg_attr(
    feature = "telemetry",
    doc = "| [`TelemetryLayer`](telemetry::TelemetryLayer) | spans, metrics and statistics of every request and attempt |"
)]
#![cfg_attr(
    feature = "edge",
    doc = "| [`FeedbackLayer`](server::feedback::FeedbackLayer) | scores of answers, after the fact, by upstream |"
)]
#![cfg_attr(
    feature = "edge",
    doc = "| [`AuthLayer`](server::tenants::AuthLayer) | who may call, and what they may ask for |"
)]
#![cfg_attr(
    feature = "rate-limit",
    doc = "| [`RateLimitLayer`](rate_limit::RateLimitLayer) | requests and tokens per time and key; at a provider, within what it allows |"
)]
#![cfg_attr(
    feature = "budget",
    doc = "| [`BudgetLayer`](budget::BudgetLayer) | so much money per key and calendar window |"
)]
#![cfg_attr(
    feature = "admission",
    doc = "| [`AdmissionLayer`](admission::AdmissionLayer) | so many in flight, the others in line by priority |"
)]
#![cfg_attr(
    feature = "model-select",
    doc = "| [`ModelSelectLayer`](model_select::ModelSelectLayer) | the model, for requests that leave it to the relay |"
)]
#![cfg_attr(
    feature = "model-rewrite",
    doc = "| [`ModelRewriteLayer`](model_rewrite::ModelRewriteLayer) | aliases for models |"
)]
#![cfg_attr(
    feature = "cache",
    doc = "| [`CacheLayer`](cache::CacheLayer) | what was answered before, answered again; equal requests at the same time are one call |"
)]
#![cfg_attr(
    feature = "shadow",
    doc = "| [`ShadowLayer`](shadow::ShadowLayer) | copies of requests to a second target, and what came of both |"
)]
#![cfg_attr(
    feature = "upstream",
    doc = "| [`ModelRoute`](client::ModelRoute) | each request to the upstream that serves its model |"
)]
#![cfg_attr(
    feature = "traffic-split",
    doc = "| [`TrafficSplitLayer`](traffic_split::TrafficSplitLayer) | requests split by weight, and shifted in stages that roll back by themselves |"
)]
#![cfg_attr(
    feature = "fallback",
    doc = "| [`FallbackLayer`](fallback::FallbackLayer) | the next upstream when one fails |"
)]
#![cfg_attr(
    feature = "balance",
    doc = "| [`BalanceLayer`](balance::BalanceLayer) | each request to the member that is likely to answer it soonest |"
)]
#![cfg_attr(
    feature = "hedge",
    doc = "| [`HedgeLayer`](hedge::HedgeLayer) | a second attempt when the first is slow; whoever says something first answers |"
)]
#![cfg_attr(
    feature = "retry",
    doc = "| [`RetryLayer`](retry::RetryLayer) | another attempt, where time heals |"
)]
#![cfg_attr(
    feature = "circuit-breaker",
    doc = "| [`CircuitBreakerLayer`](circuit_breaker::CircuitBreakerLayer) | an upstream that fails is left alone until it has recovered |"
)]
#![cfg_attr(
    feature = "commit-guard",
    doc = "| [`CommitGuardLayer`](commit_guard::CommitGuardLayer) | no answer is handed on before it is worth it, and none that breaks ends as if it were whole |"
)]
#![cfg_attr(
    feature = "timeout",
    doc = "| [`TimeoutLayer`](timeout::TimeoutLayer) | an end to attempts that take too long, by model |"
)]
#![cfg_attr(
    feature = "cost-meter",
    doc = "| [`CostMeterLayer`](cost_meter::CostMeterLayer) | what every attempt used and cost, streams too |"
)]
#![cfg_attr(
    feature = "normalize",
    doc = "| [`ResponseNormalizeLayer`](normalize::ResponseNormalizeLayer) | answers and errors of other providers become OpenAI's |"
)]
#![cfg_attr(
    feature = "upstream",
    doc = "| [`UpstreamLayer`](client::UpstreamLayer) | one upstream with one credential |"
)]
//!
//! # Features
//!
//! One for each layer, named as its module is, all on by default but `cache`. Opt-in, because they bring dependencies: `cache` (a concurrent map that evicts), `reqwest` (a client to wrap), `async-openai` (a client to stand beneath),
//! `redis` (limits that replicas share), `tiktoken` (token counts by OpenAI's vocabulary), `metrics` (the `metrics` facade, and Prometheus' text), `otlp` (spans under OpenTelemetry's ids, and export of spans and metrics by the gateway), `audit` (a report of an audit file) and `gateway` (a configuration file becomes a running relay; brings hyper, rustls and a TOML parser).
//!
//! # What is not there yet
//!
//! Requests are not translated to other dialects than the caller's; WebSocket and realtime APIs are not relayed.
#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg_attr(
    not(all(
        feature = "edge",
        feature = "upstream",
        feature = "model-rewrite",
        feature = "normalize",
        feature = "retry",
        feature = "timeout",
        feature = "circuit-breaker",
        feature = "cost-meter",
        feature = "fallback",
        feature = "commit-guard",
        feature = "rate-limit",
        feature = "traffic-split",
        feature = "admission",
        feature = "model-select",
        feature = "shadow",
        feature = "budget",
        feature = "balance",
        feature = "hedge",
        feature = "telemetry"
    )),
    allow(
        dead_code,
        unused_imports,
        reason = "the rooms that layers share hold what a layer left out would use"
    )
)]

#[cfg(feature = "admission")]
pub mod admission;
#[cfg(feature = "audit")]
pub mod audit;
#[cfg(feature = "balance")]
pub mod balance;
#[cfg(feature = "budget")]
pub mod budget;
#[cfg(feature = "cache")]
pub mod cache;
#[cfg(feature = "circuit-breaker")]
pub mod circuit_breaker;
#[cfg(feature = "upstream")]
pub mod client;
#[cfg(feature = "commit-guard")]
pub mod commit_guard;
pub mod control;
#[cfg(feature = "cost-meter")]
pub mod cost_meter;
#[cfg(feature = "fallback")]
pub mod fallback;
#[cfg(feature = "hedge")]
pub mod hedge;
pub mod key;
pub mod ledger;
pub mod message;
#[cfg(feature = "model-rewrite")]
pub mod model_rewrite;
#[cfg(feature = "model-select")]
pub mod model_select;
#[cfg(feature = "normalize")]
pub mod normalize;
mod random;
#[cfg(feature = "rate-limit")]
pub mod rate_limit;
pub mod reserve;
#[cfg(feature = "retry")]
pub mod retry;
#[cfg(feature = "edge")]
pub mod server;
#[cfg(feature = "shadow")]
pub mod shadow;
pub mod stats;
mod sync;
#[cfg(feature = "telemetry")]
pub mod telemetry;
#[cfg(test)]
mod testing;
#[cfg(feature = "timeout")]
pub mod timeout;
mod timer;
#[cfg(feature = "traffic-split")]
pub mod traffic_split;
pub mod wire;
pub mod worker;

#[cfg(feature = "gateway")]
pub mod gateway;
#[cfg(any(doc, doctest))]
pub mod guides;

/// The README's code compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct Readme;
