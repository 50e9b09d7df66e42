#![doc = include_str!("../docs/normalize.md")]

mod asked;
mod choice;
mod choices;
mod conform;
mod errors;
mod events;
mod finish;
mod future;
mod head;
mod layer;
mod parts;
mod policy;
mod reading;
mod repairs;
mod service;
mod stream;
mod tally;
#[cfg(test)]
mod tests;
mod tool_calls;
mod usage;
mod whole;

pub use self::{
    conform::conforms,
    errors::OriginalAnswer,
    future::ResponseNormalizeFuture,
    layer::{ResponseNormalizeHandle, ResponseNormalizeLayer},
    policy::{NormalizePolicy, ResponseNormalizeBuilder},
    repairs::Repair,
    service::ResponseNormalize,
};
