//! The HTTP client of an upstream: hyper-util's, over TLS by rustls or plain, direct or through a proxy.

mod config;
mod connector;
mod dial;
mod proxy;
#[cfg(test)]
mod tests;
mod tls;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use http::{HeaderValue, Request, Response, header, uri::Scheme};
use hyper::body::Incoming;
use hyper_util::client::legacy::{self, Error, ResponseFuture};
use tower_service::Service;

pub use self::{
    config::{ClientConfig, HttpVersion},
    proxy::ProxyConfig,
};

use self::connector::Connector;
use crate::message::RequestBody;

type Pool = legacy::Client<Connector, RequestBody>;

/// The client of one upstream, made by [`ClientConfig::build`]: the innermost service of its stack.
///
/// Clones share its connections. Dropping a response's future or body frees its HTTP/1 connection by closing it, and
/// resets its HTTP/2 stream.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

struct Shared {
    first: Pool,
    /// Where one HTTP/2 connection would not be enough: each pool keeps one.
    more: Box<[Pool]>,
    turn: AtomicUsize,
    /// For what is asked of a proxy in plain HTTP; a tunnel is asked for once, when it is made.
    proxy_authorization: Option<HeaderValue>,
}

impl Client {
    fn new(
        pool: impl Fn() -> Pool,
        pools: usize,
        proxy_authorization: Option<HeaderValue>,
    ) -> Self {
        let first = pool();
        let more = (1..pools).map(|_| pool()).collect();
        let shared = Shared {
            first,
            more,
            turn: AtomicUsize::new(0),
            proxy_authorization,
        };
        Self {
            shared: Arc::new(shared),
        }
    }
}

impl Shared {
    /// The pools in turn.
    fn pool(&self) -> &Pool {
        if self.more.is_empty() {
            return &self.first;
        }
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % (self.more.len() + 1);
        self.more.get(turn).unwrap_or(&self.first)
    }
}

impl Service<Request<RequestBody>> for Client {
    type Response = Response<Incoming>;
    type Error = Error;
    type Future = ResponseFuture;

    /// Always ready: a request that finds no idle connection makes one.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<RequestBody>) -> ResponseFuture {
        if let Some(authorization) = &self.shared.proxy_authorization
            && request.uri().scheme() == Some(&Scheme::HTTP)
        {
            request
                .headers_mut()
                .insert(header::PROXY_AUTHORIZATION, authorization.clone());
        }
        self.shared.pool().request(request)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("pools", &(self.shared.more.len() + 1))
            .finish_non_exhaustive()
    }
}
