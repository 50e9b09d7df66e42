use std::{collections::BTreeMap, sync::Arc, time::Duration};

use http::Request;
use serde::Deserialize;
use tower_layer::Layer;

use super::Edge;
use crate::{
    message::{ConfigError, Endpoint, HeldCap},
    wire::units,
};

/// Lets any HTTP request in and every error out as a response. See [`EdgeBuilder`] for what it bounds.
///
/// Outermost in a stack: what it wraps gets a [`RequestBody`](crate::message::RequestBody), what wraps it gets
/// `Infallible`.
#[derive(Debug, Clone)]
pub struct EdgeLayer {
    shared: Arc<Shared>,
}

/// The bounds of an [`EdgeLayer`]; also its configuration.
///
/// Sizes deserialize from bytes or text such as `"16MiB"`, spans of time from text such as `"30s"`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EdgeBuilder {
    #[serde(deserialize_with = "units::bytes")]
    max_body: u64,
    max_body_by_endpoint: BTreeMap<Endpoint, Size>,
    #[serde(deserialize_with = "units::bytes")]
    max_held: u64,
    #[serde(deserialize_with = "units::duration")]
    body_timeout: Duration,
    #[serde(deserialize_with = "units::duration")]
    deadline: Duration,
    guard_all: bool,
}

/// A size within a map, where `deserialize_with` does not reach.
#[derive(Debug, Clone, PartialEq, Copy, Deserialize)]
#[serde(transparent)]
struct Size(#[serde(deserialize_with = "units::bytes")] u64);

/// What all services of one layer share.
#[derive(Debug)]
pub(super) struct Shared {
    config: EdgeBuilder,
    pub(super) held: Arc<HeldCap>,
}

impl Default for EdgeBuilder {
    fn default() -> Self {
        Self {
            max_body: 16 << 20,
            max_body_by_endpoint: BTreeMap::new(),
            max_held: 1 << 30,
            body_timeout: Duration::from_secs(30),
            deadline: Duration::from_secs(30 * 60),
            guard_all: false,
        }
    }
}

impl EdgeBuilder {
    /// The largest JSON body that is taken, in bytes: 16 MiB by default. A larger one is refused with 413.
    pub fn max_body(mut self, bytes: u64) -> Self {
        self.max_body = bytes;
        self
    }

    /// The same for one endpoint.
    pub fn max_body_for(mut self, endpoint: Endpoint, bytes: u64) -> Self {
        self.max_body_by_endpoint.insert(endpoint, Size(bytes));
        self
    }

    /// The most bytes of JSON bodies that all requests together may hold at a time: 1 GiB by default. Past it new
    /// ones are refused with 503.
    pub fn max_held(mut self, bytes: u64) -> Self {
        self.max_held = bytes;
        self
    }

    /// How long a JSON body may take to arrive: 30 s by default, then 408.
    pub fn body_timeout(mut self, within: Duration) -> Self {
        self.body_timeout = within;
        self
    }

    /// How long a request may take as a whole, from its head to the last byte of its answer: 30 minutes by default.
    /// Before the answer's head it ends in a 504, after it in a broken body.
    pub fn deadline(mut self, within: Duration) -> Self {
        self.deadline = within;
        self
    }

    /// Whether routes that are no LLM endpoint get a request id and a deadline as well. Off by default, so that the
    /// other routes of an existing application pass untouched; a gateway, whose every route leads to an upstream,
    /// turns it on. An endpoint's path then needs no version either: `/embeddings` is `/v1/embeddings`.
    pub fn guard_all(mut self, guard: bool) -> Self {
        self.guard_all = guard;
        self
    }

    /// The layer.
    ///
    /// # Errors
    ///
    /// When a bound is zero, or one body may be larger than all together.
    pub fn build(self) -> Result<EdgeLayer, ConfigError> {
        let largest = self
            .max_body_by_endpoint
            .values()
            .map(|size| size.0)
            .chain([self.max_body])
            .max();
        for (field, bytes) in [("max_body", self.max_body), ("max_held", self.max_held)] {
            if bytes == 0 {
                return Err(ConfigError::new(field, "must be at least one byte"));
            }
        }
        for (endpoint, size) in &self.max_body_by_endpoint {
            if size.0 == 0 {
                let error = ConfigError::new(endpoint.as_str(), "must be at least one byte");
                return Err(error.within("max_body_by_endpoint"));
            }
        }
        if largest > Some(self.max_held) {
            return Err(ConfigError::new(
                "max_held",
                "is smaller than the largest single body that is allowed: raise it, or lower max_body",
            ));
        }
        for (field, within) in [
            ("body_timeout", self.body_timeout),
            ("deadline", self.deadline),
        ] {
            if within.is_zero() {
                return Err(ConfigError::new(field, "must be longer than zero"));
            }
        }
        let held = HeldCap::new(self.max_held);
        Ok(EdgeLayer {
            shared: Arc::new(Shared { config: self, held }),
        })
    }
}

impl EdgeLayer {
    /// Bounds to set before [`build`](EdgeBuilder::build).
    pub fn builder() -> EdgeBuilder {
        EdgeBuilder::default()
    }
}

impl Default for EdgeLayer {
    fn default() -> Self {
        let config = EdgeBuilder::default();
        let held = HeldCap::new(config.max_held);
        Self {
            shared: Arc::new(Shared { config, held }),
        }
    }
}

impl Shared {
    pub(super) fn max_body(&self, endpoint: Endpoint) -> u64 {
        self.config
            .max_body_by_endpoint
            .get(&endpoint)
            .map_or(self.config.max_body, |size| size.0)
    }

    pub(super) fn body_timeout(&self) -> Duration {
        self.config.body_timeout
    }

    pub(super) fn deadline(&self) -> Duration {
        self.config.deadline
    }

    /// What `request` calls. Where every route leads to an upstream, whose address may bring the version, `/embeddings` is no
    /// application's own route.
    pub(super) fn endpoint<B>(&self, request: &mut Request<B>) -> Endpoint {
        let endpoint = Endpoint::of(request);
        if endpoint != Endpoint::Other
            || !self.config.guard_all
            || request.extensions().get::<Endpoint>().is_some()
        {
            return endpoint;
        }
        let versioned = ["/v1", request.uri().path()].concat();
        let endpoint = Endpoint::from_path(request.method(), &versioned);
        if endpoint != Endpoint::Other {
            request.extensions_mut().insert(endpoint);
        }
        endpoint
    }

    pub(super) fn guards(&self, endpoint: Endpoint) -> bool {
        self.config.guard_all || endpoint != Endpoint::Other
    }
}

impl<S> Layer<S> for EdgeLayer {
    type Service = Edge<S>;

    fn layer(&self, inner: S) -> Edge<S> {
        Edge::new(inner, Arc::clone(&self.shared))
    }
}
