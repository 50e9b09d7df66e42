//! Which part of a gateway answers a request.

use std::{
    convert::Infallible,
    fmt,
    future::{Ready, ready},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use tokio::time::Instant;
use tower_http::cors::{self, Cors};
use tower_layer::Layer;
use tower_service::Service;

use super::{
    Stack,
    reload::{Generation, Live},
};
use crate::{
    message::{BoxError, Endpoint, RequestBody, RequestId, ResponseBody, X_RELAY_REQUEST_ID},
    server::{
        EdgeFuture, HeaderNames, Health,
        status::Refusals,
        tenants::{Caller, service::refuse},
    },
};

/// All of a [`Gateway`](super::Gateway) but the listening: `/health`, `/health/ready`, `/v1/models`, and its stack for everything else.
///
/// Takes any request body, never fails, and goes into `axum::Router::route_service`, `nest_service` and
/// `fallback_service`. Always ready.
pub struct GatewayService<S> {
    live: Arc<Live<S>>,
}

/// The stack that was in force when a request came.
struct Current<S>(Arc<Generation<S>>);

impl<S> GatewayService<S> {
    pub(super) fn new(live: Arc<Live<S>>) -> Self {
        Self { live }
    }
}

impl<S: Stack> GatewayService<S> {
    /// Answers `request`, as [`Service::call`] does: it is always ready, so a shared one is enough.
    pub fn handle<B>(&self, mut request: Request<B>) -> GatewayFuture<S, B>
    where
        B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        let generation = self.live.current();
        generation.names.read(request.headers_mut());
        let began = generation.names.clock();
        let state = match &generation.cors {
            None => State::Plain {
                future: dispatch(&generation, request),
            },
            Some(cors) => {
                let current = Current(Arc::clone(&generation));
                let mut service: Cors<Current<S>> = cors.layer(current);
                State::Cors {
                    future: service.call(request),
                }
            }
        };
        GatewayFuture {
            state,
            names: generation.names.clone(),
            began,
            generation: Some(generation),
        }
    }
}

impl<S, B> Service<Request<B>> for GatewayService<S>
where
    S: Stack,
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    type Response = Response<ResponseBody>;
    type Error = Infallible;
    type Future = GatewayFuture<S, B>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> GatewayFuture<S, B> {
        self.handle(request)
    }
}

impl<S, B> Service<Request<B>> for Current<S>
where
    S: Stack,
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    type Response = Response<ResponseBody>;
    type Error = Infallible;
    type Future = DispatchFuture<S, B>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> DispatchFuture<S, B> {
        dispatch(&self.0, request)
    }
}

fn dispatch<S, B>(generation: &Generation<S>, request: Request<B>) -> DispatchFuture<S, B>
where
    S: Stack,
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    let operators = generation.operators.as_ref();
    let mut noting = operators.map(|operators| Noting {
        refusals: operators.refusals().clone(),
        caller: None,
    });
    let answering = answer(generation, request, noting.as_mut());
    DispatchFuture { answering, noting }
}

fn answer<S, B>(
    generation: &Generation<S>,
    mut request: Request<B>,
    noting: Option<&mut Noting>,
) -> Answering<S, B>
where
    S: Stack,
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    match request.uri().path() {
        "/health" | "/health/live" => return Answering::small(request, Health::new()),
        "/health/ready" => return Answering::small(request, generation.ready.clone()),
        _ => {}
    }
    let mut models = generation.models.as_ref();
    if let Some(guests) = &generation.guests {
        // By the head alone: who may not call has no body read.
        match guests.tenants.authenticate(request.headers()) {
            Ok(caller) => {
                models = guests.models.get(caller.tenant().name());
                if let Some(noting) = noting {
                    noting.caller = Some(caller.clone());
                }
                request.extensions_mut().insert(caller);
            }
            Err(error) => {
                let refused = refuse(Endpoint::of(&request), &error);
                return Answering::ready(&request, ready(Ok(refused)));
            }
        }
    }
    let path = request.uri().path();
    if let Some(models) = models
        && path
            .strip_prefix("/v1")
            .unwrap_or(path)
            .strip_prefix("/models")
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    {
        return Answering::small(request, models.clone());
    }
    Answering::Stack {
        future: generation.edge.handle(request),
    }
}

