use std::{fmt, sync::Arc};

use http::{Request, StatusCode};
use tokio::time::Instant;
use tower_layer::Layer;

use super::{
    BuiltinCheck, Check, EscalationBuilder, Features, ModelSelect, ModelSelectBuilder, Scorer,
    choose::{Choice, Needs, Search, Tier, Unfit},
    logprobs,
    sticky::Sticky,
};
use crate::{
    message::{
        self, AllowedModels, ApiError, Bill, Endpoint, HeldCap, ModelPattern, RequestBody,
        Selection, catalog::ModelCatalog,
    },
    wire::{clock, json::Value},
};

/// Picks a model for requests that leave the choice to the relay.
///
/// See the [module](super) for what it does and where it belongs.
#[derive(Debug, Clone)]
pub struct ModelSelectLayer {
    shared: Arc<Shared>,
}

/// Whether a request would be served if it were for a model.
pub(super) type Served = Arc<dyn Fn(&str, &Request<RequestBody>) -> bool + Send + Sync>;

/// What all services of one layer share.
pub(super) struct Shared {
    scorer: Arc<dyn Scorer>,
    pub(super) tiers: Vec<Tier>,
    names: Vec<ModelPattern>,
    flag: String,
    always: bool,
    cheapest: bool,
    pub(super) sticky: Option<Sticky>,
    pub(super) escalation: Option<Escalation>,
    catalog: ModelCatalog,
    served: Option<Served>,
}

/// When another model is tried.
#[derive(Debug)]
pub(super) struct Escalation {
    pub(super) on_context: bool,
    pub(super) checks: Vec<Arc<dyn Check>>,
    pub(super) streams: bool,
    asks_logprobs: bool,
    pub(super) max_answer: u64,
    pub(super) held: Arc<HeldCap>,
}

/// A request whose model was chosen.
#[derive(Debug, Clone)]
pub(super) struct Selected {
    pub(super) choice: Choice,
    pub(super) selection: Selection,
    pub(super) conversation: Option<u64>,
    /// The models that the caller may ask for, where not all and the choice was not asked for by its name.
    pub(super) allowed: Option<AllowedModels>,
    /// Whether the caller is not to see the probabilities that the relay asked for.
    pub(super) hides_logprobs: bool,
}

impl ModelSelectLayer {
    /// Settings to choose before [`build`](ModelSelectBuilder::build).
    pub fn builder() -> ModelSelectBuilder {
        ModelSelectBuilder::default()
    }

    pub(super) fn of(
        builder: ModelSelectBuilder,
        scorer: Arc<dyn Scorer>,
        tiers: Vec<Tier>,
    ) -> Self {
        let sticky = (!builder.sticky.is_zero()).then(|| Sticky::new(builder.sticky));
        let shared = Shared {
            scorer,
            tiers,
            names: builder.names,
            flag: builder.flag,
            always: builder.always,
            cheapest: builder.cheapest,
            sticky,
            escalation: builder.escalation.map(Escalation::of),
            catalog: builder.catalog,
            served: builder.served,
        };
        Self {
            shared: Arc::new(shared),
        }
    }
}

impl Escalation {
    fn of(builder: EscalationBuilder) -> Self {
        let asks_logprobs = builder.checks.contains(&BuiltinCheck::LowLogprob);
        let builtin = builder.checks.into_iter();
        let builtin = builtin.map(|check| Arc::new(check) as Arc<dyn Check>);
        Self {
            on_context: builder.on_context,
            checks: builtin.chain(builder.own_checks).collect(),
            streams: builder.streams,
            asks_logprobs,
            max_answer: builder.max_answer,
            held: HeldCap::new(builder.max_held),
        }
    }
}

impl Shared {
    /// Chooses for `request`, where that is asked for, and puts the choice into it.
    pub(super) fn select(
        &self,
        request: &mut Request<RequestBody>,
    ) -> Result<Option<Selected>, ApiError> {
        let endpoint = Endpoint::of(request);
        // What is malformed is for those to refuse who have to read it.
        let Ok(Some(members)) = request.body().members() else {
            return Ok(None);
        };
        if !is_generation(endpoint) {
            return Ok(None);
        }
        let flag = (!self.flag.is_empty())
            .then(|| members.get(&self.flag))
            .flatten();
        let asked = members.get("model").and_then(Value::as_str);
        let is_named = asked
            .as_deref()
            .is_some_and(|model| self.names.iter().any(|name| name.matches(model)));
        let is_asked = is_named || self.always || flag.and_then(Value::as_bool) == Some(true);
        if !is_asked {
            if flag.is_some() {
                message::edit(request, |edit| {
                    edit.remove(&self.flag);
                })?;
            }
            return Ok(None);
        }
        let Some(features) = Features::of(request.body()) else {
            return Ok(None);
        };
        let score = self.scorer.score(&features);
        let tier = score.tier.min(self.tiers.len().saturating_sub(1));
        // Who may ask for the choice by its name may ask for whatever is chosen.
        let allowed = request.extensions().get::<AllowedModels>();
        let allowed = allowed.filter(|_| !is_named).cloned();
        let may = |model: &str| self.may_take(model, allowed.as_ref(), request);
        let needs = Needs::of(endpoint, request.body()).among(&may);
        let table = self.catalog.table();
        let search = self.search(&table);
        let conversation = self.sticky.as_ref().and_then(|s| s.conversation(request));
        let kept = self.kept(conversation);
        let kept = kept.filter(|choice| search.may_stay(&choice.model, &needs));
        let is_kept = kept.is_some();
        let choice = match kept {
            Some(choice) => choice,
            None => search.choose(tier, &needs).map_err(refusal)?,
        };
        let complexity: Arc<str> = match score.points {
            Some(points) => points.to_string().into(),
            None => self.tiers.get(tier).map_or("", |tier| tier.name).into(),
        };
        let mut reason = score.reason.into_owned();
        if is_kept {
            reason.push_str("; the conversation's model");
        } else if choice.tier != tier {
            reason.push_str("; no model of its tier takes it");
        }
        let hides_logprobs = self.escalation.as_ref().is_some_and(|escalation| {
            escalation.asks_logprobs
                && (escalation.streams || !request.body().is_streaming())
                && logprobs::are_missing(endpoint, request.body())
        });
        let selection = Selection::new(Arc::clone(&choice.model), complexity).because(reason);
        if let (Some(asked), Some(bill)) = (&asked, request.extensions().get::<Bill>()) {
            bill.note_asked(asked);
        }
        let has_flag = flag.is_some();
        message::edit(request, |edit| {
            edit.set("model", &*selection.model);
            if has_flag {
                edit.remove(&self.flag);
            }
            if hides_logprobs {
                edit.set("logprobs", true);
            }
        })?;
        self.keep(conversation, &choice);
        let selected = Selected {
            choice,
            selection,
            conversation,
            allowed,
            hides_logprobs,
        };
        note(&selected.selection, request);
        Ok(Some(selected))
    }

