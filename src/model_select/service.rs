use std::{
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response, StatusCode};
use tower_service::Service;

use super::{
    ModelSelectFuture,
    escalate::Again,
    layer::{CONTEXT_LENGTH_EXCEEDED, Selected, Shared},
};
use crate::message::{
    ApiError, Bill, Dialect, Effects, Endpoint, Outcome, Reason, Rejection, RequestBody,
    ResponseBody, copy,
};

/// The service of [`ModelSelectLayer`](super::ModelSelectLayer).
#[derive(Debug, Clone)]
pub struct ModelSelect<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S> ModelSelect<S> {
    pub(super) fn new(inner: S, shared: Arc<Shared>) -> Self {
        Self { inner, shared }
    }

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

impl<S> Service<Request<RequestBody>> for ModelSelect<S>
where
    S: Service<Request<RequestBody>, Response = Response<ResponseBody>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
{
    type Response = Response<ResponseBody>;
    type Error = S::Error;
    type Future = ModelSelectFuture<S>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<RequestBody>) -> Self::Future {
        match self.shared.select(&mut request) {
            Ok(None) => ModelSelectFuture::passed(self.inner.call(request)),
            Ok(Some(selected)) => {
                let again = self.again(&selected, &mut request);
                ModelSelectFuture::first(self.inner.call(request), selected, again)
            }
            Err(error) => {
                let dialect = Endpoint::of(&request).dialect();
                ModelSelectFuture::refused(refused(&error, dialect))
            }
        }
    }
}

impl<S: Clone> ModelSelect<S> {
    /// What it takes to try another model, where that may be.
    fn again(
        &self,
        selected: &Selected,
        request: &mut Request<RequestBody>,
    ) -> Option<Box<Again<S>>> {
        self.shared.escalation.as_ref()?;
        if Effects::of(request) != Effects::Generate {
            return None;
        }
        // Both attempts go on one bill.
        Bill::of(request.extensions_mut());
        let body = request.body().try_clone()?;
        Some(Box::new(Again {
            service: self.inner.clone(),
            shared: Arc::clone(&self.shared),
            request: copy(request, body),
            selected: selected.clone(),
        }))
    }
}

fn refused(error: &ApiError, dialect: Dialect) -> Response<ResponseBody> {
    let reason = match error.status() {
        StatusCode::FORBIDDEN => Reason::Forbidden,
        _ => Reason::InvalidRequest,
    };
    let rejection = Rejection::new("model_select", reason);
    let mut response = rejection.into_response(error, dialect);
    if error.code() == Some(CONTEXT_LENGTH_EXCEEDED) {
        // As if the upstream had said so.
        response.extensions_mut().insert(Outcome::ContextTooLong);
    }
    response
}
