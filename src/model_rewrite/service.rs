use std::{
    borrow::Cow,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response, StatusCode};
use tower_service::Service;

use super::{
    Aliases, ModelRewriteFuture, Unknown, checks::CONTEXT_LENGTH_EXCEEDED, future::Answer,
    layer::Shared, state::Decision,
};
use crate::{
    message::{
        self, ApiError, Bill, Dialect, Endpoint, Outcome, Reason, Rejection, RequestBody,
        ResponseBody,
    },
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
            Ok(answer) => ModelRewriteFuture::inner(self.inner.call(request), answer),
            Err(error) => {
                let dialect = Endpoint::of(&request).dialect();
                ModelRewriteFuture::refused(refused(&error, dialect))
            }
        }
    }
}

fn refused(error: &ApiError, dialect: Dialect) -> Response<ResponseBody> {
    let reason = match error.code() {
        Some("model_not_found") => Reason::ModelNotFound,
        _ => Reason::InvalidRequest,
    };
    let mut response = Rejection::new("model_rewrite", reason).into_response(error, dialect);
    if error.code() == Some(CONTEXT_LENGTH_EXCEEDED) {
        // As if the upstream had said so: a larger window may take it.
        response.extensions_mut().insert(Outcome::ContextTooLong);
    }
    response
}

impl Shared {
    /// Puts the right model into `request` and fits it to that; what is to be done to the answer.
    fn rewrite(&self, request: &mut Request<RequestBody>) -> Result<Answer, ApiError> {
        let endpoint = Endpoint::of(request);
        if !endpoint.reads_json() {
            return Ok(Answer::default());
        }
        let Some(members) = request.body().members()? else {
            // What cannot be read cannot be let past a list of what is known.
            return match self.unknown {
                Unknown::Reject => Err(ApiError::unread_body()),
                _ => Ok(Answer::default()),
            };
        };
        let asked = members.get("model").and_then(Value::as_str);
        let aliases = self.aliases.load();
        let target = match aliases.decide(&self.unknown, asked.as_deref()) {
            Decision::Rename(target) => Some(target),
            Decision::NotFound => return Err(not_found(&asked.unwrap_or_default(), &aliases)),
            Decision::Missing if endpoint.needs_model() => return Err(ApiError::missing_model()),
            Decision::Missing | Decision::Pass => None,
        };

        if let (Some(_), Some(asked), Some(bill)) =
            (&target, &asked, request.extensions().get::<Bill>())
        {
            bill.note_asked(asked);
        }
        let mut answer = Answer::default();
        if self.restore_name && target.is_some() {
            answer.restore = asked.map(|asked| Box::from(&*asked));
        }
        if let Some(fit) = &self.fit {
            answer.report = fit.apply(request, endpoint, target.as_deref())?;
        } else if let Some(target) = target {
            message::edit(request, |edit| {
                edit.set("model", &*target);
            })?;
        }
        Ok(answer)
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
