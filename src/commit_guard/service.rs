use std::{
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use tower_service::Service;

use super::{CommitGuardFuture, holding::Call, layer::Shared};
use crate::{
    message::{Deadline, Endpoint, MaxSilence, RequestBody, ResponseBody},
    wire::json::Value,
};

/// The service of [`CommitGuardLayer`](super::CommitGuardLayer).
#[derive(Debug, Clone)]
pub struct CommitGuard<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S> CommitGuard<S> {
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

impl<S> Service<Request<RequestBody>> for CommitGuard<S>
where
    S: Service<Request<RequestBody>, Response = Response<ResponseBody>>,
{
    type Response = Response<ResponseBody>;
    type Error = S::Error;
    type Future = CommitGuardFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<RequestBody>) -> Self::Future {
        let endpoint = Endpoint::of(&request);
        // What an unknown path answers may be anything, and begin with anything.
        let call = endpoint.reads_json().then(|| {
            let limits = self.shared.limits(endpoint, request.body());
            let has_limit = !limits.first_token.is_zero();
            Call {
                shared: Arc::clone(&self.shared),
                limits,
                dialect: endpoint.dialect(),
                first_token_by: has_limit.then(|| Deadline::after(limits.first_token).instant()),
                wants_stream: has_limit && wants_stream(request.body()),
            }
        });
        if let Some(Call { limits, .. }) = &call
            && !limits.idle.is_zero()
        {
            request.extensions_mut().insert(MaxSilence(limits.idle));
        }
        CommitGuardFuture::new(self.inner.call(request), call)
    }
}

fn wants_stream(body: &RequestBody) -> bool {
    let members = body.members().ok().flatten();
    let stream = members.and_then(|members| members.get("stream"));
    stream.and_then(Value::as_bool) == Some(true)
}
