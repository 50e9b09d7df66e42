#![doc = include_str!("../docs/shadow.md")]

mod builder;
mod comparison;
mod content;
mod control;
mod counters;
mod future;
mod layer;
mod pair;
mod report;
mod service;
mod similarity;
mod sink;
#[cfg(test)]
mod tests;
mod worker;

pub use self::{
    builder::ShadowBuilder,
    comparison::{Comparison, Side, ToolCall},
    future::ShadowFuture,
    layer::{ShadowHandle, ShadowLayer},
    report::{Gate, Report, SideReport, Verdict},
    service::{Shadow, X_RELAY_SHADOW},
    similarity::{Similarity, WordOverlap},
    sink::{ComparisonSink, JsonlSink},
};
