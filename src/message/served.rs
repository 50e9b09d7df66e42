//! Who answered.

use std::sync::Arc;

use http::{HeaderName, HeaderValue, Response};

/// The header that names the upstream that answered; and, on a request, the one that is asked for where a
/// [split](crate::traffic_split) allows that.
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

/// Says in the head of an answer who gave it: what served it, or else the target called `name`, which `header` spells.
pub(crate) fn name_upstream<B>(
    response: &mut Response<B>,
    name: &str,
    header: Option<&HeaderValue>,
) {
    let served = response.extensions().get::<Served>();
    let served = served.filter(|served| &*served.upstream != name);
    let served = served.and_then(|served| HeaderValue::from_str(&served.upstream).ok());
    if let Some(header) = served.or_else(|| header.cloned()) {
        response.headers_mut().insert(X_RELAY_UPSTREAM, header);
    }
}
