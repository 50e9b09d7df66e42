use std::{fmt, sync::Arc, time::SystemTime};

use tower_layer::Layer;

use super::{
    Budget, BudgetBuilder, BudgetHandle, BudgetService,
    accounts::{Accounts, Open},
    builder::{Clock, Resolve},
    state::Books,
};
use crate::{
    message::{
        catalog::ModelCatalog,
        estimate::{TokenEstimator, Typical},
    },
    reserve::BudgetStore,
};

/// Keeps what each key spends within budgets. See the [module](super) for what it does and where it belongs.
#[derive(Debug, Clone)]
pub struct BudgetLayer {
    shared: Arc<Shared>,
}

/// What all services of one layer share.
pub(super) struct Shared {
    pub(super) budgets: Box<[Budget]>,
    pub(super) default_output: u64,
    pub(super) headers: bool,
    pub(super) metered: bool,
    pub(super) catalog: ModelCatalog,
    pub(super) estimator: TokenEstimator,
    pub(super) resolve: Option<Resolve>,
    pub(super) typical: Typical,
    pub(super) store: Option<Arc<dyn BudgetStore>>,
    clock: Clock,
    accounts: Accounts,
}

impl BudgetLayer {
    /// Settings to choose before [`build`](BudgetBuilder::build).
    pub fn builder() -> BudgetBuilder {
        BudgetBuilder::default()
    }

    pub(super) fn of(builder: BudgetBuilder) -> Self {
        let books = Books::new(&builder.budgets, builder.max_keys, (builder.clock)());
        let shared = Shared {
            budgets: builder.budgets.into(),
            default_output: builder.default_output,
            headers: builder.headers,
            metered: builder.metered,
            catalog: builder.catalog,
            estimator: builder.estimator,
            resolve: builder.resolve,
            typical: Typical::new(),
            store: builder.store,
            clock: builder.clock,
            accounts: Accounts::new(books),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Goes on, from the moment of the call, with what `before` has counted of budgets of the same name and calendar.
    #[cfg(feature = "gateway")]
    pub(crate) fn take_over(&self, before: &BudgetHandle) -> impl FnOnce() + Send + use<> {
        let (shared, before) = (Arc::clone(&self.shared), before.clone());
        move || shared.accounts.take_over(&before.shared().accounts)
    }

    /// What shows and changes budgets while requests flow.
    pub fn handle(&self) -> BudgetHandle {
        BudgetHandle::new(Arc::clone(&self.shared))
    }
}

impl Shared {
    pub(super) fn now(&self) -> SystemTime {
        (self.clock)()
    }

    pub(super) fn books(&self) -> Open<'_> {
        self.accounts.open()
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("budgets", &self.budgets)
            .field("default_output", &self.default_output)
            .field("metered", &self.metered)
            .field("store", &self.store)
            .finish_non_exhaustive()
    }
}

impl<S> Layer<S> for BudgetLayer {
    type Service = BudgetService<S>;

    fn layer(&self, inner: S) -> BudgetService<S> {
        BudgetService::new(inner, Arc::clone(&self.shared))
    }
}
