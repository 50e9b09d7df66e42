//! An upstream that fails in many ways, and keeps books of what it answered.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::{TryStreamExt, stream};
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, Collected, StreamBody};
use hyper::body::Incoming;
use serde_json::{Value, json};
use tokio::{sync::mpsc, time::sleep};

use crate::harness::{AnyBody, upstream};

/// Tokens of input and of output.
pub(super) type Tokens = (u64, u64);

/// What was answered in full, by the caller's id of the request.
#[derive(Default)]
pub(super) struct Books {
    pub(super) answered: Mutex<HashMap<String, Vec<Tokens>>>,
    pub(super) requests: AtomicUsize,
}

/// SplitMix64, which nothing secret hangs on.
#[derive(Default)]
pub(super) struct Dice(AtomicU64);

impl Dice {
    pub(super) fn below(&self, bound: u64) -> u64 {
        let mut z = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Relaxed);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

/// How an answer goes wrong.
enum Fault {
    None,
    /// A status, and with it a wait.
    Status(u16),
    /// The connection breaks within the body.
    Cut,
    /// The stream ends as if nothing were missing.
    Short,
    /// An error stands in the stream.
    Stated,
    /// Bytes that are no event.
    Garbage,
    /// Nothing comes any more.
    Silence,
}

impl Fault {
    fn of(path: &str, dice: &Dice) -> Self {
        if !path.starts_with("/flaky") {
            return Self::None;
        }
        match dice.below(40) {
            0 => Self::Status(429),
            1 => Self::Status(500),
            2 => Self::Status(503),
            3 => Self::Cut,
            4 => Self::Short,
            5 => Self::Stated,
            6 => Self::Garbage,
            7 if dice.below(20) == 0 => Self::Silence,
            _ => Self::None,
        }
    }
}

type Writer = mpsc::Sender<Result<Bytes, std::io::Error>>;

/// `/flaky/v1` fails often, `/steady/v1` never.
pub(super) async fn keeping(books: Arc<Books>) -> SocketAddr {
    let dice = Arc::new(Dice::default());
    let (address, _) = upstream(move |request: Request<Incoming>| {
        let (books, dice) = (Arc::clone(&books), Arc::clone(&dice));
        async move {
            books.requests.fetch_add(1, Relaxed);
            let fault = Fault::of(request.uri().path(), &dice);
            let asked = request.into_body().collect().await;
            // A caller who left while it asked gets no answer.
            let asked = asked.map(Collected::to_bytes).unwrap_or_default();
            let asked: Value = serde_json::from_slice(&asked).unwrap_or_default();
            answer(asked, fault, books, &dice)
        }
    })
    .await;
    address
}

fn answer(asked: Value, fault: Fault, books: Arc<Books>, dice: &Dice) -> Response<AnyBody> {
    let (writer, mut written) = mpsc::channel(1);
    let body = stream::poll_fn(move |cx| written.poll_recv(cx));
    let body = StreamBody::new(body.map_ok(Frame::data).map_err(Into::into)).boxed();
    let is_stream = asked["stream"] == true;
    let response = Response::builder().header(
        "content-type",
        if is_stream {
            "text/event-stream"
        } else {
            "application/json"
        },
    );
    if let Fault::Status(status) = fault {
        let error = json!({"error": {"message": "not now", "type": "server_error"}});
        tokio::spawn(async move { writer.send(Ok(error.to_string().into())).await });
        let response = response.header("retry-after-ms", "20").status(status);
        return response.body(body).unwrap();
    }
    let tokens = (1 + dice.below(5_000), 1 + dice.below(500));
    let events = 1 + dice.below(30);
    let pause = Duration::from_millis(dice.below(8));
    tokio::spawn(async move {
        let told = if is_stream {
            events_of(&writer, fault, events, pause, tokens).await
        } else {
            sleep(pause).await;
            whole(&writer, fault, tokens).await
        };
        if told.is_some() {
            let id = asked["user"].as_str().unwrap_or_default().to_owned();
            let mut answered = books.answered.lock().unwrap();
            answered.entry(id).or_default().push(tokens);
        }
    });
    response.body(body).unwrap()
}

fn usage((input, output): Tokens) -> Value {
    json!({"prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output})
}

/// `None` where it was not said in full.
async fn whole(writer: &Writer, fault: Fault, tokens: Tokens) -> Option<()> {
    let message = json!({"role": "assistant", "content": "hello", "refusal": null});
    let text = json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1_730_000_000, "model": "soak",
        "choices": [{"index": 0, "message": message, "logprobs": null, "finish_reason": "stop"}],
        "usage": usage(tokens),
    })
    .to_string();
    match fault {
        Fault::None => say(writer, text).await?,
        Fault::Silence => return silence(writer).await,
        _ => {
            say(writer, text.chars().take(40).collect()).await?;
            return broken(writer).await;
        }
    }
    taken(writer).await
}

async fn events_of(
    writer: &Writer,
    fault: Fault,
    events: u64,
    pause: Duration,
    tokens: Tokens,
) -> Option<()> {
    let chunk = |choices: Value, usage: Value| {
        let chunk = json!({
            "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_730_000_000,
            "model": "soak", "choices": choices, "usage": usage,
        });
        format!("data: {chunk}\n\n")
    };
    let choice = |delta: Value, finish: Value| json!([{"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish}]);
    for event in 0..events {
        let delta = json!({"role": "assistant", "content": "hello "});
        say(writer, chunk(choice(delta, Value::Null), Value::Null)).await?;
        sleep(pause).await;
        if event < events / 2 {
            continue;
        }
        match fault {
            Fault::None | Fault::Status(_) => {}
            Fault::Cut => return broken(writer).await,
            Fault::Short => return None,
            Fault::Stated => {
                say(
                    writer,
                    "data: {\"error\":{\"message\":\"overloaded\"}}\n\n".to_owned(),
                )
                .await?;
                return None;
            }
            Fault::Garbage => {
                say(writer, "data: {\"choices\":[{]\n\n".to_owned()).await?;
                return broken(writer).await;
            }
            Fault::Silence => return silence(writer).await,
        }
    }
    say(writer, chunk(choice(json!({}), json!("stop")), Value::Null)).await?;
    say(writer, chunk(json!([]), usage(tokens))).await?;
    say(writer, "data: [DONE]\n\n".to_owned()).await?;
    taken(writer).await
}

async fn say(writer: &Writer, text: String) -> Option<()> {
    writer.send(Ok(text.into())).await.ok()
}

/// Once the last of it is on its way.
async fn taken(writer: &Writer) -> Option<()> {
    writer.reserve().await.map(drop).ok()
}

async fn broken(writer: &Writer) -> Option<()> {
    let error = std::io::Error::other("broken");
    let _ = writer.send(Err(error)).await;
    None
}

/// Until the other side has had enough.
async fn silence(writer: &Writer) -> Option<()> {
    writer.closed().await;
    None
}
