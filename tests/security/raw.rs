//! Both ends of a gateway byte by byte: no HTTP library mends what is sent, or hides what arrives.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};

use crate::harness::soon;

pub(crate) const ANSWER: &str = r#"{"id":"1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}"#;

/// A request as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Seen {
    /// The path and query of the request line.
    pub(crate) fn target(&self) -> &str {
        self.head.split(' ').nth(1).unwrap()
    }

    /// All values of a header.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let lines = self.head.lines().skip(1);
        let pairs = lines.filter_map(|line| line.split_once(':'));
        pairs
            .filter(|(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
            .collect()
    }
}

/// An upstream that keeps every request as it arrived, and gives each the same answer.
#[derive(Clone)]
pub(crate) struct Recorder {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Recorder {
    /// Answers 200 with a completion.
    pub(crate) async fn start() -> Self {
        Self::answering(|_| response("200 OK", "", ANSWER.as_bytes())).await
    }

    pub(crate) async fn answering(
        answer: impl Fn(&Seen) -> Vec<u8> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&seen);
        let answer = Arc::new(answer);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (kept, answer) = (Arc::clone(&kept), Arc::clone(&answer));
                tokio::spawn(async move {
                    let mut connection = Connection {
                        stream,
                        held: Vec::new(),
                    };
                    while let Some(request) = connection.request().await {
                        let bytes = answer(&request);
                        kept.lock().unwrap().push(request);
                        if connection.stream.write_all(&bytes).await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
        Self { address, seen }
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub(crate) fn take(&self) -> Vec<Seen> {
        std::mem::take(&mut self.seen.lock().unwrap())
    }
}

/// An answer with this body; `more` are lines of the head, each with its end.
pub(crate) fn response(status: &str, more: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n{more}\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

struct Connection {
    stream: TcpStream,
    held: Vec<u8>,
}

impl Connection {
    /// Reads until `held` has as many bytes as `end` wants of it.
    async fn until(&mut self, end: impl Fn(&[u8]) -> Option<usize>) -> Option<Vec<u8>> {
        loop {
            if let Some(end) = end(&self.held) {
                let rest = self.held.split_off(end);
                return Some(std::mem::replace(&mut self.held, rest));
            }
            match self.stream.read_buf(&mut self.held).await {
                Ok(1..) => {}
                Ok(0) | Err(_) => return None,
            }
        }
    }

    async fn request(&mut self) -> Option<Seen> {
        let head = self.until(|held| after(held, b"\r\n\r\n")).await?;
        let head = String::from_utf8_lossy(&head).into_owned();
        let mut seen = Seen {
            head,
            body: Vec::new(),
        };
        if !seen.all("transfer-encoding").is_empty() {
            seen.body = self.until(|held| after(held, b"0\r\n\r\n")).await?;
        } else if let Some(length) = seen.all("content-length").first() {
            let length = length.parse().unwrap();
            seen.body = self
                .until(|held| (held.len() >= length).then_some(length))
                .await?;
        }
        Some(seen)
    }
}

fn after(bytes: &[u8], mark: &[u8]) -> Option<usize> {
    let at = bytes.windows(mark.len()).position(|part| part == mark)?;
    Some(at + mark.len())
}

/// A listener that nobody should ever reach.
pub(crate) struct Trap {
    pub(crate) address: SocketAddr,
    reached: Arc<AtomicUsize>,
}

impl Trap {
    pub(crate) async fn set() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let reached = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&reached);
        tokio::spawn(async move {
            while listener.accept().await.is_ok() {
                count.fetch_add(1, SeqCst);
            }
        });
        Self { address, reached }
    }

    pub(crate) fn reached(&self) -> usize {
        self.reached.load(SeqCst)
    }
}

/// Sends `bytes`, and reads all that comes back until the gateway closes, or has answered and says no more.
pub(crate) async fn exchange(relay: SocketAddr, bytes: &[u8]) -> String {
    const SILENCE: Duration = Duration::from_millis(300);
    let stream = TcpStream::connect(relay).await.unwrap();
    let (mut reading, mut writing) = stream.into_split();
    let mut answer = Vec::new();
    let receiving = async {
        loop {
            let reading = reading.read_buf(&mut answer);
            let read = match timeout(SILENCE, reading).await {
                Ok(read) => read,
                Err(_) if answer.is_empty() => continue,
                Err(_) => return,
            };
            // The end comes as one, or as a reset.
            if !matches!(read, Ok(1..)) {
                return;
            }
        }
    };
    // Who is refused early finds the connection closed while they still send.
    let (_, ()) = soon(async { tokio::join!(writing.write_all(bytes), receiving) }).await;
    String::from_utf8_lossy(&answer).into_owned()
}

/// All that still comes.
pub(crate) async fn rest(mut stream: TcpStream) -> String {
    let mut answer = Vec::new();
    // The end comes as one, or as a reset.
    let _ = soon(stream.read_to_end(&mut answer)).await;
    String::from_utf8_lossy(&answer).into_owned()
}

/// The statuses of the answers in `text`, in order.
pub(crate) fn statuses(text: &str) -> Vec<u16> {
    let lines = text.split("HTTP/1.1 ").skip(1);
    lines
        .filter_map(|line| line.get(..3)?.parse().ok())
        .collect()
}

/// A POST with a JSON body; `more` are lines of the head, each with its end.
pub(crate) fn post(target: &str, more: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST {target} HTTP/1.1\r\nhost: relay\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
         connection: close\r\n{more}\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}
