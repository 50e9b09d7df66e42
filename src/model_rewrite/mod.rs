#![doc = include_str!("../docs/model_rewrite.md")]

mod answer;
mod checks;
mod control;
mod draft;
mod fit;
mod future;
mod json;
mod layer;
mod params;
mod report;
mod rule;
mod service;
mod state;
#[cfg(test)]
mod tests;

pub use self::{
    checks::{Checks, Window},
    future::ModelRewriteFuture,
    layer::{ModelRewriteBuilder, ModelRewriteHandle, ModelRewriteLayer},
    report::{X_RELAY_CLAMPED_PARAMS, X_RELAY_DROPPED_PARAMS},
    rule::ParamRule,
    service::ModelRewrite,
    state::{Aliases, Unknown},
};
