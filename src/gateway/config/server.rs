use std::time::Duration;

use http::{HeaderValue, header};
use serde::Deserialize;
use tower_http::cors::{AllowHeaders, AllowMethods, AllowOrigin, Any, CorsLayer};

use crate::{
    message::ConfigError, server::HeaderNames, telemetry::X_RESPONSE_TIME_MS, wire::units,
};

/// How callers are served.
///
/// Spans of time deserialize from text with a unit, such as `"30s"`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ServerConfig {
    /// How long the head of a request may take, from its first byte to its last: 10 s by default. Then the connection is
    /// closed.
    #[serde(deserialize_with = "units::duration")]
    pub header_timeout: Duration,
    /// How long a connection is kept that no request is on: 75 s by default, more than the minute for which most load
    /// balancers keep theirs. It may become twice as long. Also how long a caller may take nothing of an answer that is
    /// there to be taken: then the connection is closed.
    #[serde(deserialize_with = "units::duration")]
    pub idle_timeout: Duration,
    /// How long answers may go on after the shutdown began: 30 s by default. Then their connections are closed. Workers have
    /// 5 s more to finish what they have in hand.
    #[serde(deserialize_with = "units::duration")]
    pub shutdown_timeout: Duration,
    /// The most connections at a time: 10 000 by default. More wait in the kernel's backlog.
    pub max_connections: usize,
    /// Whether HTTP/2 is spoken beside HTTP/1.1, with callers who know in advance: on by default.
    pub http2: bool,
    /// Whether a line is logged for each answer when it has ended: upstream, model, status, tokens, times; never what was said. Off
    /// by default: reading what an answer used takes a microsecond or two.
    pub access_log: bool,
    /// Under which names answers say what the relay did.
    pub headers: HeaderNames,
    /// Which pages in browsers may call.
    pub cors: CorsConfig,
}

/// Which pages in browsers may call the gateway (CORS).
///
/// Any method and header is allowed, cookies are not: a page that may call brings a key.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct CorsConfig {
    /// Off by default: browsers then let no page of another origin call.
    pub enabled: bool,
    /// The origins that may, such as `https://app.example.com`, or `*` for all.
    pub origins: Vec<String>,
    /// How long a browser may remember the answer: an hour by default.
    #[serde(deserialize_with = "units::duration")]
    pub max_age: Duration,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            shutdown_timeout: Duration::from_secs(30),
            max_connections: 10_000,
            http2: true,
            access_log: false,
            headers: HeaderNames::default(),
            cors: CorsConfig::default(),
        }
    }
}

impl Default for CorsConfig {
    fn default() -> Self {
        Self {
            enabled: false,
            origins: Vec::new(),
            max_age: Duration::from_secs(3600),
        }
    }
}

impl ServerConfig {
    /// Who in browsers may call.
    ///
    /// # Errors
    ///
    /// When a bound is zero, or an allowed origin is none.
    pub(crate) fn cors(&self) -> Result<Option<CorsLayer>, ConfigError> {
        for (field, within) in [
            ("header_timeout", self.header_timeout),
            ("idle_timeout", self.idle_timeout),
        ] {
            if within.is_zero() {
                return Err(ConfigError::new(field, "must be longer than zero"));
            }
        }
        if self.max_connections == 0 {
            return Err(ConfigError::new("max_connections", "must be at least 1"));
        }
        self.cors
            .layer(&self.headers)
            .map_err(|error| error.within("cors"))
    }

    /// The fields that are looked at once, when the server starts, and that are not as in `other`.
    pub(crate) fn differs_at_start(&self, other: &Self) -> impl Iterator<Item = &'static str> {
        let fields = [
            (
                "header_timeout",
                self.header_timeout == other.header_timeout,
            ),
            ("idle_timeout", self.idle_timeout == other.idle_timeout),
            (
                "shutdown_timeout",
                self.shutdown_timeout == other.shutdown_timeout,
            ),
            (
                "max_connections",
                self.max_connections == other.max_connections,
            ),
            ("http2", self.http2 == other.http2),
        ];
        let changed = fields.into_iter().filter(|(_, is_same)| !is_same);
        changed.map(|(field, _)| field)
    }
}

impl CorsConfig {
    /// The layer, where it is enabled; pages are shown the headers of these `names`.
    fn layer(&self, names: &HeaderNames) -> Result<Option<CorsLayer>, ConfigError> {
        if !self.enabled {
            return Ok(None);
        }
        let fail = |reason: String| Err(ConfigError::new("origins", reason));
        let origins = match self.origins.as_slice() {
            [] => return fail("must name who may call, or \"*\"".to_owned()),
            [all] if all == "*" => AllowOrigin::from(Any),
            origins => {
                let mut values = Vec::new();
                for origin in origins {
                    match origin.parse::<HeaderValue>() {
                        Ok(value) if is_origin(origin) => values.push(value),
                        _ => {
                            return fail(format!(
                                "{origin:?} is not an origin, such as \"https://app.example.com\""
                            ));
                        }
                    }
                }
                AllowOrigin::list(values)
            }
        };
        let mut shown = names.all();
        for other in [X_RESPONSE_TIME_MS, header::RETRY_AFTER] {
            if !shown.contains(&other) {
                shown.push(other);
            }
        }
        // Mirrored, because a `*` in the answer would not cover `authorization`.
        let layer = CorsLayer::new()
            .allow_origin(origins)
            .allow_methods(AllowMethods::mirror_request())
            .allow_headers(AllowHeaders::mirror_request())
            .expose_headers(shown)
            .max_age(self.max_age);
        Ok(Some(layer))
    }
}

/// A scheme and a host, and nothing behind them: what browsers send, to the letter.
fn is_origin(text: &str) -> bool {
    let host = text.split_once("://").map_or("", |(_, host)| host);
    !host.is_empty() && !host.contains(['/', '*', '?', '#', '@'])
}
