//! `/metrics`: what is counted, as Prometheus reads it.

mod family;
mod prometheus;
mod render;
mod service;
#[cfg(test)]
mod tests;

pub use self::{prometheus::Prometheus, service::Metrics};
