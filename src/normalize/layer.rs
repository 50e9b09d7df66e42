use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::SystemTime,
};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::{
    Repair,
    choice::Place,
    head::{self, Answer},
    native,
    repairs::{Counters, Repairs},
    stream::Stream,
};
use crate::{
    message::{Edited, Endpoint, Media, RequestBody, ResponseBody, edit_answer, transform},
    wire::clock,
};

/// Makes the answers of other providers those that OpenAI would have given. See the [module](super).
#[derive(Debug, Clone, Default)]
pub struct ResponseNormalizeLayer {
    shared: Arc<Shared>,
}

/// Reads what a running [`ResponseNormalizeLayer`] has repaired.
#[derive(Debug, Clone)]
pub struct ResponseNormalizeHandle {
    shared: Arc<Shared>,
}

/// The service of [`ResponseNormalizeLayer`].
#[derive(Debug, Clone)]
pub struct ResponseNormalize<S> {
    inner: S,
    shared: Arc<Shared>,
}

/// What all services of one layer share.
#[derive(Debug, Default)]
pub(super) struct Shared {
    counters: Counters,
    /// Answers so far, for ids of our own.
    answers: AtomicU64,
}

/// What of the request tells how its answer is to be.
#[derive(Debug)]
struct Asked {
    model: String,
    stream: bool,
    usage: bool,
}

impl ResponseNormalizeLayer {
    /// The layer.
    pub fn new() -> Self {
        Self::default()
    }

    /// What reads the counters.
    pub fn handle(&self) -> ResponseNormalizeHandle {
        ResponseNormalizeHandle {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl ResponseNormalizeHandle {
    /// How many answers needed each repair since the layer was made; a stream counts once for each.
    pub fn repairs(&self) -> impl Iterator<Item = (Repair, u64)> {
        self.shared.counters.snapshot()
    }
}

impl<S> Layer<S> for ResponseNormalizeLayer {
    type Service = ResponseNormalize<S>;

    fn layer(&self, inner: S) -> ResponseNormalize<S> {
        ResponseNormalize {
            inner,
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<S> ResponseNormalize<S> {
    /// The inner service.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The inner service.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The inner service.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S> Service<Request<RequestBody>> for ResponseNormalize<S>
where
    S: Service<Request<RequestBody>, Response = Response<ResponseBody>>,
{
    type Response = Response<ResponseBody>;
    type Error = S::Error;
    type Future = ResponseNormalizeFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        let asked = (Endpoint::of(&request) == Endpoint::ChatCompletions).then(|| Asked {
            model: request.body().model().unwrap_or_default().into_owned(),
            stream: request.body().is_streaming(),
            usage: request.body().wants_usage(),
        });
        ResponseNormalizeFuture {
            future: self.inner.call(request),
            asked,
            shared: Arc::clone(&self.shared),
        }
    }
}

pin_project! {
    /// The future of [`ResponseNormalize`].
    #[derive(Debug)]
    pub struct ResponseNormalizeFuture<F> {
        #[pin]
        future: F,
        asked: Option<Asked>,
        shared: Arc<Shared>,
    }
}

impl<F, E> Future for ResponseNormalizeFuture<F>
where
    F: Future<Output = Result<Response<ResponseBody>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let response = ready!(this.future.poll(cx))?;
        Poll::Ready(Ok(match this.asked.take() {
            Some(asked) if response.status().is_success() => {
                normalized(response, asked, this.shared)
            }
            _ => response,
        }))
    }
}

fn normalized(
    response: Response<ResponseBody>,
    asked: Asked,
    shared: &Arc<Shared>,
) -> Response<ResponseBody> {
    let since_epoch = clock::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let number = shared.answers.fetch_add(1, Ordering::Relaxed);
    let answer = Answer {
        id: format!("chatcmpl-{:x}-{number:x}", since_epoch.as_micros()),
        created: since_epoch.as_secs(),
        model: asked.model,
        openai: response.headers().contains_key("openai-version"),
    };
    let shared = Arc::clone(shared);
    let names = native::Names {
        id: answer.id.clone(),
        created: answer.created,
        model: answer.model.clone(),
    };
    let wanted = native::Wanted {
        stream: asked.stream,
        usage: asked.usage,
    };
    let response = native::stream(response, names.clone(), wanted, Arc::clone(&shared));
    match response.body().media() {
        Media::EventStream => transform(response, Stream::new(answer, asked.usage, shared)),
        Media::Json => edit_answer(response, move |text| {
            let mut repairs = Repairs::default();
            let native = native::body(text, &names, &mut repairs);
            let text = native.as_deref().unwrap_or(text);
            let repaired = head::repaired(text, &answer, &mut Place::Body, &mut repairs);
            shared.count(repairs);
            repaired.or(native).map_or(Edited::Keep, Edited::Replace)
        }),
        _ => response,
    }
}

impl Shared {
    pub(super) fn count(&self, repairs: Repairs) {
        self.counters.count(repairs);
        for repair in repairs.iter() {
            tracing::debug!(%repair, "an answer was not OpenAI's");
        }
    }
}
