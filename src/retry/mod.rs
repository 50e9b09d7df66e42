#![doc = include_str!("../docs/retry.md")]

mod again;
mod backoff;
mod future;
mod layer;
mod presets;
mod service;
mod state;
#[cfg(test)]
mod tests;

pub use self::{
    backoff::{Backoff, Growth, Jitter},
    future::RetryFuture,
    layer::{RetryBuilder, RetryLayer},
    service::Retry,
};
