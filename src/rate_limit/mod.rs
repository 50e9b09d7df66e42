#![doc = include_str!("../docs/rate_limit.md")]

mod admission;
mod ask;
mod builder;
mod control;
mod future;
mod handle;
mod headers;
mod layer;
mod learned;
mod provider_headers;
mod queue;
mod quotas;
mod refusal;
mod service;
mod settle;
#[cfg(test)]
mod tests;

pub use self::{
    builder::{OutputEstimate, RateLimitBuilder, UnknownUsage},
    future::RateLimitFuture,
    handle::RateLimitHandle,
    layer::RateLimitLayer,
    service::RateLimit,
};
