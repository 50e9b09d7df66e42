//! A named set of upstreams to choose from.

use std::{
    borrow::Cow,
    collections::HashSet,
    convert::Infallible,
    fmt,
    future::{Future, ready},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response, StatusCode};
use tower::util::BoxCloneSyncService;
use tower_service::Service;

use crate::message::{
    AllowedUpstreams, ApiError, Chosen, ConfigError, Endpoint, ModelPattern, Reason, Rejection,
    RequestBody, ResponseBody, catalog::Capabilities,
};

/// One member of [`Upstreams`]: a complete stack, boxed once, with its name and what it can do.
///
/// It is a service itself. Each clone readies on its own.
#[derive(Clone)]
pub struct Target {
    about: Arc<About>,
    stack: BoxCloneSyncService<Request<RequestBody>, Response<ResponseBody>, Infallible>,
}

#[derive(Clone)]
struct About {
    name: Arc<str>,
    label: Option<String>,
    endpoints: Option<HashSet<Endpoint>>,
    models: Option<Vec<ModelPattern>>,
    capabilities: Capabilities,
    own_names: Option<OwnNames>,
    /// The names of the upstreams that it sends to, where it is none itself.
    reaches: Option<Arc<[Arc<str>]>>,
}

/// What a stack makes of a model's name.
type OwnNames = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

impl Target {
    /// The stack called `name`.
    pub fn new<S>(name: impl Into<Arc<str>>, stack: S) -> Self
    where
        S: Service<Request<RequestBody>, Response = Response<ResponseBody>, Error = Infallible>
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send + 'static,
    {
        let about = About {
            name: name.into(),
            label: None,
            endpoints: None,
            models: None,
            capabilities: Capabilities::default(),
            own_names: None,
            reaches: None,
        };
        Self {
            about: Arc::new(about),
            stack: BoxCloneSyncService::new(stack),
        }
    }

    /// A name for people.
    pub fn label(self, label: impl Into<String>) -> Self {
        self.describe(|about| about.label = Some(label.into()))
    }

    /// Serves these endpoints only. All, unless it is said.
    pub fn endpoints(self, endpoints: impl IntoIterator<Item = Endpoint>) -> Self {
        self.describe(|about| about.endpoints = Some(endpoints.into_iter().collect()))
    }

    /// Serves these models only: names, or patterns with a `*`. All, unless it is said.
    pub fn models(self, models: impl IntoIterator<Item = ModelPattern>) -> Self {
        self.describe(|about| about.models = Some(models.into_iter().collect()))
    }

    /// States the same as `other` of endpoints, models and what it can do: for a stack that begins with it.
    pub fn like(self, other: &Self) -> Self {
        self.describe(|about| {
            let (name, label) = (Arc::clone(&about.name), about.label.take());
            let reaches = about.reaches.take();
            *about = About {
                name,
                label,
                reaches,
                ..About::clone(&other.about)
            };
        })
    }

    /// States that its stack sends nothing anywhere but to these, which then decide what may be [sent](AllowedUpstreams) to it. A
    /// target is otherwise an upstream of its own name.
    pub fn over<'a>(self, members: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut reaches = Vec::new();
        for member in members {
            match &member.about.reaches {
                Some(names) => reaches.extend(names.iter().cloned()),
                None => reaches.push(Arc::clone(member.name())),
            }
        }
        self.describe(|about| about.reaches = Some(reaches.into()))
    }

    /// Whether any upstream that it sends to is allowed.
    pub fn is_allowed(&self, allowed: &AllowedUpstreams) -> bool {
        match &self.about.reaches {
            Some(names) => names.iter().any(|name| allowed.contains(name)),
            None => allowed.contains(&self.about.name),
        }
    }

    fn describe(mut self, change: impl FnOnce(&mut About)) -> Self {
        change(Arc::make_mut(&mut self.about));
        self
    }

    /// States what it can do, whichever model is asked for: streaming, tools, images, JSON. Unknown, unless it is said.
    pub fn capabilities(self, capabilities: Capabilities) -> Self {
        self.describe(|about| about.capabilities = capabilities)
    }

    /// What it is stated to be able to do.
    pub fn stated_capabilities(&self) -> Capabilities {
        self.about.capabilities
    }

    /// States what its stack makes of a model's name, so that others can look up what the model is there; `None` for names that
    /// stay as they are. All do, unless it is said.
    pub fn own_names(self, own: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Self {
        self.describe(|about| about.own_names = Some(Arc::new(own)))
    }

    /// What its stack makes of the name `model`, as far as it is stated.
    pub fn own_name<'a>(&self, model: &'a str) -> Cow<'a, str> {
        let own = self.about.own_names.as_ref().and_then(|own| own(model));
        own.map_or(Cow::Borrowed(model), Cow::Owned)
    }

    /// The name under which it is chosen.
    pub fn name(&self) -> &Arc<str> {
        &self.about.name
    }

    /// Its name for people: the label, or else the name.
    pub fn display_name(&self) -> &str {
        self.about.label.as_deref().unwrap_or(&self.about.name)
    }

    /// Whether it serves `endpoint`.
    pub fn serves_endpoint(&self, endpoint: Endpoint) -> bool {
        self.about
            .endpoints
            .as_ref()
            .is_none_or(|served| served.contains(&endpoint))
    }

    /// Whether it serves `model`; every model, where it does not say which.
    pub fn serves_model(&self, model: &str) -> bool {
        self.about
            .models
            .as_ref()
            .is_none_or(|served| served.iter().any(|pattern| pattern.matches(model)))
    }

    /// Whether it names the models that it serves.
    pub fn names_models(&self) -> bool {
        self.about.models.is_some()
    }
}

