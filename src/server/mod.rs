//! The outer edge: what stands between callers and a stack.
//!
//! [`EdgeLayer`] turns any HTTP request into one that the layers can read, and every error into a response.
//! [`Models`] and [`Health`] are the small services that a relay's clients ask for beside it.

mod edge;
mod health;
mod json;
#[cfg(feature = "metrics")]
#[cfg_attr(docsrs, doc(cfg(feature = "metrics")))]
mod metrics;
mod models;
pub mod tenants;

#[cfg(feature = "metrics")]
pub use self::metrics::{Metrics, Prometheus};
pub use self::{
    edge::{Edge, EdgeBuilder, EdgeFuture, EdgeLayer},
    health::Health,
    models::{Model, Models},
};
