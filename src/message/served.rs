//! Who answered.

use std::sync::Arc;

use http::HeaderName;

/// The header that names the upstream that answered.
pub const X_RELAY_UPSTREAM: HeaderName = HeaderName::from_static("x-relay-upstream");

/// Which upstream answered, with which model and credential. Stands in the extensions of every answer that came
/// through an [`UpstreamLayer`](crate::client::UpstreamLayer).
///
/// Prices, headers and audits go by what served, never by what was asked for.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served {
    /// The upstream's name.
    pub upstream: Arc<str>,
    /// The model that the upstream was asked for, after all rewriting; `None` when no layer had to read the request.
    pub model: Option<Arc<str>>,
    /// The name of the credential that was used, where it has one. Never the credential itself.
    pub credential: Option<Arc<str>>,
    /// Where it was sent: a host, with its port where that is not the scheme's own.
    pub host: Option<Arc<str>>,
}

impl Served {
    /// An answer of `upstream`.
    pub fn by(upstream: Arc<str>) -> Self {
        Self {
            upstream,
            model: None,
            credential: None,
            host: None,
        }
    }
}
