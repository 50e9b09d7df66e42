use std::{path::PathBuf, time::Duration};

use http::{Uri, uri::Scheme};
use hyper_util::{
    client::legacy,
    rt::{TokioExecutor, TokioTimer},
};
use serde::Deserialize;

use super::{Client, ProxyConfig, connector::Connector, dial::Dial, tls};
use crate::{message::ConfigError, wire::units};

/// How an upstream is connected to.
///
/// Spans of time deserialize from text with a unit, such as `"250ms"`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ClientConfig {
    /// How long a connection may take to be made, from the look-up of its name to the end of the TLS handshake: 5 s by
    /// default. Then the request is answered 504.
    #[serde(deserialize_with = "units::duration")]
    pub connect_timeout: Duration,
    /// Which versions of HTTP are spoken.
    pub http: HttpVersion,
    /// How many pools of connections there are, which requests use in turn: 1 by default, 64 at most.
    ///
    /// An HTTP/2 pool is one connection: with many streams at a time, or an upstream that allows few on each, more of
    /// them help. HTTP/1 pools grow as needed.
    pub connections: usize,
    /// The most idle HTTP/1 connections that are kept for reuse, in each pool: 256 by default.
    pub pool_max_idle: usize,
    /// How long an idle connection is kept: 55 s by default, less than the minute after which most load balancers close
    /// it.
    #[serde(deserialize_with = "units::duration")]
    pub pool_idle_timeout: Duration,
    /// How often an HTTP/2 connection with open streams is pinged: every 20 s by default; zero turns it off.
    #[serde(deserialize_with = "units::duration")]
    pub http2_ping_interval: Duration,
    /// How long a ping may take to be answered until the connection is given up: 10 s by default.
    #[serde(deserialize_with = "units::duration")]
    pub http2_ping_timeout: Duration,
    /// How long a connection is silent until the kernel asks whether the other side is still there: 60 s by default;
    /// zero turns it off.
    #[serde(deserialize_with = "units::duration")]
    pub tcp_keepalive: Duration,
    /// A file of certificates (PEM) to trust beside Mozilla's.
    pub ca_file: Option<PathBuf>,
    /// Through which proxy to connect.
    pub proxy: ProxyConfig,
}

/// Which versions of HTTP a client speaks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum HttpVersion {
    /// HTTP/2 where the upstream chooses it in the TLS handshake (ALPN), else HTTP/1.1. Over plain TCP always HTTP/1.1.
    #[default]
    Auto,
    /// HTTP/1.1: each request that is under way has a connection of its own.
    Http1,
    /// HTTP/2, over plain TCP too.
    Http2,
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            http: HttpVersion::default(),
            connections: 1,
            pool_max_idle: 256,
            pool_idle_timeout: Duration::from_secs(55),
            http2_ping_interval: Duration::from_secs(20),
            http2_ping_timeout: Duration::from_secs(10),
            tcp_keepalive: Duration::from_secs(60),
            ca_file: None,
            proxy: ProxyConfig::default(),
        }
    }
}

impl ClientConfig {
    /// A client for the upstream at `origin`, of which scheme and authority are looked at. Nothing is connected yet.
    ///
    /// # Errors
    ///
    /// When a number is out of its range, a certificate cannot be read, or the proxy cannot be used.
    pub fn build(&self, origin: &Uri) -> Result<Client, ConfigError> {
        let nonzero = [
            ("connect_timeout", self.connect_timeout),
            ("pool_idle_timeout", self.pool_idle_timeout),
            ("http2_ping_timeout", self.http2_ping_timeout),
        ];
        for (field, within) in nonzero {
            if within.is_zero() {
                return Err(ConfigError::new(field, "must be longer than zero"));
            }
        }
        if !(1..=64).contains(&self.connections) {
            return Err(ConfigError::new("connections", "must be between 1 and 64"));
        }
        let proxy = self.proxy.intercept(origin)?;
        let is_plain = origin.scheme() == Some(&Scheme::HTTP);
        if is_plain && proxy.is_some() && self.http == HttpVersion::Http2 {
            return Err(ConfigError::new(
                "http",
                "a proxy takes plain requests over HTTP/1 only",
            ));
        }

        let roots = tls::roots(self.ca_file.as_deref())?;
        let authorization = proxy.as_ref().and_then(|proxy| proxy.basic_auth().cloned());
        let dial = Dial::new(
            proxy,
            tls::config(&roots, HttpVersion::Http1)?,
            optional(self.tcp_keepalive),
        );
        let connector = Connector::new(dial, tls::config(&roots, self.http)?, self.connect_timeout);
        let pool = || {
            legacy::Client::builder(TokioExecutor::new())
                .timer(TokioTimer::new())
                .pool_timer(TokioTimer::new())
                .pool_idle_timeout(self.pool_idle_timeout)
                .pool_max_idle_per_host(self.pool_max_idle)
                .http2_only(self.http == HttpVersion::Http2)
                .http2_keep_alive_interval(optional(self.http2_ping_interval))
                .http2_keep_alive_timeout(self.http2_ping_timeout)
                .build(connector.clone())
        };
        Ok(Client::new(
            pool,
            self.connections,
            authorization.filter(|_| is_plain),
        ))
    }
}

fn optional(span: Duration) -> Option<Duration> {
    (!span.is_zero()).then_some(span)
}
