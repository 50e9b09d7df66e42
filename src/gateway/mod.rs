#![doc = include_str!("../docs/gateway.md")]
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
mod schema;
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
        CredentialConfig, Headers, InvalidConfig, RouteCache, RouteConfig, ServerConfig,
        StoreConfig, StyleConfig, TenantConfig, UpstreamConfig, WebhookConfig,
    },
    handles::{Handles, LayerHandles},
    reload::{ReloadSignal, Reloaded, Reloader},
    service::{GatewayFuture, GatewayService},
    stack::Stack,
    tenants::AllowanceLevel,
};
