#![doc = include_str!("../docs/fallback.md")]

mod builder;
mod chain;
mod control;
mod counters;
mod future;
mod handle;
mod layer;
mod queue;
mod service;
mod state;
mod sticky;
#[cfg(test)]
mod tests;
mod trip;

pub use self::{
    builder::FallbackBuilder, counters::FallbackCounts, future::FallbackFuture,
    handle::FallbackHandle, layer::FallbackLayer, service::Fallback,
};
