#![doc = include_str!("../../docs/rollout.md")]

mod builder;
mod control;
mod evidence;
mod file;
mod handle;
mod judge;
mod limits;
mod observer;
mod plan;
mod preset;
#[cfg(feature = "redis")]
mod replicas;
mod saved;
mod shared;
mod state;
mod status;
#[cfg(test)]
mod tests;
mod view;
mod worker;

pub(super) use self::shared::{RolloutShared, Track};
pub use self::{
    builder::RolloutBuilder,
    handle::Rollout,
    limits::{CostLimit, ErrorLimit, Limits, Metric, TimeLimit},
    observer::{RolloutObserver, RolloutObserverFuture, RolloutObserverLayer},
    status::{RolloutEvent, RolloutState, RolloutStatus, TargetStatus},
};
