#![doc = include_str!("../docs/timeout.md")]

mod future;
mod layer;
mod service;
mod state;
#[cfg(test)]
mod tests;

pub use self::{
    future::TimeoutFuture,
    layer::{TimeoutBuilder, TimeoutLayer},
    service::Timeout,
    state::Limits,
};
