use std::{fmt, sync::Arc};

use serde::Deserialize;
use tower_layer::Layer;

use super::{CostMeter, Drainer, DrainerBuilder, Multiplier};
use crate::{
    key::{KeyBy, Missing},
    ledger::Ledger,
    message::{ConfigError, catalog::ModelCatalog, estimate::TokenEstimator},
    worker::Worker,
};

/// Meters what every attempt used and cost. See the [module](super) for what it does and where it belongs.
#[derive(Debug, Clone)]
pub struct CostMeterLayer {
    shared: Arc<Shared>,
}

/// The configuration of a [`CostMeterLayer`].
#[expect(clippy::struct_excessive_bools, reason = "each is a choice of its own")]
#[derive(Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[must_use]
pub struct CostMeterBuilder {
    #[serde(skip)]
    name: Option<Arc<str>>,
    provider: Option<Box<str>>,
    multiplier: Multiplier,
    stated_cost: StatedCost,
    ask_usage: bool,
    cost_header: bool,
    cost_in_body: bool,
    shadow: bool,
    on_disconnect: Policy,
    #[serde(skip)]
    drainer: Option<Drainer>,
    #[serde(skip)]
    catalog: ModelCatalog,
    #[serde(skip)]
    estimator: TokenEstimator,
    #[serde(skip)]
    ledger: Option<Arc<dyn Ledger>>,
    #[serde(skip, default = "caller")]
    key: KeyBy,
    #[serde(skip)]
    own_names: Option<OwnNames>,
}

/// What an upstream calls a model, where that is another name.
#[derive(Clone)]
pub(super) struct OwnNames(Arc<OwnName>);

type OwnName = dyn Fn(&str) -> Option<Arc<str>> + Send + Sync;

impl OwnNames {
    pub(super) fn of(&self, model: &str) -> Option<Arc<str>> {
        self.0(model)
    }
}

impl fmt::Debug for OwnNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OwnNames")
    }
}

/// What becomes of an attempt whose caller leaves before the end of the answer.
#[non_exhaustive]
#[derive(Debug, Clone, Default)]
pub enum OnDisconnect {
    /// The upstream is let go of, and what it charges is estimated: the prompt, and what was seen of the answer.
    #[default]
    CancelAndEstimate,
    /// The answer is read on, within bounds, to learn what it cost.
    Drain(Drainer),
    /// The upstream is let go of, and charges nothing.
    CancelNoBill,
}

/// [`OnDisconnect`], as it is written.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Policy {
    #[default]
    CancelAndEstimate,
    CancelNoBill,
    Drain(DrainerBuilder),
}

/// What is made of the cost that some providers state in their answers (OpenRouter, Perplexity, xAI, Venice). It is recorded in any
/// case, to be compared.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StatedCost {
    /// It counts before the catalog's prices: it holds fees for tools and searches, which no count of tokens shows.
    #[default]
    Prefer,
    /// It counts where the catalog has no price.
    WhenUnpriced,
    /// It does not count.
    Ignore,
}

/// What all services of one layer share.
#[expect(clippy::struct_excessive_bools, reason = "each is a choice of its own")]
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) name: Arc<str>,
    pub(super) provider: Option<Box<str>>,
    pub(super) multiplier: Multiplier,
    pub(super) stated: StatedCost,
    pub(super) ask_usage: bool,
    pub(super) cost_header: bool,
    pub(super) cost_in_body: bool,
    pub(super) shadow: bool,
    pub(super) on_disconnect: OnDisconnect,
    pub(super) catalog: ModelCatalog,
    pub(super) estimator: TokenEstimator,
    pub(super) ledger: Option<Arc<dyn Ledger>>,
    pub(super) key: KeyBy,
    pub(super) own_names: Option<OwnNames>,
}

impl CostMeterLayer {
    /// Meters by the built-in prices.
    pub fn new() -> Self {
        Self::of(CostMeterBuilder::default(), OnDisconnect::default())
    }

    /// Settings to choose before [`build`](CostMeterBuilder::build).
    pub fn builder() -> CostMeterBuilder {
        CostMeterBuilder::default()
    }

    fn of(builder: CostMeterBuilder, on_disconnect: OnDisconnect) -> Self {
        Self {
            shared: Arc::new(Shared {
                name: builder.name.unwrap_or_else(|| "upstream".into()),
                provider: builder.provider,
                multiplier: builder.multiplier,
                stated: builder.stated_cost,
                ask_usage: builder.ask_usage,
                cost_header: builder.cost_header,
                cost_in_body: builder.cost_in_body,
                shadow: builder.shadow,
                on_disconnect,
                catalog: builder.catalog,
                estimator: builder.estimator,
                ledger: builder.ledger,
                key: builder.key,
                own_names: builder.own_names,
            }),
        }
    }
}

impl Default for CostMeterLayer {
    fn default() -> Self {
        Self::new()
    }
}

fn caller() -> KeyBy {
    KeyBy::api_key().when_missing(Missing::Exempt)
}

impl Default for CostMeterBuilder {
    fn default() -> Self {
        Self {
            name: None,
            provider: None,
            multiplier: Multiplier::ONE,
            stated_cost: StatedCost::default(),
            ask_usage: true,
            cost_header: false,
            cost_in_body: false,
            shadow: false,
            on_disconnect: Policy::default(),
            drainer: None,
            catalog: ModelCatalog::default(),
            estimator: TokenEstimator::default(),
            ledger: None,
            key: caller(),
            own_names: None,
        }
    }
}

