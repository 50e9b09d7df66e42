//! A configuration file becomes a running relay.
//!
//! ```no_run
//! use tower_relay::gateway::Config;
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let config = Config::from_file("gateway.toml")?;
//! let listener = tokio::net::TcpListener::bind(config.listen).await?;
//! let shutdown = async { drop(tokio::signal::ctrl_c().await) };
//! config.build()?.serve(listener, shutdown).await;
//! # Ok(())
//! # }
//! ```
//!
//! It is made to be built on, at the level that is needed:
//!
//! - [`main`] is the whole program, and the `tower-relay` binary is nothing else.
//! - [`Config::build`] makes the [`Gateway`] that a file describes: to [`serve`](Gateway::serve), or to nest in an application as
//!   a [`service`](Gateway::service).
//! - [`Config::build_upstreams`] makes the upstreams and routes alone, to stand under layers of one's own; [`Gateway::new`] serves such a
//!   stack.
//! - [`Gateway::handles`] shows and steers its circuit breakers, fallbacks, splits, rollouts, shadows and limits while it serves.
//! - [`Gateway::admin`] is what operators ask, where the configuration has `[admin]`: `/dashboard`, `/status`, `/metrics` and `/admin`.
//! - [`client`] is hyper-util's client with TLS, HTTP/2 and proxies, for the innermost place in any stack.
//! - [`demo`] is what to try and test all of this with.
//!
//! # What it answers
//!
//! Where the configuration names tenants, whoever presents none of their keys is answered 401, whatever they ask but `/health`, before anything of
//! a body is read.
//!
//! `/health`, `/health/ready` (503 while the circuit breakers of all upstreams are open) and, where the configuration names models, `/v1/models` and `/v1/models/{id}` are the gateway's own; everything else
//! passes its stack: [`Edge`](crate::server::Edge), [`Telemetry`](crate::telemetry::Telemetry), [`ModelRewrite`](crate::model_rewrite::ModelRewrite),
//! [`ModelRoute`](crate::client::ModelRoute), [`Fallback`](crate::fallback::Fallback) or [`TrafficSplit`](crate::traffic_split::TrafficSplit) where a route says so, then the upstream's own `ModelRewrite`, [`Upstream`](crate::client::Upstream) and
//! [`Client`](client::Client).
//!
//! # How connections end
//!
//! A caller who leaves cancels the request at the upstream. A connection on which no request comes, or the head of one comes too
//! slowly, or whose caller takes nothing of an answer, is closed ([`ServerConfig`]); one whose request is under way is not, for
//! that the edge has deadlines. They hold for callers too who take their answer slowly, or over HTTP/2 open no window for it: a
//! second later its stream is reset, or its connection closed. At a shutdown the gateway stops to accept and lets answers end, and
//! then its workers, each up to a deadline. Neither the time of a caller's silence nor the number of callers, of their streams or
//! of the bytes held for them is without bound.
//!
#![doc = include_str!("../docs/reload.md")]

mod access_log;
mod admin;
mod assembly;
mod cli;
pub mod client;
mod config;
pub mod demo;
mod handles;
mod listing;
mod meters;
mod models;
mod reload;
mod routes;
mod serve;
mod service;
mod stack;
mod switches;
mod tenants;

pub use self::{
    admin::{AdminService, AdminServiceFuture},
    assembly::Gateway,
    cli::main,
    config::{
        AdminConfig, AlertsConfig, AllowanceConfig, CatalogConfig, Config, CorsConfig,
        CredentialConfig, Headers, InvalidConfig, RouteConfig, ServerConfig, StoreConfig,
        StyleConfig, TenantConfig, UpstreamConfig, WebhookConfig,
    },
    handles::{Handles, LayerHandles},
    reload::{ReloadSignal, Reloaded, Reloader},
    service::{GatewayFuture, GatewayService},
    stack::Stack,
    tenants::AllowanceLevel,
};