pin_project! {
    /// The future of [`GatewayService`].
    pub struct GatewayFuture<S, B>
    where
        S: Service<Request<RequestBody>>,
    {
        #[pin]
        state: State<S, B>,
        // Until there is an answer, which holds it from there on.
        generation: Option<Arc<Generation<S>>>,
        names: HeaderNames,
        began: Option<Instant>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<S, B>
    where
        S: Service<Request<RequestBody>>,
    {
        Plain { #[pin] future: DispatchFuture<S, B> },
        Cors { #[pin] future: cors::ResponseFuture<DispatchFuture<S, B>> },
    }
}

/// Where a refusal is noted, and who asked.
struct Noting {
    refusals: Refusals,
    caller: Option<Caller>,
}

pin_project! {
    struct DispatchFuture<S, B>
    where
        S: Service<Request<RequestBody>>,
    {
        #[pin]
        answering: Answering<S, B>,
        noting: Option<Noting>,
    }
}

pin_project! {
    #[project = AnsweringProjection]
    enum Answering<S, B>
    where
        S: Service<Request<RequestBody>>,
    {
        Small { #[pin] future: Ready<Result<Response<ResponseBody>, Infallible>>, id: RequestId },
        Stack { #[pin] future: EdgeFuture<S, B> },
    }
}

impl<S, B> Answering<S, B>
where
    S: Service<Request<RequestBody>>,
{
    /// An answer of `service`, which does not pass the edge: it carries the request's id all the same.
    fn small<T>(request: Request<B>, mut service: T) -> Self
    where
        T: Service<
                Request<B>,
                Response = Response<ResponseBody>,
                Error = Infallible,
                Future = Ready<Result<Response<ResponseBody>, Infallible>>,
            >,
    {
        let id = RequestId::from_headers(request.headers()).unwrap_or_else(RequestId::generate);
        Self::Small {
            future: service.call(request),
            id,
        }
    }

    fn ready(
        request: &Request<B>,
        future: Ready<Result<Response<ResponseBody>, Infallible>>,
    ) -> Self {
        let id = RequestId::from_headers(request.headers()).unwrap_or_else(RequestId::generate);
        Self::Small { future, id }
    }
}

impl<S, B> Future for GatewayFuture<S, B>
where
    S: Stack,
    B: Body<Data = Bytes, Error: Into<BoxError>>,
{
    type Output = Result<Response<ResponseBody>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = ready!(match this.state.project() {
            StateProjection::Plain { future } => future.poll(cx),
            StateProjection::Cors { future } => future.poll(cx),
        })?;
        let response = match this.generation.take() {
            Some(generation) => response.map(|body| body.keeping(generation)),
            None => response,
        };
        Poll::Ready(Ok(this.names.renamed(response, *this.began)))
    }
}

impl<S, B> Future for DispatchFuture<S, B>
where
    S: Stack,
    B: Body<Data = Bytes, Error: Into<BoxError>>,
{
    type Output = Result<Response<ResponseBody>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let answer = match this.answering.project() {
            AnsweringProjection::Small { future, id } => future.poll(cx).map_ok(|mut response| {
                let headers = response.headers_mut();
                headers.insert(X_RELAY_REQUEST_ID, id.to_header());
                response
            }),
            AnsweringProjection::Stack { future } => future.poll(cx),
        };
        if let (Poll::Ready(Ok(response)), Some(noting)) = (&answer, &*this.noting) {
            let caller = noting.caller.as_ref();
            let caller = caller.map(|caller| caller.key() as &dyn ToString);
            noting.refusals.note(response, caller);
        }
        answer
    }
}

impl<S> Clone for GatewayService<S> {
    // Not derived, as the stack need not be cloned for it.
    fn clone(&self) -> Self {
        Self {
            live: Arc::clone(&self.live),
        }
    }
}

impl<S> fmt::Debug for GatewayService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GatewayService").finish_non_exhaustive()
    }
}

impl<S, B> fmt::Debug for GatewayFuture<S, B>
where
    S: Service<Request<RequestBody>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GatewayFuture").finish_non_exhaustive()
    }
}
