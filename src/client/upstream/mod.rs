#![doc = include_str!("../../docs/upstream.md")]

mod future;
mod hygiene;
mod layer;
mod location;
mod service;
#[cfg(test)]
mod tests;

pub use self::{
    future::UpstreamFuture,
    layer::{UpstreamBuilder, UpstreamLayer},
    service::Upstream,
};
