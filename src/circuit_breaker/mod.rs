#![doc = include_str!("../docs/circuit_breaker.md")]

mod circuit;
mod control;
mod future;
mod handle;
mod layer;
mod policy;
mod probes;
mod record;
mod service;
mod state;
#[cfg(test)]
mod tests;

pub use self::{
    control::CircuitControl,
    future::CircuitBreakerFuture,
    handle::CircuitBreakerHandle,
    layer::CircuitBreakerLayer,
    policy::{CircuitBreakerBuilder, Forgiveness},
    service::CircuitBreaker,
    state::CircuitState,
};
