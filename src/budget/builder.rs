use std::{collections::HashSet, fmt, sync::Arc, time::SystemTime};

use super::{Budget, BudgetLayer};
use crate::{
    message::{ConfigError, catalog::ModelCatalog, estimate::TokenEstimator},
    reserve::BudgetStore,
    wire::clock,
};

pub(super) type Resolve = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;
pub(super) type Clock = Arc<dyn Fn() -> SystemTime + Send + Sync>;

/// What a [`BudgetLayer`] keeps to, and how it estimates.
#[derive(Clone)]
#[must_use]
pub struct BudgetBuilder {
    pub(super) budgets: Vec<Budget>,
    pub(super) default_output: u64,
    pub(super) headers: bool,
    pub(super) metered: bool,
    pub(super) max_keys: usize,
    pub(super) catalog: ModelCatalog,
    pub(super) estimator: TokenEstimator,
    pub(super) resolve: Option<Resolve>,
    pub(super) store: Option<Arc<dyn BudgetStore>>,
    pub(super) clock: Clock,
}

impl Default for BudgetBuilder {
    fn default() -> Self {
        Self {
            budgets: Vec::new(),
            default_output: 1_000,
            headers: true,
            metered: false,
            max_keys: 100_000,
            catalog: ModelCatalog::default(),
            estimator: TokenEstimator::default(),
            resolve: None,
            store: None,
            clock: Arc::new(clock::now),
        }
    }
}

impl BudgetBuilder {
    /// The most budgets of one layer.
    const MAX: usize = 16;

    /// Adds a budget: a request must have room in all of them, at most 16. Organisation, team and key are three.
    pub fn budget(mut self, budget: Budget) -> Self {
        self.budgets.push(budget);
        self
    }

    /// Adds several.
    pub fn budgets(mut self, budgets: impl IntoIterator<Item = Budget>) -> Self {
        self.budgets.extend(budgets);
        self
    }

    /// How many tokens of output are reserved where a request has no cap and no answer of its model was seen: 1,000 by default.
    pub fn default_output(mut self, tokens: u64) -> Self {
        self.default_output = tokens;
        self
    }

    /// Whether answers say that a soft limit is reached ([`X_RELAY_BUDGET_WARNING`](super::X_RELAY_BUDGET_WARNING)) or that another
    /// model was asked ([`X_RELAY_BUDGET_MODEL`](super::X_RELAY_BUDGET_MODEL)): they do by default.
    pub fn headers(mut self, told: bool) -> Self {
        self.headers = told;
        self
    }

    /// Says that every attempt passes a meter further in, so that a request without one has cost nothing. Otherwise, the default, an
    /// answer that no meter has seen is priced by the usage that it states.
    pub fn metered(mut self, all: bool) -> Self {
        self.metered = all;
        self
    }

    /// How many keys of each budget are counted apart at a time: 100,000 by default. Those that are too many share one account; a
    /// key that has spent nothing and waits for nothing takes no room. A [store](Self::store) that replicas share keeps all of them; this
    /// is how many this process then remembers.
    pub fn max_keys(mut self, keys: usize) -> Self {
        self.max_keys = keys;
        self
    }

    /// Where prices are found: the built-in catalog by default.
    pub fn catalog(mut self, catalog: ModelCatalog) -> Self {
        self.catalog = catalog;
        self
    }

    /// What estimates prompts: by bytes by default.
    pub fn estimator(mut self, estimator: TokenEstimator) -> Self {
        self.estimator = estimator;
        self
    }

    /// What the models that callers name are called in the catalog, where a layer further in puts other names in their place. It runs
    /// on the request's path: it must not block.
    pub fn names(
        mut self,
        resolve: impl Fn(&str) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        self.resolve = Some(Arc::new(resolve));
        self
    }

    /// Keeps what is spent where other replicas do, too, so that all have one budget together: `RedisLimiter::budgets` (feature `redis`).
    /// In this process by default.
    pub fn store(mut self, store: Arc<dyn BudgetStore>) -> Self {
        self.store = Some(store);
        self
    }

    #[cfg(test)]
    pub(super) fn clock(mut self, clock: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// The layer.
    ///
    /// # Errors
    ///
    /// When there is no budget, more than 16, or two of a name; a name is empty, too long or not ASCII; a soft limit is above its hard
    /// one; or there is no room for a key.
    pub fn build(self) -> Result<BudgetLayer, ConfigError> {
        if self.budgets.is_empty() || self.budgets.len() > Self::MAX {
            return Err(ConfigError::new("budgets", "must be 1 to 16"));
        }
        let mut names = HashSet::new();
        for (index, budget) in self.budgets.iter().enumerate() {
            let within = |error: ConfigError| error.within(&index.to_string());
            budget.check().map_err(within)?;
            if !names.insert(&budget.name) {
                let reason = format!("{:?} is there twice", budget.name);
                return Err(within(ConfigError::new("name", reason)));
            }
        }
        if self.max_keys == 0 {
            return Err(ConfigError::new("max_keys", "must be at least 1"));
        }
        Ok(BudgetLayer::of(self))
    }
}

impl fmt::Debug for BudgetBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BudgetBuilder")
            .field("budgets", &self.budgets)
            .field("default_output", &self.default_output)
            .field("headers", &self.headers)
            .field("metered", &self.metered)
            .field("max_keys", &self.max_keys)
            .field("store", &self.store)
            .finish_non_exhaustive()
    }
}
