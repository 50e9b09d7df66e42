//! `/metrics`: what is counted, as Prometheus reads it.

mod family;
mod prometheus;
mod render;
mod service;
#[cfg(all(feature = "gateway", feature = "otlp"))]
mod snapshot;
#[cfg(test)]
mod tests;

#[cfg(all(feature = "gateway", feature = "otlp"))]
pub(crate) use self::snapshot::{Metric, Point, Reading};
pub use self::{prometheus::Prometheus, service::Metrics};
