#![doc = include_str!("../docs/traffic_split.md")]

mod builder;
mod choice;
mod future;
mod handle;
mod layer;
pub mod rollout;
mod service;
mod state;
mod sticky;
#[cfg(test)]
mod tests;

pub use self::{
    builder::TrafficSplitBuilder,
    choice::{SplitChoice, SplitReason, X_RELAY_UPSTREAM},
    future::TrafficSplitFuture,
    handle::TrafficSplitHandle,
    layer::TrafficSplitLayer,
    service::TrafficSplit,
    sticky::StickyBy,
};

#[cfg(feature = "gateway")]
pub(crate) use self::handle::WeakSteering;
