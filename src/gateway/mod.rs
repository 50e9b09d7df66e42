#![doc = include_str!("../docs/gateway.md")]

mod access_log;
mod assembly;
mod cli;
pub mod client;
mod config;
pub mod demo;
mod handles;
mod meters;
mod models;
mod reload;
mod routes;
mod schema;
mod serve;
mod service;
mod stack;
mod switches;
mod tenants;

pub use self::{
    assembly::Gateway,
    cli::main,
    config::{
        AllowanceConfig, CatalogConfig, Config, CorsConfig, CredentialConfig, Headers,
        InvalidConfig, RouteConfig, ServerConfig, StoreConfig, StyleConfig, TenantConfig,
        UpstreamConfig,
    },
    handles::{Handles, LayerHandles},
    reload::{ReloadSignal, Reloaded, Reloader},
    service::{GatewayFuture, GatewayService},
    stack::Stack,
    tenants::Level,
};
