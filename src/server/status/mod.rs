#![doc = include_str!("../../docs/status.md")]

mod builder;
mod page;
mod refusals;
mod report;
mod savings;
mod service;
mod spend;
mod stream;
#[cfg(test)]
mod tests;

pub use self::{
    builder::StatusBuilder,
    page::{Status, StatusFuture},
    refusals::{NotedFuture, Noting, Refusal, RefusalCount, Refusals, RefusalsReport},
    report::{Replica, Report},
    savings::Saving,
    spend::{Group, Spend},
    stream::{StatusStream, StatusStreamBuilder},
};
