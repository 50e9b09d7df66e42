//! One stack, from its first request to its last.

use std::{collections::HashMap, fmt, sync::Arc};

use tower_http::cors::CorsLayer;

use super::{Estate, Kept};
use crate::{
    gateway::{AdminService, Config, LayerHandles},
    server::{Edge, HeaderNames, Models, Ready, tenants::Tenants},
    worker::Worker,
};

/// A stack with what stands beside it. Whoever holds it, a request or its answer, keeps its workers going.
#[derive(Clone)]
pub(in crate::gateway) struct Generation<S> {
    pub(in crate::gateway) edge: Edge<S>,
    pub(in crate::gateway) models: Option<Models>,
    pub(in crate::gateway) guests: Option<Guests>,
    pub(in crate::gateway) cors: Option<CorsLayer>,
    /// What headers are called.
    pub(in crate::gateway) names: HeaderNames,
    pub(in crate::gateway) ready: Ready,
    /// What operators ask.
    pub(in crate::gateway) operators: Option<AdminService>,
    pub(in crate::gateway) estate: Arc<Estate>,
}

/// Who may call, and what each of them is shown.
#[derive(Clone)]
pub(in crate::gateway) struct Guests {
    pub(in crate::gateway) tenants: Tenants,
    /// By tenant; who is not there is shown what an upstream says.
    pub(in crate::gateway) models: HashMap<String, Models>,
}

/// What is to be put in force with a generation.
pub(in crate::gateway) struct Beside {
    pub(in crate::gateway) estate: Arc<Estate>,
    /// All workers that are to begin with it.
    pub(in crate::gateway) workers: Vec<Worker>,
    /// What is to be done the moment before.
    pub(in crate::gateway) at_last: Vec<Box<dyn FnOnce() + Send>>,
    /// Fields that cannot change while the gateway runs, and would have.
    pub(in crate::gateway) held_back: Vec<String>,
}

impl<S> Generation<S> {
    /// A stack that was not made from a configuration.
    pub(in crate::gateway) fn of_edge(edge: Edge<S>) -> Self {
        let layers = LayerHandles::default();
        Self {
            edge,
            models: None,
            guests: None,
            cors: None,
            names: HeaderNames::default(),
            ready: Ready::default(),
            operators: None,
            estate: Arc::new(Estate::new(Config::default(), layers, Kept::default(), &[])),
        }
    }

    pub(in crate::gateway) fn layers(&self) -> &Arc<LayerHandles> {
        &self.estate.layers
    }
}

impl<S> fmt::Debug for Generation<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Generation")
            .field("models", &self.models)
            .finish_non_exhaustive()
    }
}
