#![doc = include_str!("../docs/telemetry.md")]

mod attempt;
mod contents;
pub mod conventions;
mod exchange;
mod future;
mod labels;
mod layer;
#[cfg(feature = "metrics")]
mod metrics;
#[cfg(feature = "otlp")]
mod otel;
mod propagation;
mod provider;
mod service;
mod span;
#[cfg(test)]
mod tests;

#[cfg(feature = "metrics")]
#[cfg_attr(docsrs, doc(cfg(feature = "metrics")))]
pub use self::metrics::sample;
pub use self::{
    attempt::{AttemptObserver, AttemptObserverFuture, AttemptObserverLayer},
    exchange::X_RESPONSE_TIME_MS,
    future::TelemetryFuture,
    layer::{TelemetryBuilder, TelemetryLayer},
    service::Telemetry,
};
