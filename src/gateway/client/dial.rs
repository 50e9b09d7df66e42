//! A connection to an upstream or to its proxy, before any TLS of the upstream's.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use http::{Uri, uri::Scheme};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::{
    client::{
        legacy::connect::{Connected, Connection, HttpConnector, proxy::Tunnel},
        proxy::matcher::Intercept,
    },
    rt::TokioIo,
};
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tower_service::Service;

use crate::message::BoxError;

/// Connects directly, through a tunnel of a proxy (to an `https` upstream), or to a proxy that passes on what it is asked
/// (to an `http` one).
#[derive(Clone)]
pub(super) struct Dial {
    tcp: HttpConnector,
    proxy: Option<(HttpsConnector<HttpConnector>, Intercept)>,
}

/// Such a connection.
pub(super) type Dialled = Link<MaybeHttpsStream<TokioIo<TcpStream>>>;

/// A connection in a box: what may hold the state of TLS is large, and a client's futures hold it in several places while they connect.
pub(super) struct Link<T> {
    stream: Box<T>,
    /// Whether requests name the whole URI, because a proxy reads them.
    is_proxied: bool,
}

impl Dial {
    /// `tls` is spoken with the proxy, where that wants TLS.
    pub(super) fn new(
        proxy: Option<Intercept>,
        tls: ClientConfig,
        keepalive: Option<Duration>,
    ) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_keepalive(keepalive);
        let proxy = proxy.map(|proxy| (HttpsConnector::from((tcp.clone(), tls)), proxy));
        Self { tcp, proxy }
    }
}

impl Service<Uri> for Dial {
    type Response = Dialled;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Dialled, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        match &mut self.proxy {
            Some((connector, _)) => connector.poll_ready(cx),
            None => self.tcp.poll_ready(cx).map_err(Into::into),
        }
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let Some((connector, proxy)) = &mut self.proxy else {
            let connecting = self.tcp.call(to);
            return Box::pin(async move {
                Ok(Link::new(MaybeHttpsStream::Http(connecting.await?), false))
            });
        };
        if to.scheme() == Some(&Scheme::HTTP) {
            let connecting = connector.call(proxy.uri().clone());
            return Box::pin(async move { Ok(Link::new(connecting.await?, true)) });
        }
        let mut tunnel = Tunnel::new(proxy.uri().clone(), connector.clone());
        if let Some(authorization) = proxy.basic_auth() {
            tunnel = tunnel.with_auth(authorization.clone());
        }
        let connecting = tunnel.call(to);
        Box::pin(async move { Ok(Link::new(connecting.await?, false)) })
    }
}

impl<T> Link<T> {
    pub(super) fn new(stream: T, is_proxied: bool) -> Self {
        Self {
            stream: Box::new(stream),
            is_proxied,
        }
    }
}

impl<T: Connection> Connection for Link<T> {
    fn connected(&self) -> Connected {
        let connected = self.stream.connected();
        if self.is_proxied {
            connected.proxy(true)
        } else {
            connected
        }
    }
}

impl<T: Read + Unpin> Read for Link<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<T: Write + Unpin> Write for Link<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
