//! Which part of a gateway answers a request.

use std::{
    collections::HashMap,
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
use tower_http::cors::{self, Cors, CorsLayer};
use tower_layer::Layer;
use tower_service::Service;

use super::Stack;
use crate::{
    message::{BoxError, Endpoint, RequestBody, RequestId, ResponseBody, X_RELAY_REQUEST_ID},
    server::{
        Edge, EdgeFuture, HeaderNames, Health, Models,
        tenants::{Tenants, service::refuse},
    },
};

/// All of a [`Gateway`](super::Gateway) but the listening: `/health`, `/v1/models`, and its stack for everything else.
///
/// Takes any request body, never fails, and goes into `axum::Router::route_service`, `nest_service` and
/// `fallback_service`. Always ready.
#[derive(Clone)]
pub struct GatewayService<S> {
    dispatch: Dispatch<S>,
    cors: Option<CorsLayer>,
    names: HeaderNames,
}

#[derive(Clone)]
struct Dispatch<S> {
    edge: Edge<S>,
    models: Option<Models>,
    tenants: Option<Arc<Guests>>,
}

/// Who may call, and what each of them is shown.
struct Guests {
    tenants: Tenants,
    /// By tenant; who is not there is shown what an upstream says.
    models: HashMap<String, Models>,
}

impl<S> GatewayService<S> {
    pub(super) fn new(edge: Edge<S>) -> Self {
        Self {
            dispatch: Dispatch {
                edge,
                models: None,
                tenants: None,
            },
            cors: None,
            names: HeaderNames::default(),
        }
    }

    pub(super) fn set_models(&mut self, models: Models) {
        self.dispatch.models = Some(models);
    }

    pub(super) fn set_tenants(&mut self, tenants: Tenants, models: HashMap<String, Models>) {
        self.dispatch.tenants = Some(Arc::new(Guests { tenants, models }));
    }

    pub(super) fn tenants(&self) -> Option<&Tenants> {
        self.dispatch.tenants.as_ref().map(|guests| &guests.tenants)
    }

    pub(super) fn lists_models(&self) -> bool {
        self.dispatch.models.is_some()
    }

    pub(super) fn set_header_names(&mut self, names: HeaderNames) {
        self.names = names;
    }

    pub(super) fn set_cors(&mut self, cors: Option<CorsLayer>) {
        self.cors = cors;
    }
}

impl<S: Stack> GatewayService<S> {
    /// Answers `request`, as [`Service::call`] does: it is always ready, so a shared one is enough.
    pub fn handle<B>(&self, mut request: Request<B>) -> GatewayFuture<S, B>
    where
        B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        self.names.read(request.headers_mut());
        let began = self.names.clock();
        let state = match &self.cors {
            None => State::Plain {
                future: self.dispatch.handle(request),
            },
            Some(cors) => {
                let mut service: Cors<Dispatch<S>> = cors.layer(self.dispatch.clone());
                State::Cors {
                    future: service.call(request),
                }
            }
        };
        GatewayFuture {
            state,
            names: self.names.clone(),
            began,
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

impl<S, B> Service<Request<B>> for Dispatch<S>
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
        self.handle(request)
    }
}

impl<S: Stack> Dispatch<S> {
    fn handle<B>(&self, mut request: Request<B>) -> DispatchFuture<S, B>
    where
        B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        if request.uri().path() == "/health" {
            return DispatchFuture::small(request, Health::new());
        }
        let mut models = self.models.as_ref();
        if let Some(guests) = &self.tenants {
            // By the head alone: who may not call has no body read.
            match guests.tenants.authenticate(request.headers()) {
                Ok(caller) => {
                    models = guests.models.get(caller.tenant().name());
                    request.extensions_mut().insert(caller);
                }
                Err(error) => {
                    let refused = refuse(Endpoint::of(&request), &error);
                    return DispatchFuture::ready(&request, ready(Ok(refused)));
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
            return DispatchFuture::small(request, models.clone());
        }
        DispatchFuture::Stack {
            future: self.edge.handle(request),
        }
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

pin_project! {
    #[project = DispatchProjection]
    enum DispatchFuture<S, B>
    where
        S: Service<Request<RequestBody>>,
    {
        Small { #[pin] future: Ready<Result<Response<ResponseBody>, Infallible>>, id: RequestId },
        Stack { #[pin] future: EdgeFuture<S, B> },
    }
}

impl<S, B> DispatchFuture<S, B>
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
        match self.project() {
            DispatchProjection::Small { future, id } => future.poll(cx).map_ok(|mut response| {
                let headers = response.headers_mut();
                headers.insert(X_RELAY_REQUEST_ID, id.to_header());
                response
            }),
            DispatchProjection::Stack { future } => future.poll(cx),
        }
    }
}

impl<S> fmt::Debug for GatewayService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GatewayService")
            .field("models", &self.dispatch.models)
            .finish_non_exhaustive()
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
