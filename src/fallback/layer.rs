use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use http::{Request, Response};
use tower_layer::Layer;

use super::{
    Fallback, FallbackBuilder, FallbackHandle, counters::Counters, queue::Queue, state::Policy,
    sticky::Sticky,
};
use crate::{
    client::Target,
    message::{Ours, RequestBody, ResponseBody, Served, catalog::ModelCatalog},
    reserve::RetryBudget,
    stats::{AvailabilityCell, Subscription},
};

/// Sends a request to the next target when one fails.
///
/// See the [module](super) for what it does and where it belongs.
#[derive(Debug, Clone)]
pub struct FallbackLayer {
    shared: Arc<Shared>,
}

/// What all services of one layer share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) enabled: Arc<AtomicBool>,
    pub(super) attempts: u32,
    pub(super) deadline: Duration,
    pub(super) policy: Policy,
    pub(super) classify: Ours,
    pub(super) catalog: ModelCatalog,
    /// What attempts at backups draw on.
    pub(super) budget: Option<RetryBudget>,
    pub(super) sticky: Arc<Sticky>,
    pub(super) queue: Arc<Queue>,
    /// Where the targets' availability is published, for those who wait.
    pub(super) cells: Vec<Arc<AvailabilityCell>>,
    pub(super) counters: Arc<Counters>,
    /// What is known of the primary, where it is a target. It is called through the service.
    pub(super) primary: Option<Target>,
    pub(super) backups: Vec<Target>,
}

impl FallbackLayer {
    /// Settings to choose before [`build`](FallbackBuilder::build).
    pub fn builder() -> FallbackBuilder {
        FallbackBuilder::default()
    }

    /// What switches it on and off, and shows what it does.
    pub fn handle(&self) -> FallbackHandle {
        FallbackHandle::new(Arc::clone(&self.shared))
    }

    pub(super) fn of(shared: Shared) -> Self {
        Self {
            shared: Arc::new(shared),
        }
    }

    pub(super) fn into_shared(self) -> Arc<Shared> {
        self.shared
    }
}

impl Shared {
    pub(super) fn is_enabled(&self) -> bool {
        self.enabled.load(Ordering::Relaxed)
    }

    /// The names of the targets, the primary's first, where it is a target.
    pub(super) fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.primary.iter().chain(&self.backups).map(Target::name)
    }

    /// How many targets there are, the primary at place 0.
    pub(super) fn count(&self) -> usize {
        self.backups.len() + 1
    }

    /// What is known of the target at `place`: nothing of a primary that is no target.
    pub(super) fn about(&self, place: usize) -> Option<&Target> {
        match place.checked_sub(1) {
            None => self.primary.as_ref(),
            Some(backup) => self.backups.get(backup),
        }
    }

    /// The window, in tokens, of what `request` is at the target at `place`; by what `served` it, where that is known.
    pub(super) fn window(
        &self,
        place: usize,
        request: &Request<RequestBody>,
        served: Option<&Response<ResponseBody>>,
    ) -> Option<u64> {
        let served = served.and_then(|response| response.extensions().get::<Served>());
        if let Some(served) = served
            && let Some(model) = &served.model
        {
            let info = self.catalog.get_at(&served.upstream, model)?;
            return info.context_window;
        }
        let asked = request.body().model()?;
        let info = match self.about(place) {
            Some(target) => self.catalog.get_at(target.name(), &target.own_name(&asked)),
            None => self.catalog.get(&asked),
        };
        info?.context_window
    }

    /// Follows the availability of all targets from here on.
    pub(super) fn subscribe(&self) -> Vec<Subscription> {
        self.cells.iter().map(|cell| cell.subscribe()).collect()
    }
}

impl<S> Layer<S> for FallbackLayer {
    type Service = Fallback<S>;

    fn layer(&self, inner: S) -> Fallback<S> {
        Fallback::new(inner, Arc::clone(&self.shared))
    }
}
