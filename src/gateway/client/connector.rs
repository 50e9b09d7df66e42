//! A connection that is ready for requests, within a time.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use http::Uri;
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use rustls::ClientConfig;
use tokio::time::timeout;
use tower_service::Service;

use super::dial::{Dial, Dialled, Link};
use crate::message::BoxError;

/// Bounds all steps together: a name that does not resolve, a proxy that does not answer and a handshake that does not end
/// are one and the same to who waits.
#[derive(Clone)]
pub(super) struct Connector {
    inner: HttpsConnector<Dial>,
    within: Duration,
}

impl Connector {
    pub(super) fn new(dial: Dial, tls: ClientConfig, within: Duration) -> Self {
        Self {
            inner: HttpsConnector::from((dial, tls)),
            within,
        }
    }
}

impl Service<Uri> for Connector {
    type Response = Link<MaybeHttpsStream<Dialled>>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let (connecting, within) = (self.inner.call(to), self.within);
        Box::pin(async move {
            let connected = timeout(within, connecting).await.unwrap_or_else(|_| {
                let message = format!("not connected within {within:?}");
                Err(io::Error::new(io::ErrorKind::TimedOut, message).into())
            });
            Ok(Link::new(connected?, false))
        })
    }
}
