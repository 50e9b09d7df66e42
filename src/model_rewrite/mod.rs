#![doc = include_str!("../docs/model_rewrite.md")]

mod answer;
mod future;
mod layer;
mod service;
mod state;
#[cfg(test)]
mod tests;

pub use self::{
    future::ModelRewriteFuture,
    layer::{ModelRewriteBuilder, ModelRewriteHandle, ModelRewriteLayer},
    service::ModelRewrite,
    state::{Aliases, Unknown},
};