impl CostMeterBuilder {
    /// What the upstream is called where neither its answer nor the request says so: `upstream` by default.
    pub fn name(mut self, name: impl Into<Arc<str>>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Whose prices count for models that several providers offer: `bedrock`, `openrouter`.
    pub fn provider(mut self, provider: impl Into<Box<str>>) -> Self {
        self.provider = Some(provider.into());
        self
    }

    /// What the upstream charges of list prices: 1 by default.
    pub fn multiplier(mut self, multiplier: Multiplier) -> Self {
        self.multiplier = multiplier;
        self
    }

    /// What is made of a cost that the provider states.
    pub fn stated_cost(mut self, policy: StatedCost) -> Self {
        self.stated_cost = policy;
        self
    }

    /// Whether streams are asked to state their usage, hidden from callers who did not: on by default. Without it they are
    /// estimated where the caller did not ask.
    pub fn ask_usage(mut self, ask: bool) -> Self {
        self.ask_usage = ask;
        self
    }

    /// Whether answers that are not streamed state the request's cost in [`X_RELAY_COST_USD`](super::X_RELAY_COST_USD): off by
    /// default, because it holds the head back until the body is whole (1 MiB at most; longer ones go without).
    pub fn cost_header(mut self, show: bool) -> Self {
        self.cost_header = show;
        self
    }

    /// Whether `usage` gets a member `cost`, in USD: off by default.
    pub fn cost_in_body(mut self, show: bool) -> Self {
        self.cost_in_body = show;
        self
    }

    /// Marks the records as those of copies whose answers nobody waits for.
    pub fn shadow(mut self, is_shadow: bool) -> Self {
        self.shadow = is_shadow;
        self
    }

    /// What becomes of attempts whose callers leave.
    pub fn on_disconnect(mut self, policy: OnDisconnect) -> Self {
        (self.on_disconnect, self.drainer) = match policy {
            OnDisconnect::CancelAndEstimate => (Policy::CancelAndEstimate, None),
            OnDisconnect::CancelNoBill => (Policy::CancelNoBill, None),
            OnDisconnect::Drain(drainer) => (Policy::CancelAndEstimate, Some(drainer)),
        };
        self
    }

    /// Where prices are found: the built-in catalog by default.
    pub fn catalog(mut self, catalog: ModelCatalog) -> Self {
        self.catalog = catalog;
        self
    }

    /// How prompts are estimated where the upstream does not say.
    pub fn estimator(mut self, estimator: TokenEstimator) -> Self {
        self.estimator = estimator;
        self
    }

    /// Where each attempt is recorded.
    pub fn ledger(mut self, ledger: Arc<dyn Ledger>) -> Self {
        self.ledger = Some(ledger);
        self
    }

    /// Whom attempts are recorded for: the digest of the caller's API key by default, where there is one.
    pub fn key(mut self, key: KeyBy) -> Self {
        self.key = key;
        self
    }

    /// What a layer further in makes of a model's name, `None` for one that stays: an attempt that is dropped before its answer names
    /// the model is priced by it. All names stay, unless it is said.
    pub fn own_names(
        mut self,
        own: impl Fn(&str) -> Option<Arc<str>> + Send + Sync + 'static,
    ) -> Self {
        self.own_names = Some(OwnNames(Arc::new(own)));
        self
    }

    /// Makes the drainer that the configuration asks for, if it does, and its worker.
    ///
    /// # Errors
    ///
    /// When a bound of it is zero.
    pub fn with_drainer(self) -> Result<(Self, Option<Worker>), ConfigError> {
        let Policy::Drain(bounds) = self.on_disconnect else {
            return Ok((self, None));
        };
        let within = |error: ConfigError| error.within("drain").within("on_disconnect");
        let (drainer, worker) = bounds.build().map_err(within)?;
        let made = self.on_disconnect(OnDisconnect::Drain(drainer));
        Ok((made, Some(worker)))
    }

    /// The layer.
    ///
    /// # Errors
    ///
    /// When the configuration asks for a drainer that was not [made](Self::with_drainer).
    pub fn build(mut self) -> Result<CostMeterLayer, ConfigError> {
        let on_disconnect = match (self.drainer.take(), self.on_disconnect) {
            (Some(drainer), _) => OnDisconnect::Drain(drainer),
            (None, Policy::CancelAndEstimate) => OnDisconnect::CancelAndEstimate,
            (None, Policy::CancelNoBill) => OnDisconnect::CancelNoBill,
            (None, Policy::Drain(_)) => {
                let reason = "a drainer has a worker: make it by `with_drainer` first";
                return Err(ConfigError::new("on_disconnect", reason));
            }
        };
        Ok(CostMeterLayer::of(self, on_disconnect))
    }
}

impl fmt::Debug for CostMeterBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CostMeterBuilder")
            .field("name", &self.name)
            .field("provider", &self.provider)
            .field("multiplier", &self.multiplier)
            .field("stated_cost", &self.stated_cost)
            .field("ask_usage", &self.ask_usage)
            .field("cost_header", &self.cost_header)
            .field("cost_in_body", &self.cost_in_body)
            .field("on_disconnect", &self.on_disconnect)
            .field("drainer", &self.drainer)
            .field("ledger", &self.ledger)
            .finish_non_exhaustive()
    }
}

impl<S> Layer<S> for CostMeterLayer {
    type Service = CostMeter<S>;

    fn layer(&self, inner: S) -> CostMeter<S> {
        CostMeter::new(inner, Arc::clone(&self.shared))
    }
}