impl Service<Request<RequestBody>> for Target {
    type Response = Response<ResponseBody>;
    type Error = Infallible;
    type Future = TargetFuture;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.stack.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<RequestBody>) -> TargetFuture {
        let allowed = request.extensions().get::<AllowedUpstreams>();
        if allowed.is_some_and(|allowed| !self.is_allowed(allowed)) {
            let refused = not_allowed(&request);
            return TargetFuture(Box::pin(ready(Ok(refused))));
        }
        request
            .extensions_mut()
            .insert(Chosen(Arc::clone(&self.about.name)));
        TargetFuture(self.stack.call(request))
    }
}

fn not_allowed(request: &Request<RequestBody>) -> Response<ResponseBody> {
    let message = "this request may not be sent to the upstream that serves it";
    let error = ApiError::new(StatusCode::FORBIDDEN, "invalid_request_error", message)
        .with_code("upstream_not_allowed");
    let dialect = Endpoint::of(request).dialect();
    Rejection::new("upstreams", Reason::UpstreamNotAllowed).into_response(&error, dialect)
}

/// The future of [`Target`].
#[must_use = "futures do nothing unless polled"]
pub struct TargetFuture(
    Pin<Box<dyn Future<Output = Result<Response<ResponseBody>, Infallible>> + Send>>,
);

impl Future for TargetFuture {
    type Output = Result<Response<ResponseBody>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx)
    }
}

/// A named set of [`Target`]s, in order of preference: what the layers that choose an upstream choose from.
#[derive(Clone)]
pub struct Upstreams {
    targets: Arc<[Target]>,
}

/// Gathers [`Upstreams`].
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct UpstreamsBuilder {
    targets: Vec<Target>,
}

impl Upstreams {
    /// An empty set to add to.
    pub fn builder() -> UpstreamsBuilder {
        UpstreamsBuilder::default()
    }

    /// The target called `name`.
    pub fn get(&self, name: &str) -> Option<&Target> {
        self.targets.iter().find(|target| &**target.name() == name)
    }

    /// The targets in order of preference.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Target> {
        self.targets.iter()
    }

    /// Those that are called `names`, in that order: all, where none is named.
    ///
    /// # Errors
    ///
    /// When one is not there, or is named twice.
    pub(crate) fn select(&self, names: &[String]) -> Result<Vec<Target>, ConfigError> {
        if names.is_empty() {
            return Ok(self.iter().cloned().collect());
        }
        let mut chosen: Vec<Target> = Vec::new();
        for (index, name) in names.iter().enumerate() {
            let wrong = |reason| Err(ConfigError::new(index.to_string(), reason).within("targets"));
            let Some(target) = self.get(name) else {
                let known: Vec<_> = self.iter().map(|target| &**target.name()).collect();
                let known = known.join(", ");
                return wrong(format!("{name:?} is not there: known are {known}"));
            };
            if chosen.iter().any(|other| other.name() == target.name()) {
                return wrong(format!("{name:?} is there twice"));
            }
            chosen.push(target.clone());
        }
        Ok(chosen)
    }

    /// How many there are: at least one.
    #[expect(clippy::len_without_is_empty, reason = "it is never empty")]
    pub fn len(&self) -> usize {
        self.targets.len()
    }
}

impl UpstreamsBuilder {
    /// Adds a target, less preferred than those before it.
    #[expect(clippy::should_implement_trait, reason = "a set of targets is no sum")]
    pub fn add(mut self, target: Target) -> Self {
        self.targets.push(target);
        self
    }

    /// The set.
    ///
    /// # Errors
    ///
    /// When it is empty, or a name is empty or there twice.
    pub fn build(self) -> Result<Upstreams, ConfigError> {
        let mut names = HashSet::new();
        for target in &self.targets {
            if target.name().is_empty() {
                return Err(ConfigError::new("upstreams", "a target has an empty name"));
            }
            if !names.insert(target.name()) {
                return Err(ConfigError::new(
                    "upstreams",
                    format!("{:?} is there twice", target.name()),
                ));
            }
        }
        if self.targets.is_empty() {
            return Err(ConfigError::new("upstreams", "there must be at least one"));
        }
        Ok(Upstreams {
            targets: self.targets.into(),
        })
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target")
            .field("name", &self.about.name)
            .field("label", &self.about.label)
            .field("endpoints", &self.about.endpoints)
            .field("models", &self.about.models)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for TargetFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TargetFuture").finish_non_exhaustive()
    }
}

impl fmt::Debug for Upstreams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.targets.iter()).finish()
    }
}
