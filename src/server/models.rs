//! `/v1/models` and `/v1/models/{id}`.

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
use serde::{Deserialize, Serialize};
use tower_service::Service;

use super::json::respond;
use crate::{
    message::{
        ApiError, Dialect, Endpoint, ResponseBody,
        catalog::{Capabilities, ModelInfo, Rates},
    },
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

/// One entry of [`Models`], as OpenAI writes it.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Model {
    /// The name that requests ask for.
    pub id: String,
    object: Object,
    /// When it was made, in seconds since 1970; 0 where that is not known.
    pub created: u64,
    /// Who offers it.
    pub owned_by: String,
    /// Tokens of prompt that it takes at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_window: Option<u64>,
    /// Tokens of answer that it gives at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_output_tokens: Option<u64>,
    /// What it can do, as far as that is known.
    #[serde(default, skip_serializing_if = "Capabilities::is_empty")]
    pub capabilities: Capabilities,
    /// The endpoints that serve it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoints: Option<Vec<Endpoint>>,
    /// The 95th percentile of the time to the end of its answers within the last minute, in milliseconds, where it was asked for and that is
    /// [known](Models::with_latency).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_p95_ms: Option<u64>,
    /// Its ordinary prices, as decimals in text: USD per million tokens; `per_request` in USD.
    #[serde(default, skip_serializing_if = "Rates::is_empty")]
    pub prices: Rates,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Object {
    #[default]
    Model,
    List,
}

#[derive(Serialize)]
struct List<'a> {
    object: Object,
    data: Vec<Cow<'a, Model>>,
}

impl Model {
    /// The model `id`, offered by `owned_by`.
    pub fn new(id: impl Into<String>, owned_by: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            object: Object::Model,
            created: 0,
            owned_by: owned_by.into(),
            context_window: None,
            max_output_tokens: None,
            capabilities: Capabilities::default(),
            endpoints: None,
            latency_p95_ms: None,
            prices: Rates::default(),
        }
    }

    /// The same model with what a catalog knows of it, shown after OpenAI's members.
    pub fn with_info(mut self, info: &ModelInfo) -> Self {
        self.context_window = info.context_window;
        self.max_output_tokens = info.max_output_tokens;
        self.capabilities = info.capabilities;
        self.endpoints.clone_from(&info.endpoints);
        self.prices = info
            .prices
            .as_ref()
            .map(|prices| prices.base)
            .unwrap_or_default();
        self
    }
}

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
        Cow::Owned(Model {
            latency_p95_ms: Some(latency),
            ..model.clone()
        })
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
                &List {
                    object: Object::List,
                    data: models.iter().map(|model| self.shown(model)).collect(),
                },
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

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    use super::*;
    use crate::message::catalog::{Price, Prices};

    async fn get(models: &Models, method: Method, path: &str) -> (StatusCode, String) {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .body(())
            .unwrap();
        let response = models.clone().oneshot(request).await.unwrap();
        let status = response.status();
        (
            status,
            String::from_utf8(
                response
                    .into_body()
                    .collect()
                    .await
                    .unwrap()
                    .to_bytes()
                    .to_vec(),
            )
            .unwrap(),
        )
    }

    #[tokio::test]
    async fn the_list_and_each_of_its_models_are_openais() {
        let models = Models::new([Model::new("a", "x"), Model::new("org/b", "y")]);
        let list = r#"{"object":"list","data":[{"id":"a","object":"model","created":0,"owned_by":"x"},{"id":"org/b","object":"model","created":0,"owned_by":"y"}]}"#;
        assert_eq!(
            get(&models, Method::GET, "/v1/models").await,
            (StatusCode::OK, list.to_owned())
        );
        assert_eq!(
            get(&models, Method::GET, "/v1/models/").await.0,
            StatusCode::OK
        );
        let b = r#"{"id":"org/b","object":"model","created":0,"owned_by":"y"}"#;
        for path in ["/v1/models/org/b", "/v1/models/org%2Fb", "/org/b"] {
            assert_eq!(
                get(&models, Method::GET, path).await,
                (StatusCode::OK, b.to_owned()),
                "{path}"
            );
        }
    }

    #[tokio::test]
    async fn an_id_may_have_models_in_it_whether_or_not_a_router_strips_the_prefix() {
        let id = "accounts/fireworks/models/llama-v3p1-8b";
        let models = Models::new([Model::new("llama", "x"), Model::new(id, "y")]);
        for prefix in ["/v1/models", "/openai/v1/models", ""] {
            let (status, body) = get(&models, Method::GET, &format!("{prefix}/{id}")).await;
            assert_eq!(status, StatusCode::OK, "{prefix}");
            assert!(body.contains(id), "{body}");
        }
        let path = "/v1/models/accounts/fireworks/models/other";
        let (status, body) = get(&models, Method::GET, path).await;
        assert_eq!(status, StatusCode::NOT_FOUND);
        assert!(body.contains("'accounts/fireworks/models/other'"), "{body}");
    }

    #[tokio::test]
    async fn what_a_catalog_knows_follows_openais_members() {
        let mut info = ModelInfo::new("acme-1");
        info.context_window = Some(128_000);
        info.capabilities.tools = Some(true);
        info.endpoints = Some(vec![Endpoint::ChatCompletions]);
        let mut prices = Prices::default();
        prices.base.input = Price::per_million("0.10");
        prices.base.output = Price::per_million("0.42");
        prices.base.per_request = Price::per_unit("0.005");
        info.prices = Some(prices);
        let model = Model::new("fast", "relay").with_info(&info);
        let json = r#"{"id":"fast","object":"model","created":0,"owned_by":"relay","context_window":128000,"capabilities":{"tools":true},"endpoints":["chat_completions"],"prices":{"input":"0.1","output":"0.42","per_request":"0.005"}}"#;
        let models = Models::new([model.clone()]);
        assert_eq!(
            get(&models, Method::GET, "/v1/models/fast").await,
            (StatusCode::OK, json.to_owned())
        );
        assert_eq!(serde_json::from_str::<Model>(json).unwrap(), model);
    }

    #[tokio::test]
    async fn how_long_answers_take_is_asked_when_somebody_looks() {
        let models = Models::new([Model::new("fast", "x"), Model::new("idle", "x")]);
        let models =
            models.with_latency(|name| (name == "fast").then(|| Duration::from_millis(120)));
        let (_, list) = get(&models, Method::GET, "/v1/models").await;
        assert_eq!(list.matches("latency_p95_ms").count(), 1, "{list}");
        let (_, fast) = get(&models, Method::GET, "/v1/models/fast").await;
        assert!(fast.contains(r#""latency_p95_ms":120"#), "{fast}");
    }

    #[tokio::test]
    async fn an_unknown_model_is_openais_404() {
        let (status, body) = get(&Models::default(), Method::GET, "/v1/models/gpt-9").await;
        assert_eq!(status, StatusCode::NOT_FOUND);
        assert!(body.contains(r#""code":"model_not_found""#), "{body}");
        assert_eq!(
            get(&Models::default(), Method::DELETE, "/v1/models/x")
                .await
                .0,
            StatusCode::METHOD_NOT_ALLOWED
        );
    }

    #[tokio::test]
    async fn clones_see_a_new_list() {
        let models = Models::default();
        let clone = models.clone();
        models.set([Model::new("new", "x")]);
        assert_eq!(
            get(&clone, Method::GET, "/v1/models/new").await.0,
            StatusCode::OK
        );
    }
}
