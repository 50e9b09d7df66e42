//! The proxy to be measured against: as little between server and client as a correct answer allows.

use std::mem;

use http::uri::{Authority, Scheme};
use http::{HeaderValue, Request, Response, Uri, header};
use hyper::body::Incoming;
use hyper::service::Service;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{self, Client, ResponseFuture};

use crate::server;

/// Sends each request on to one upstream. Bodies pass both ways as hyper reads them; only the URI and `host` change.
#[derive(Clone, Debug)]
pub(crate) struct Bare {
    client: Client<HttpConnector, Incoming>,
    upstream: Authority,
    host: HeaderValue,
}

impl Bare {
    /// `upstream` is a host and port.
    pub(crate) fn new(upstream: &str) -> Self {
        Self {
            client: server::client(),
            upstream: upstream.parse().expect("an authority"),
            host: upstream.parse().expect("a header value"),
        }
    }
}

impl Service<Request<Incoming>> for Bare {
    type Response = Response<Incoming>;
    type Error = legacy::Error;
    type Future = ResponseFuture;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        let mut uri = mem::take(request.uri_mut()).into_parts();
        uri.scheme = Some(Scheme::HTTP);
        uri.authority = Some(self.upstream.clone());
        *request.uri_mut() = Uri::from_parts(uri).expect("a path, now with an authority");
        request
            .headers_mut()
            .insert(header::HOST, self.host.clone());
        self.client.request(request)
    }
}
