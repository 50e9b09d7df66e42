//! An upstream that does what a script says, down to the bytes.

use std::{
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use memchr::memmem;
use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split},
    net::TcpListener,
    time::sleep,
};

use super::{
    answer,
    gauge::Gauge,
    script::{self, Call, Often, Payload, Script, Step},
    wire::Wire,
};

/// One upstream, on as many connections as there are.
#[derive(Debug)]
pub(crate) struct Upstream {
    state: Mutex<State>,
    busy: AtomicUsize,
    gauge: Arc<Gauge>,
}

#[derive(Debug)]
struct State {
    script: Script,
    calls: usize,
}

/// How a call ended.
enum Ended {
    /// The connection may be used again.
    Open,
    Close,
    Reset,
    /// The client is gone.
    Left,
}

impl Upstream {
    pub(crate) fn new(script: Script, gauge: &Arc<Gauge>) -> Arc<Self> {
        let state = State { script, calls: 0 };
        Arc::new(Self {
            state: Mutex::new(state),
            busy: AtomicUsize::new(0),
            gauge: Arc::clone(gauge),
        })
    }

    /// Begins another script, and counts its calls from 0.
    pub(crate) fn play(&self, script: Script) {
        *self.lock() = State { script, calls: 0 };
    }

    /// How many calls it had.
    pub(crate) fn calls(&self) -> usize {
        self.lock().calls
    }

    /// How many calls it is working on.
    pub(crate) fn busy(&self) -> usize {
        self.busy.load(Ordering::SeqCst)
    }

    /// What the next call will be.
    pub(crate) fn peek(&self) -> Call {
        let state = self.lock();
        state.script.call(state.calls)
    }

    /// Begins a call.
    pub(crate) fn next(&self) -> Call {
        let mut state = self.lock();
        let call = state.script.call(state.calls);
        state.calls += 1;
        self.gauge.begin();
        call
    }

    /// Takes connections for as long as it is polled.
    pub(crate) async fn listen(self: Arc<Self>, listener: TcpListener) -> io::Result<()> {
        loop {
            let (socket, _) = listener.accept().await?;
            socket.set_nodelay(true)?;
            // A client may open a connection that it has no use for in the end: only what is asked on it makes a call.
            let call = self.peek().contains(&Step::Unread).then(|| self.next());
            tokio::spawn(Arc::clone(&self).serve(socket, call));
        }
    }

    /// Plays `call`, and the next ones that come on the same connection.
    pub(crate) async fn serve<W: Wire>(self: Arc<Self>, wire: W, call: Option<Call>) {
        let (mut reader, mut writer) = split(wire);
        let mut inbox = Vec::new();
        let mut begun = call;
        loop {
            let call = match begun.take() {
                Some(call) => call,
                None if !inbox.is_empty() => self.next(),
                None => match reader.read_buf(&mut inbox).await {
                    Ok(1..) => self.next(),
                    _ => return,
                },
            };
            match self.one(&mut reader, &mut writer, &mut inbox, &call).await {
                Ended::Open => {}
                Ended::Reset => return reader.unsplit(writer).reset(),
                Ended::Close | Ended::Left => return,
            }
        }
    }

    async fn one(
        &self,
        reader: &mut (impl AsyncRead + Unpin),
        writer: &mut (impl AsyncWrite + Unpin),
        inbox: &mut Vec<u8>,
        call: &[Step],
    ) -> Ended {
        let streamed = if call.contains(&Step::Unread) {
            false
        } else {
            match read_request(reader, inbox).await {
                Ok(streamed) => streamed,
                Err(_) => return Ended::Left,
            }
        };
        let _busy = Busy::new(&self.busy);
        tokio::select! {
            biased;
            ended = self.steps(writer, call, streamed) => ended.unwrap_or(Ended::Left),
            () = left(reader, inbox) => Ended::Left,
        }
    }

    async fn steps(
        &self,
        writer: &mut (impl AsyncWrite + Unpin),
        call: &[Step],
        streamed: bool,
    ) -> io::Result<Ended> {
        for step in call {
            match step {
                Step::AcceptAfterMs(_) | Step::Unread => {}
                // On a connection that is open already, a reset is the nearest to it.
                Step::Refuse | Step::Reset => return Ok(Ended::Reset),
                Step::Head(lines) => {
                    self.write(writer, script::head(lines).as_bytes()).await?;
                }
                Step::Send(payload) => self.send(writer, payload, false).await?,
                Step::Chunk(payload) => self.send(writer, payload, true).await?,
                Step::LastChunk => self.write(writer, b"0\r\n\r\n").await?,
                Step::Answer => self.answer(writer, streamed).await?,
                Step::WaitMs(ms) => sleep(Duration::from_millis(*ms)).await,
                Step::Silence => std::future::pending().await,
                Step::Close => return Ok(Ended::Close),
            }
        }
        Ok(Ended::Open)
    }

