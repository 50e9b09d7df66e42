//! The stack in force, and how another takes its place.

use std::{
    env, fmt,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use arc_swap::ArcSwap;

use super::{
    Beside, Generation,
    workers::{Inbox, run_all},
};
use crate::{
    gateway::{Config, Handles, InvalidConfig, stack::Parts},
    message::ConfigError,
    worker::Worker,
};

/// Makes a stack from a configuration.
pub(in crate::gateway) type Make<S> =
    fn(&Config, Parts<'_>) -> Result<(Generation<S>, Beside), ConfigError>;

/// What all services of a gateway share.
pub(in crate::gateway) struct Live<S> {
    current: ArcSwap<Generation<S>>,
    handles: Handles,
    inbox: Arc<Inbox>,
    /// `None` for a stack of the user's own.
    make: Option<Make<S>>,
    /// Taken by those who reload.
    reloading: Mutex<()>,
}

/// Gives a running gateway another configuration. Clones are the same.
///
/// It does not keep the gateway: once that is dropped, nothing is reloaded any more.
#[derive(Clone)]
pub struct Reloader(Arc<Reload>);

type Reload = dyn Fn(&Config, &dyn Fn(&str) -> Option<String>) -> Result<Reloaded, InvalidConfig>
    + Send
    + Sync;

/// What came of a reload.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reloaded {
    /// Fields that the new configuration has changed and that only a restart will: `listen`, say. They go on as they were; everything else
    /// holds.
    pub needs_restart: Vec<String>,
}

impl<S: Send + Sync + 'static> Live<S> {
    pub(in crate::gateway) fn new(generation: Generation<S>) -> Self {
        let handles = Handles::default();
        handles.replace(Arc::clone(generation.layers()));
        Self {
            current: ArcSwap::from_pointee(generation),
            handles,
            inbox: Arc::default(),
            make: None,
            reloading: Mutex::default(),
        }
    }

    /// The first stack of a configuration.
    pub(in crate::gateway) fn of(
        config: &Config,
        env: &dyn Fn(&str) -> Option<String>,
        make: Make<S>,
    ) -> Result<Self, ConfigError> {
        let handles = Handles::default();
        let parts = Parts::new(config, env, &handles, None)?;
        let (generation, beside) = make(config, parts)?;
        beside.at_last.into_iter().for_each(|act| act());
        handles.replace(Arc::clone(generation.layers()));
        let inbox = Inbox::default();
        inbox.add(beside.workers);
        Ok(Self {
            current: ArcSwap::from_pointee(generation),
            handles,
            inbox: Arc::new(inbox),
            make: Some(make),
            reloading: Mutex::default(),
        })
    }

    pub(in crate::gateway) fn current(&self) -> Arc<Generation<S>> {
        self.current.load_full()
    }

    /// Changes the stack in force, before it serves.
    pub(in crate::gateway) fn amend(&self, change: impl FnOnce(&mut Generation<S>))
    where
        S: Clone,
    {
        let mut generation = Generation::clone(&self.current());
        change(&mut generation);
        self.current.store(Arc::new(generation));
    }

    pub(in crate::gateway) fn handles(&self) -> &Handles {
        &self.handles
    }

    pub(in crate::gateway) fn add_worker(&self, worker: Worker) {
        self.inbox.add([worker]);
    }

    /// Runs the workers of this stack and of those that follow.
    pub(in crate::gateway) fn worker(&self) -> Worker {
        run_all(Arc::clone(&self.inbox))
    }

    /// Puts another stack in force, or leaves all as it is.
    pub(in crate::gateway) fn reload(
        &self,
        config: &Config,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Reloaded, InvalidConfig> {
        let wrong = |error: ConfigError| config.locate(&error);
        let Some(make) = self.make else {
            let reason =
                "cannot be changed: this gateway's stack was not made from a configuration";
            return Err(wrong(ConfigError::new("", reason)));
        };
        let _one = self
            .reloading
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let before = self.current();
        let parts = Parts::new(config, env, &self.handles, Some(&before.estate));
        let made = parts.and_then(|parts| make(config, parts));
        let (generation, beside) = made.map_err(wrong)?;
        // From here on nothing can fail.
        beside.at_last.into_iter().for_each(|act| act());
        self.handles.replace(Arc::clone(generation.layers()));
        self.inbox.add(beside.workers);
        self.current.store(Arc::new(generation));
        let mut needs_restart = beside.held_back;
        needs_restart.extend(config.differs_at_start(&before.estate.config));
        Ok(Reloaded { needs_restart })
    }

    pub(in crate::gateway) fn reloader(self: &Arc<Self>) -> Reloader {
        let live: Weak<Self> = Arc::downgrade(self);
        Reloader(Arc::new(move |config, env| match live.upgrade() {
            Some(live) => live.reload(config, env),
            None => Ok(Reloaded::default()),
        }))
    }
}

impl Reloader {
    /// As [`Gateway::reload`](crate::gateway::Gateway::reload).
    ///
    /// # Errors
    ///
    /// As [`Config::build`]. Then everything is as it was.
    pub fn reload(&self, config: &Config) -> Result<Reloaded, InvalidConfig> {
        self.reload_with_env(config, &|name| env::var(name).ok())
    }

    /// The same, with `env` in place of the environment's variables.
    ///
    /// # Errors
    ///
    /// As [`reload`](Self::reload).
    pub fn reload_with_env(
        &self,
        config: &Config,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Reloaded, InvalidConfig> {
        (self.0)(config, env)
    }
}

impl fmt::Debug for Reloader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reloader").finish_non_exhaustive()
    }
}
