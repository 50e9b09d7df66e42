#![doc = include_str!("../docs/normalize.md")]

mod api;
#[cfg(test)]
mod api_tests;
mod asked;
mod choice;
mod choices;
mod completions;
mod conform;
mod embeddings;
mod errors;
mod events;
mod finish;
mod future;
mod head;
mod layer;
mod models;
mod native;
mod policy;
mod reading;
mod reasoning;
mod repairs;
mod service;
mod stream;
mod summary;
mod tally;
#[cfg(test)]
mod tests;
mod think;
mod tool_calls;
mod unrolled;
mod usage;
mod whole;

pub use self::{
    conform::conforms,
    errors::OriginalAnswer,
    future::ResponseNormalizeFuture,
    layer::{ResponseNormalizeHandle, ResponseNormalizeLayer},
    policy::{NormalizePolicy, ResponseNormalizeBuilder},
    reasoning::Reasoning,
    repairs::Repair,
    service::ResponseNormalize,
    summary::ChatSummary,
};
