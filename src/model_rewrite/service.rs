use std::{
    borrow::Cow,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response, StatusCode};
use tower_service::Service;

use super::{Aliases, ModelRewriteFuture, layer::Shared, state::Decision};
use crate::{
    message::{self, ApiError, Endpoint, Reason, Rejection, RequestBody, ResponseBody},
    wire::json::Value,
};

/// The service of [`ModelRewriteLayer`](super::ModelRewriteLayer).
#[derive(Debug, Clone)]
pub struct ModelRewrite<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S> ModelRewrite<S> {
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

impl<S> Service<Request<RequestBody>> for ModelRewrite<S>
where
    S: Service<Request<RequestBody>, Response = Response<ResponseBody>>,
{
    type Response = Response<ResponseBody>;
    type Error = S::Error;
    type Future = ModelRewriteFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<RequestBody>) -> Self::Future {
        match self.shared.rewrite(&mut request) {
            Ok(asked) => ModelRewriteFuture::inner(self.inner.call(request), asked),
            Err(error) => {
                let reason = match error.code() {
                    Some("model_not_found") => Reason::ModelNotFound,
                    _ => Reason::InvalidRequest,
                };
                let dialect = Endpoint::of(&request).dialect();
                ModelRewriteFuture::refused(
                    Rejection::new("model_rewrite", reason).into_response(&error, dialect),
                )
            }
        }
    }
}

impl Shared {
    /// Puts the right model into `request`; the name that was asked for, where the answer is to show it again.
    fn rewrite(&self, request: &mut Request<RequestBody>) -> Result<Option<Box<str>>, ApiError> {
        let Some(members) = message::members(request).map_err(ApiError::from)? else {
            return Ok(None);
        };
        let asked = members.get("model").and_then(Value::as_str);
        let aliases = self.aliases.load();
        let target = match aliases.decide(&self.unknown, asked.as_deref()) {
            Decision::Pass => return Ok(None),
            Decision::Rename(target) => target,
            Decision::NotFound => return Err(not_found(&asked.unwrap_or_default(), &aliases)),
            Decision::Missing => return Err(ApiError::missing_model()),
        };
        let asked = self
            .restore_name
            .then(|| asked.map(|asked| Box::from(&*asked)))
            .flatten();
        message::edit(request, |edit| {
            edit.set("model", &*target);
        })?;
        Ok(asked)
    }
}

fn not_found(asked: &str, aliases: &Aliases) -> ApiError {
    const SHOWN: usize = 50;
    let names = aliases.names();
    let mut known = names
        .iter()
        .take(SHOWN)
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join(", ");
    if names.len() > SHOWN {
        known.push_str(", …");
    }
    let asked: Cow<'_, str> = match asked.char_indices().nth(100) {
        Some((cut, _)) => format!("{}…", asked.get(..cut).unwrap_or_default()).into(),
        None => asked.into(),
    };
    let message = format!("The model `{asked}` does not exist. Known models: {known}.");
    ApiError::new(StatusCode::NOT_FOUND, "invalid_request_error", message)
        .with_param("model")
        .with_code("model_not_found")
}
