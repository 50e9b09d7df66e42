#![doc = include_str!("../docs/rate_limit.md")]

mod admission;
mod ask;
mod builder;
mod control;
#[cfg(feature = "gateway")]
mod describe;
mod future;
mod handle;
mod headers;
mod layer;
mod learned;
mod policy;
mod provider_headers;
mod queue;
mod quotas;
mod refusal;
mod service;
mod settle;
#[cfg(test)]
mod tests;

pub use self::{
    builder::RateLimitBuilder,
    future::RateLimitFuture,
    handle::RateLimitHandle,
    layer::RateLimitLayer,
    policy::{OutputEstimate, UnknownUsage},
    service::RateLimit,
};
