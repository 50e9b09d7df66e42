#![doc = include_str!("../docs/hedge.md")]

mod builder;
mod control;
mod counters;
mod future;
mod handle;
mod layer;
mod leg;
mod race;
mod service;
mod state;
#[cfg(test)]
mod tests;

pub use self::{
    builder::HedgeBuilder, counters::HedgeCounts, future::HedgeFuture, handle::HedgeHandle,
    layer::HedgeLayer, service::Hedge,
};
