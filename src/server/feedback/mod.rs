#![doc = include_str!("../../docs/feedback.md")]

mod ask;
mod control;
mod future;
mod layer;
mod service;
mod state;
#[cfg(test)]
mod tests;
mod worker;

pub use self::{
    future::FeedbackFuture,
    layer::{FeedbackBuilder, FeedbackHandle, FeedbackLayer, UpstreamScore},
    service::FeedbackService,
};
