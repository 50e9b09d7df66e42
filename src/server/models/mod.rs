//! `/v1/models` and `/v1/models/{id}`.

mod model;
#[cfg(test)]
mod tests;

use std::{
    borrow::Cow,
    convert::Infallible,
    fmt,
    future::{Ready, ready},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use arc_swap::ArcSwap;
use http::{Method, Request, Response, StatusCode};
use tower_service::Service;

pub use self::model::Model;

use self::model::List;
use super::answer::respond;
use crate::{
    message::{ApiError, Dialect, ResponseBody},
    wire::path::percent_decode,
};

/// OpenAI's list of models, for a relay's own names: answers `GET …/models` and `GET …/models/{id}`.
///
/// Clones share the list; [`Models::set`] replaces it for all of them at once.
///
/// ```
/// use axum::Router;
/// use tower_relay::server::{Model, Models};
///
/// let models = Models::new([Model::new("gpt-4.1", "openai"), Model::new("fast", "relay")]);
/// let app: Router = Router::new()
///     .route_service("/v1/models", models.clone())
///     .route_service("/v1/models/{*id}", models);
/// ```
#[derive(Debug, Clone, Default)]
pub struct Models {
    list: Arc<ArcSwap<Vec<Model>>>,
    latency: Option<Latency>,
}

/// The 95th percentile of latency of the model of a name.
#[derive(Clone)]
struct Latency(Arc<LatencyOf>);

type LatencyOf = dyn Fn(&str) -> Option<Duration> + Send + Sync;

impl Models {
    /// This list.
    pub fn new(models: impl IntoIterator<Item = Model>) -> Self {
        Self {
            list: Arc::new(ArcSwap::from_pointee(models.into_iter().collect())),
            latency: None,
        }
    }

    /// Also shows how long answers take: `latency` is asked for each model that is listed, by its name, whenever somebody looks.
    #[must_use]
    pub fn with_latency(
        mut self,
        latency: impl Fn(&str) -> Option<Duration> + Send + Sync + 'static,
    ) -> Self {
        self.latency = Some(Latency(Arc::new(latency)));
        self
    }

    /// A model as it is now.
    fn shown<'a>(&self, model: &'a Model) -> Cow<'a, Model> {
        let latency = self
            .latency
            .as_ref()
            .and_then(|latency| (latency.0)(&model.id));
        let Some(latency) = latency.and_then(|latency| u64::try_from(latency.as_millis()).ok())
        else {
            return Cow::Borrowed(model);
        };
        let mut model = model.clone();
        model.latency_p95_ms = Some(latency);
        Cow::Owned(model)
    }

    /// The names that are listed.
    pub fn names(&self) -> Vec<String> {
        self.list
            .load()
            .iter()
            .map(|model| model.id.clone())
            .collect()
    }

    /// Replaces the list: requests from now on see the new one whole.
    pub fn set(&self, models: impl IntoIterator<Item = Model>) {
        self.list.store(Arc::new(models.into_iter().collect()));
    }

    /// Lists what `other` does now.
    #[cfg(feature = "gateway")]
    pub(crate) fn replace(&self, other: &Self) {
        self.list.store(other.list.load_full());
    }

    fn answer<B>(&self, request: &Request<B>) -> Response<ResponseBody> {
        if *request.method() != Method::GET && *request.method() != Method::HEAD {
            let message = "models can only be read: use GET";
            return ApiError::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "invalid_request_error",
                message,
            )
            .to_response(Dialect::OpenAi);
        }
        let models = self.list.load();
        let path = request.uri().path();
        // Behind a router that strips prefixes the whole path is the id, which may have `/models` in it itself.
        let (whole, rest) = (decoded(path), after_models(path).map(decoded));
        let id = rest.as_ref().unwrap_or(&whole);
        let asked = |model: &&Model| model.id == whole || model.id == *id;
        if let Some(model) = models.iter().find(asked) {
            return respond(StatusCode::OK, &self.shown(model));
        }
        if id.is_empty() {
            return respond(
                StatusCode::OK,
                &List::of(models.iter().map(|model| self.shown(model)).collect()),
            );
        }
        ApiError::model_not_found(id).to_response(Dialect::OpenAi)
    }
}

/// What follows the first segment `models` of `path`; `None` where there is none.
fn after_models(path: &str) -> Option<&str> {
    let (_, rest) = path.split_once("/models")?;
    (rest.is_empty() || rest.starts_with('/')).then_some(rest)
}

/// The id in `path`: clients escape the slashes of names such as `openai/gpt-4.1`.
fn decoded(path: &str) -> String {
    String::from_utf8_lossy(&percent_decode(path.trim_matches('/'))).into_owned()
}

impl<B> Service<Request<B>> for Models {
    type Response = Response<ResponseBody>;
    type Error = Infallible;
    type Future = Ready<Result<Response<ResponseBody>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        ready(Ok(self.answer(&request)))
    }
}

impl fmt::Debug for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Latency")
    }
}
