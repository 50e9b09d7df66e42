//! Connections that can be reset: in memory, and real ones.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
};

use hyper_util::client::legacy::connect::{Connected, Connection};
use tokio::{
    io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf, duplex},
    net::TcpStream,
};

/// As much is in flight in each direction of a connection in memory, in bytes.
const IN_FLIGHT: usize = 64 << 10;

/// A connection as the upstream has it.
pub(crate) trait Wire: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    /// Ends it so that the client reads an error, not an end.
    fn reset(self);
}

impl Wire for TcpStream {
    fn reset(self) {
        // Without it the client reads an end: the scenario would fail, which says it.
        let _ = self.set_zero_linger();
    }
}

/// One end of a connection in memory.
pub(crate) struct Line {
    stream: DuplexStream,
    was_reset: Arc<AtomicBool>,
}

impl Line {
    /// Both ends of a connection.
    pub(crate) fn pair() -> (Self, Self) {
        let (one, other) = duplex(IN_FLIGHT);
        let was_reset = Arc::new(AtomicBool::new(false));
        let line = |stream| Self {
            stream,
            was_reset: Arc::clone(&was_reset),
        };
        (line(one), line(other))
    }
}

impl Wire for Line {
    fn reset(self) {
        self.was_reset.store(true, Ordering::SeqCst);
    }
}

impl AsyncRead for Line {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        if buf.filled().len() == before && self.was_reset.load(Ordering::SeqCst) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Line {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// A connection as the relay's client has it.
pub(crate) enum ClientWire {
    Memory(Line),
    Socket(TcpStream),
}

impl Connection for ClientWire {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl AsyncRead for ClientWire {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Memory(line) => Pin::new(line).poll_read(cx, buf),
            Self::Socket(socket) => Pin::new(socket).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for ClientWire {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Memory(line) => Pin::new(line).poll_write(cx, data),
            Self::Socket(socket) => Pin::new(socket).poll_write(cx, data),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Memory(line) => Pin::new(line).poll_flush(cx),
            Self::Socket(socket) => Pin::new(socket).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Memory(line) => Pin::new(line).poll_shutdown(cx),
            Self::Socket(socket) => Pin::new(socket).poll_shutdown(cx),
        }
    }
}
