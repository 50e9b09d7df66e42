//! How the relay's client reaches a scripted upstream.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpListener, TcpStream},
    time::sleep,
};
use tower::Service;

use super::{
    script::Step,
    upstream::Upstream,
    wire::{ClientWire, Line},
};

/// Connects to one upstream, wherever it is asked to.
#[derive(Clone)]
pub(crate) struct Connect {
    upstream: Arc<Upstream>,
    address: Option<SocketAddr>,
}

impl Connect {
    /// By connections in memory.
    pub(crate) fn in_memory(upstream: &Arc<Upstream>) -> Self {
        Self {
            upstream: Arc::clone(upstream),
            address: None,
        }
    }

    /// By real ones, to where the upstream listens.
    pub(crate) fn by_sockets(upstream: &Arc<Upstream>, address: SocketAddr) -> Self {
        Self {
            upstream: Arc::clone(upstream),
            address: Some(address),
        }
    }

    async fn connect(self) -> io::Result<TokioIo<ClientWire>> {
        let next = self.upstream.peek();
        let wire = match (next.first(), self.address) {
            (Some(Step::Refuse), None) => {
                self.upstream.next();
                return Err(io::ErrorKind::ConnectionRefused.into());
            }
            (Some(Step::Refuse), Some(_)) => {
                self.upstream.next();
                ClientWire::Socket(TcpStream::connect(nobody().await?).await?)
            }
            (first, None) => {
                let call = self.upstream.next();
                if let Some(Step::AcceptAfterMs(ms)) = first {
                    sleep(Duration::from_millis(*ms)).await;
                }
                let (ours, theirs) = Line::pair();
                tokio::spawn(self.upstream.serve(theirs, Some(call)));
                ClientWire::Memory(ours)
            }
            (_, Some(address)) => {
                let socket = TcpStream::connect(address).await?;
                socket.set_nodelay(true)?;
                ClientWire::Socket(socket)
            }
        };
        Ok(TokioIo::new(wire))
    }
}

/// An address where nobody listens.
async fn nobody() -> io::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    listener.local_addr()
}

impl Service<Uri> for Connect {
    type Response = TokioIo<ClientWire>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<TokioIo<ClientWire>>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        Box::pin(self.clone().connect())
    }
}
