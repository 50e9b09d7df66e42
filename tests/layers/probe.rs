//! An inner service that watches how it is treated.

use std::{
    collections::VecDeque,
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};
use tower_relay::message::{BoxError, Completion, End, RequestBody, ResponseBody};
use tower_service::Service;

/// A service that panics when it is called without having been ready itself. Clones start unready, and share what was
/// seen.
pub(crate) struct Probe {
    seen: Arc<Seen>,
    ready: bool,
}

/// What the probe is told to do, and what it saw.
#[derive(Default)]
pub(crate) struct Seen {
    script: Mutex<Script>,
    wakers: Mutex<Vec<Waker>>,
    requests: Mutex<Vec<Request<RequestBody>>>,
    ends: Mutex<Vec<End>>,
    futures: AtomicUsize,
    bodies: AtomicUsize,
}

/// How the probe behaves from now on.
#[derive(Debug, Clone, Default)]
pub(crate) struct Script {
    pub(crate) ready: Step,
    pub(crate) head: Step,
    pub(crate) body: Step,
    pub(crate) frames: Vec<Bytes>,
    pub(crate) headers: Vec<(&'static str, &'static str)>,
}

/// What comes of one step, after all that precedes it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Step {
    #[default]
    Goes,
    Hangs,
    Fails,
}

/// An error of no crate that a layer could know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Foreign(pub(crate) u32);

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "foreign error {}", self.0)
    }
}

impl std::error::Error for Foreign {}

impl Probe {
    pub(crate) fn new() -> (Self, Arc<Seen>) {
        let seen = Arc::new(Seen::default());
        (
            Self {
                seen: Arc::clone(&seen),
                ready: false,
            },
            seen,
        )
    }
}

impl Seen {
    /// Changes the script, and wakes whoever waits for the step that hung.
    pub(crate) fn play(&self, change: impl FnOnce(&mut Script)) {
        change(&mut self.script.lock().unwrap());
        self.wakers.lock().unwrap().drain(..).for_each(Waker::wake);
    }

    /// The oldest request that has come and was not taken yet.
    pub(crate) fn take_request(&self) -> Option<Request<RequestBody>> {
        let mut requests = self.requests.lock().unwrap();
        if requests.is_empty() {
            None
        } else {
            Some(requests.remove(0))
        }
    }

    /// How many requests came and were not taken.
    pub(crate) fn requests(&self) -> usize {
        self.requests.lock().unwrap().len()
    }

    /// How many of the probe's futures are alive.
    pub(crate) fn futures(&self) -> usize {
        self.futures.load(SeqCst)
    }

    /// How many of the probe's response bodies are alive.
    pub(crate) fn bodies(&self) -> usize {
        self.bodies.load(SeqCst)
    }

    /// How the answers ended, as the probe's own callbacks were told.
    pub(crate) fn ends(&self) -> Vec<End> {
        self.ends.lock().unwrap().clone()
    }

    fn poll(
        &self,
        cx: &Context<'_>,
        step: impl FnOnce(&Script) -> Step,
    ) -> Poll<Result<(), Foreign>> {
        // The waker is there before the script is read, so that no change falls between.
        self.wakers.lock().unwrap().push(cx.waker().clone());
        match step(&self.script.lock().unwrap()) {
            Step::Goes => Poll::Ready(Ok(())),
            Step::Hangs => Poll::Pending,
            Step::Fails => Poll::Ready(Err(Foreign(7))),
        }
    }
}

impl Clone for Probe {
    fn clone(&self) -> Self {
        Self {
            seen: Arc::clone(&self.seen),
            ready: false,
        }
    }
}

impl fmt::Debug for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Probe")
    }
}

impl<B> Service<Request<B>> for Probe
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<ResponseBody>;
    type Error = Foreign;
    type Future = ProbeFuture;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Foreign>> {
        let polled = self.seen.poll(cx, |script| script.ready);
        self.ready = matches!(polled, Poll::Ready(Ok(())));
        polled
    }

    fn call(&mut self, request: Request<B>) -> ProbeFuture {
        assert!(
            std::mem::take(&mut self.ready),
            "called without being ready itself"
        );
        self.seen
            .requests
            .lock()
            .unwrap()
            .push(request.map(RequestBody::new));
        ProbeFuture(Alive::new(&self.seen, |seen| &seen.futures))
    }
}

/// Counts as alive until it is dropped.
struct Alive {
    seen: Arc<Seen>,
    counter: fn(&Seen) -> &AtomicUsize,
}

impl Alive {
    fn new(seen: &Arc<Seen>, counter: fn(&Seen) -> &AtomicUsize) -> Self {
        counter(seen).fetch_add(1, SeqCst);
        Self {
            seen: Arc::clone(seen),
            counter,
        }
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        (self.counter)(&self.seen).fetch_sub(1, SeqCst);
    }
}

pub(crate) struct ProbeFuture(Alive);

impl fmt::Debug for ProbeFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProbeFuture")
    }
}

impl Future for ProbeFuture {
    type Output = Result<Response<ResponseBody>, Foreign>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let seen = &self.0.seen;
        std::task::ready!(seen.poll(cx, |script| script.head))?;
        let script = seen.script.lock().unwrap().clone();
        let body = ProbeBody {
            frames: script.frames.into(),
            alive: Alive::new(seen, |seen| &seen.bodies),
        };
        let mut response = Response::new(body);
        for (name, value) in script.headers {
            response.headers_mut().insert(name, value.parse().unwrap());
        }
        let ends = Arc::clone(seen);
        let response = ResponseBody::wrap(response).map(|body| {
            body.on_end(move |done: &mut Completion| ends.ends.lock().unwrap().push(done.end))
        });
        Poll::Ready(Ok(response))
    }
}

struct ProbeBody {
    frames: VecDeque<Bytes>,
    alive: Alive,
}

impl Body for ProbeBody {
    type Data = Bytes;
    type Error = Foreign;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Foreign>>> {
        if let Some(data) = self.frames.pop_front() {
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        self.alive
            .seen
            .poll(cx, |script| script.body)
            .map(|step| step.err().map(Err))
    }
}
