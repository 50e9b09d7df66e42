use std::{
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use tower_service::Service;

use super::{BudgetFuture, future::Admitted, layer::Shared};
use crate::{
    message::{Endpoint, RequestBody, ResponseBody},
    reserve::BudgetStore,
};

/// The service of [`BudgetLayer`](super::BudgetLayer).
///
/// As ready as its inner service; where a store is asked always ready, and the inner service is readied after that.
#[derive(Debug, Clone)]
pub struct BudgetService<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S> BudgetService<S> {
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

impl<S> Service<Request<RequestBody>> for BudgetService<S>
where
    S: Service<Request<RequestBody>, Response = Response<ResponseBody>> + Clone,
{
    type Response = Response<ResponseBody>;
    type Error = S::Error;
    type Future = BudgetFuture<S>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        if self.shared.store.is_some() {
            Poll::Ready(Ok(()))
        } else {
            self.inner.poll_ready(cx)
        }
    }

    fn call(&mut self, mut request: Request<RequestBody>) -> Self::Future {
        if let Some(store) = &self.shared.store {
            let asking = ask(Arc::clone(&self.shared), Arc::clone(store), request);
            return BudgetFuture::asking(Box::pin(asking), self.inner.clone());
        }
        match self.shared.admit(&mut request) {
            Ok(pass) => BudgetFuture::sent(self.inner.call(request), pass),
            Err(refused) => {
                let dialect = Endpoint::of(&request).dialect();
                BudgetFuture::refused(self.shared.refusal(&refused, dialect))
            }
        }
    }
}

async fn ask(
    shared: Arc<Shared>,
    store: Arc<dyn BudgetStore>,
    mut request: Request<RequestBody>,
) -> Admitted {
    match Arc::clone(&shared).admit_at(store, &mut request).await {
        Ok(pass) => Ok((request, pass)),
        Err(refused) => {
            let dialect = Endpoint::of(&request).dialect();
            Err(Box::new(shared.refusal(&refused, dialect)))
        }
    }
}
