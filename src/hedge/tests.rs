mod config;
mod racing;
mod tail;
mod when;

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::stream;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::StreamBody;
use tokio::time::{Instant, sleep};
use tower::{ServiceExt, service_fn};

use super::*;
use crate::{
    client::{Target, Upstreams, UpstreamsBuilder},
    message::{Completion, End, RequestBody, ResponseBody},
    testing::read,
};

const OPENING: &str = "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\"}}]}\n\n";
const TOKEN: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n";
const DONE: &str = "data: [DONE]\n\n";

/// What an upstream does, step by step: so many milliseconds, and then this.
type Steps = Vec<(u64, Step)>;

#[derive(Debug, Clone, Copy)]
enum Step {
    /// The head of an answer: its status, and whether it is a stream.
    Head(u16),
    Says(&'static str),
    Breaks,
}

/// A stream that opens at once, has its first token after a time, and ends.
fn stream_after(millis: u64) -> Steps {
    vec![
        (0, Step::Head(200)),
        (0, Step::Says(OPENING)),
        (millis, Step::Says(TOKEN)),
        (10, Step::Says(DONE)),
    ]
}

/// An error after a time.
fn fails_after(millis: u64, status: u16) -> Steps {
    vec![(millis, Step::Head(status)), (0, Step::Says("{}"))]
}

/// An upstream that does as it is told, and how its answers ended.
#[derive(Clone)]
struct Upstream {
    name: &'static str,
    steps: Arc<dyn Fn(u64) -> Steps + Send + Sync>,
    calls: Arc<AtomicU64>,
    futures: Arc<()>,
    ends: Arc<std::sync::Mutex<Vec<End>>>,
}

impl Upstream {
    fn new(name: &'static str, steps: impl Fn(u64) -> Steps + Send + Sync + 'static) -> Self {
        Self {
            name,
            steps: Arc::new(steps),
            calls: Arc::default(),
            futures: Arc::default(),
            ends: Arc::default(),
        }
    }

    fn calls(&self) -> u64 {
        self.calls.load(SeqCst)
    }

    /// How many requests it is still at, before the head or after it.
    fn alive(&self) -> usize {
        Arc::strong_count(&self.futures) - 1
    }

    fn ends(&self) -> Vec<End> {
        self.ends.lock().unwrap().clone()
    }

    async fn answer(self) -> Response<ResponseBody> {
        // Within the future and the body, and nowhere else.
        let Self {
            steps,
            calls,
            futures,
            ends,
            ..
        } = self;
        let mut steps = steps(calls.fetch_add(1, SeqCst)).into_iter();
        let Some((wait, Step::Head(status))) = steps.next() else {
            panic!("an answer begins with its head");
        };
        sleep(Duration::from_millis(wait)).await;
        let is_stream = status == 200;
        let frames = stream::unfold((steps, futures), |(mut steps, futures)| async move {
            let (wait, step) = steps.next()?;
            sleep(Duration::from_millis(wait)).await;
            let frame = match step {
                Step::Says(text) => Ok(Frame::data(Bytes::from_static(text.as_bytes()))),
                _ => Err("broken"),
            };
            Some((frame, (steps, futures)))
        });
        let mut response = Response::new(StreamBody::new(Box::pin(frames)));
        *response.status_mut() = status.try_into().unwrap();
        let media = if is_stream {
            "text/event-stream"
        } else {
            "application/json"
        };
        let headers = response.headers_mut();
        headers.insert("content-type", media.parse().unwrap());
        let ended = move |completion: &mut Completion| ends.lock().unwrap().push(completion.end);
        ResponseBody::wrap(response).map(|body| body.on_end(ended))
    }

    fn target(&self) -> Target {
        // Not to be counted itself.
        let upstream = Self {
            futures: Arc::default(),
            ..self.clone()
        };
        let futures = Arc::downgrade(&self.futures);
        let stack = service_fn(move |_: Request<RequestBody>| {
            let answer = Self {
                futures: futures.upgrade().unwrap(),
                ..upstream.clone()
            };
            async { Ok::<_, Infallible>(answer.answer().await) }
        });
        Target::new(self.name, stack)
    }
}

fn targets(all: &[&Upstream]) -> Upstreams {
    let all = all.iter().map(|upstream| upstream.target());
    let all = all.fold(Upstreams::builder(), UpstreamsBuilder::add);
    all.build().unwrap()
}

fn after(millis: u64) -> HedgeBuilder {
    HedgeLayer::builder().delay(Duration::from_millis(millis))
}

fn chat() -> Request<RequestBody> {
    with_body(r#"{"model":"fast","stream":true,"messages":[]}"#)
}

fn with_body(body: &'static str) -> Request<RequestBody> {
    Request::post("/v1/chat/completions")
        .body(RequestBody::json(body))
        .unwrap()
}

/// Who answered (or the status of an error), after how many milliseconds, and what is said of other attempts.
async fn ask(hedge: &Hedge<Target>) -> (String, u128, String) {
    let start = Instant::now();
    let Ok(response) = hedge.clone().oneshot(chat()).await;
    let took = start.elapsed().as_millis();
    let header = |name: &str| {
        let value = response.headers().get(name);
        value.map_or(String::new(), |value| value.to_str().unwrap().to_owned())
    };
    let mut who = header("x-relay-upstream");
    let status = response.status().as_u16();
    if status != 200 {
        who = format!("{who} {status}");
    }
    let others = format!(
        "{} {}",
        header("x-relay-attempts"),
        header("x-relay-failed-attempts")
    );
    let _ = read(response).await;
    (who, took, others.trim().to_owned())
}

fn told(who: &str, took: u128, others: &str) -> (String, u128, String) {
    (who.to_owned(), took, others.to_owned())
}