    async fn answer(
        &self,
        writer: &mut (impl AsyncWrite + Unpin),
        streamed: bool,
    ) -> io::Result<()> {
        if !streamed {
            let json = answer::json(&answer::text());
            let length = json.len();
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
            );
            return self.write(writer, (head + &json).as_bytes()).await;
        }
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
        self.write(writer, head.as_bytes()).await?;
        for event in answer::events() {
            self.send(writer, &event.into(), true).await?;
            sleep(Duration::from_millis(1)).await;
        }
        self.write(writer, b"0\r\n\r\n").await
    }

    async fn send(
        &self,
        writer: &mut (impl AsyncWrite + Unpin),
        payload: &Payload,
        chunked: bool,
    ) -> io::Result<()> {
        let Often {
            data,
            times,
            every_ms,
            per_byte_ms,
        } = payload.often();
        let data = if chunked {
            let size = format!("{:x}\r\n", data.bytes().len());
            [size.as_bytes(), data.bytes(), b"\r\n"].concat()
        } else {
            data.bytes().to_vec()
        };
        for _ in 0..times {
            if per_byte_ms == 0 {
                self.write(writer, &data).await?;
            } else {
                for byte in data.chunks(1) {
                    self.write(writer, byte).await?;
                    sleep(Duration::from_millis(per_byte_ms)).await;
                }
            }
            if every_ms > 0 {
                sleep(Duration::from_millis(every_ms)).await;
            }
        }
        Ok(())
    }

    async fn write(&self, writer: &mut (impl AsyncWrite + Unpin), data: &[u8]) -> io::Result<()> {
        for piece in data.chunks(64 << 10) {
            writer.write_all(piece).await?;
            self.gauge.written(piece.len());
        }
        writer.flush().await
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Busy<'a>(&'a AtomicUsize);

impl<'a> Busy<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count)
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Reads a request in full; whether it asks for a stream.
async fn read_request(
    reader: &mut (impl AsyncRead + Unpin),
    inbox: &mut Vec<u8>,
) -> io::Result<bool> {
    let mut more = async |inbox: &mut Vec<u8>| match reader.read_buf(inbox).await? {
        0 => Err(io::Error::from(io::ErrorKind::UnexpectedEof)),
        _ => Ok(()),
    };
    let head_ends = loop {
        if let Some(at) = memmem::find(inbox, b"\r\n\r\n") {
            break at + 4;
        }
        more(inbox).await?;
    };
    let head = String::from_utf8_lossy(inbox.get(..head_ends).unwrap_or_default()).to_lowercase();
    let header = |name: &str| {
        let mut lines = head.lines().filter_map(|line| line.split_once(':'));
        lines.find_map(|(found, value)| (found == name).then(|| value.trim()))
    };
    let is_chunked = header("transfer-encoding").is_some();
    let length = header("content-length").and_then(|length| length.parse().ok());
    let ends = loop {
        let body = inbox.get(head_ends..).unwrap_or_default();
        if is_chunked {
            if body.ends_with(b"0\r\n\r\n") {
                break inbox.len();
            }
        } else if body.len() >= length.unwrap_or(0) {
            break head_ends + length.unwrap_or(0);
        }
        more(inbox).await?;
    };
    let request: Vec<u8> = inbox.drain(..ends).collect();
    let body = request.get(head_ends..).unwrap_or_default();
    // Chunks of a body stand around the JSON in it.
    let json = memchr::memchr(b'{', body).zip(memchr::memrchr(b'}', body));
    let json = json.and_then(|(from, to)| body.get(from..=to));
    let value = json.and_then(|json| serde_json::from_slice::<Value>(json).ok());
    Ok(value.is_some_and(|value| value.get("stream") == Some(&Value::Bool(true))))
}

/// Completes when the client has closed its connection.
async fn left(reader: &mut (impl AsyncRead + Unpin), inbox: &mut Vec<u8>) {
    while matches!(reader.read_buf(inbox).await, Ok(1..)) {}
}
