//! The outer edge: what stands between callers and a stack.
//!
//! [`EdgeLayer`] turns any HTTP request into one that the layers can read, and every error into a response.
//! [`Models`] and [`Health`] are the small services that a relay's clients ask for beside it, `status` and `admin` for those who run it; [`HeaderNamesLayer`] gives the headers of
//! answers other names.

#[cfg(feature = "admin")]
pub mod admin;
#[cfg(feature = "admin")]
pub mod alerts;
mod answer;
#[cfg(feature = "admin")]
pub mod dashboard;
mod edge;
#[cfg(feature = "admin")]
mod facts;
pub mod feedback;
mod header_names;
mod health;
#[cfg(feature = "metrics")]
#[cfg_attr(docsrs, doc(cfg(feature = "metrics")))]
mod metrics;
mod models;
#[cfg(feature = "admin")]
pub mod status;
pub mod tenants;

#[cfg(feature = "admin")]
pub use self::facts::Facts;
#[cfg(all(feature = "gateway", feature = "otlp"))]
pub(crate) use self::metrics::{Metric, Point, Reading};
#[cfg(feature = "metrics")]
pub use self::metrics::{Metrics, Prometheus};
pub use self::{
    edge::{Edge, EdgeBuilder, EdgeFuture, EdgeLayer},
    header_names::{HeaderNames, HeaderNamesLayer, Renamed, RenamedFuture},
    health::{Health, Ready},
    models::{Model, Models},
};
