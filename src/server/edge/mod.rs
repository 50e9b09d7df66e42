#![doc = include_str!("../../docs/edge.md")]

mod collect;
mod future;
mod layer;
mod service;
#[cfg(test)]
mod tests;

pub use self::{
    future::EdgeFuture,
    layer::{EdgeBuilder, EdgeLayer},
    service::Edge,
};