    /// The model to go on with after `selected` had not enough room, or (`is_long` being false) gave an answer that will not do.
    pub(super) fn next(
        &self,
        selected: &Selected,
        request: &Request<RequestBody>,
        is_long: bool,
    ) -> Option<Choice> {
        let may = |model: &str| self.may_take(model, selected.allowed.as_ref(), request);
        let needs = Needs::of(Endpoint::of(request), request.body()).among(&may);
        let table = self.catalog.table();
        let search = self.search(&table);
        if is_long {
            search.roomier(&selected.choice, &needs)
        } else {
            search.better(&selected.choice, &needs)
        }
    }

    /// Whether `model` is the caller's to have: one that he may ask for, and that somebody serves him.
    fn may_take(
        &self,
        model: &str,
        allowed: Option<&AllowedModels>,
        request: &Request<RequestBody>,
    ) -> bool {
        allowed.is_none_or(|allowed| allowed.contains(model))
            && self
                .served
                .as_ref()
                .is_none_or(|served| served(model, request))
    }

    /// Remembers the choice of a conversation.
    pub(super) fn keep(&self, conversation: Option<u64>, choice: &Choice) {
        if let (Some(sticky), Some(conversation)) = (&self.sticky, conversation) {
            sticky.set(conversation, choice.clone(), Instant::now());
        }
    }

    fn kept(&self, conversation: Option<u64>) -> Option<Choice> {
        self.sticky.as_ref()?.get(conversation?, Instant::now())
    }

    fn search<'a>(&'a self, table: &'a message::catalog::ModelTable) -> Search<'a> {
        Search {
            tiers: &self.tiers,
            table,
            cheapest_at: self.cheapest.then(clock::now),
        }
    }
}

/// Tells those further in, and whoever reads spans and logs.
pub(super) fn note(selection: &Selection, request: &mut Request<RequestBody>) {
    tracing::Span::current()
        .record("relay.model", &*selection.model)
        .record("relay.complexity", &*selection.complexity)
        .record("relay.model_reason", &*selection.reason);
    tracing::debug!(
        model = &*selection.model,
        complexity = &*selection.complexity,
        reason = &*selection.reason,
        "a model is chosen"
    );
    request.extensions_mut().insert(selection.clone());
}

/// Whether a request of this endpoint could be one for any model of the tiers.
fn is_generation(endpoint: Endpoint) -> bool {
    matches!(
        endpoint,
        Endpoint::ChatCompletions
            | Endpoint::Completions
            | Endpoint::Responses
            | Endpoint::Messages
    )
}

fn refusal(unfit: Unfit) -> ApiError {
    match unfit {
        Unfit::TooLong { window, estimate } => ApiError::invalid_request(format!(
            "The largest context length of the models to choose from is {window} tokens. However, your prompt has about {estimate} tokens. \
             Please reduce its length."
        ))
        .with_code(CONTEXT_LENGTH_EXCEEDED),
        Unfit::Lacks(param) => {
            let message = format!("None of the models to choose from supports '{param}' as asked.");
            ApiError::new(StatusCode::BAD_REQUEST, "invalid_request_error", message)
                .with_param(param)
                .with_code("unsupported_parameter")
        }
        Unfit::NotAllowed => {
            let message = "You are not allowed to use any of the models to choose from.";
            ApiError::new(StatusCode::FORBIDDEN, "invalid_request_error", message)
                .with_code("model_not_allowed")
        }
    }
}

/// OpenAI's code for a prompt beyond the window.
pub(super) const CONTEXT_LENGTH_EXCEEDED: &str = "context_length_exceeded";

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("scorer", &self.scorer)
            .field("tiers", &self.tiers)
            .field("names", &self.names)
            .field("escalation", &self.escalation)
            .finish_non_exhaustive()
    }
}

impl<S> Layer<S> for ModelSelectLayer {
    type Service = ModelSelect<S>;

    fn layer(&self, inner: S) -> ModelSelect<S> {
        ModelSelect::new(inner, Arc::clone(&self.shared))
    }
}
