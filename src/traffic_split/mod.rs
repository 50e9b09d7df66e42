#![doc = include_str!("../docs/traffic_split.md")]

mod builder;
mod choice;
mod control;
mod future;
mod handle;
mod layer;
pub mod rollout;
mod service;
mod state;
#[cfg(test)]
mod tests;

pub use self::{
    builder::TrafficSplitBuilder,
    choice::{SplitChoice, SplitReason},
    future::TrafficSplitFuture,
    handle::TrafficSplitHandle,
    layer::TrafficSplitLayer,
    service::TrafficSplit,
};
pub use crate::{key::StickyBy, message::X_RELAY_UPSTREAM};

#[cfg(feature = "gateway")]
pub(crate) use self::handle::WeakSteering;
