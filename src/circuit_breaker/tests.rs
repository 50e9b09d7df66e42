use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{circuit::Circuit, policy::CircuitBreakerBuilder, state::*, *};
use crate::message::Outcome;

mod config;
#[cfg(loom)]
mod interleaved;
mod model;
mod policy;
mod service;

const GOOD: Outcome = Outcome::Success;
const BAD: Outcome = Outcome::ServerError;
const LIMITED: Outcome = Outcome::RateLimited { retry_after: None };

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// A state with its policy and a clock.
struct Bench {
    policy: CircuitBreakerBuilder,
    state: State,
    now: Instant,
}

impl Bench {
    fn new(policy: CircuitBreakerBuilder) -> Self {
        policy.clone().build().unwrap();
        let now = Instant::now();
        Self {
            state: State::new(&policy, now),
            policy,
            now,
        }
    }

    fn wait(&mut self, time: Duration) {
        self.now += time;
    }

    fn admit(&mut self) -> Result<Admission, Duration> {
        self.state.admit(&self.policy, self.now)
    }

    fn settle(&mut self, admission: Admission, outcome: Outcome) {
        self.state
            .settle(&self.policy, self.now, admission, outcome);
    }

    /// One call that is admitted and ends so.
    fn call(&mut self, outcome: Outcome) {
        let admission = self.admit().unwrap();
        self.settle(admission, outcome);
    }

    fn is(&self) -> CircuitState {
        self.state.at(&self.policy, self.now)
    }

    /// For how long it is open yet.
    fn open_for(&self) -> Option<Duration> {
        match self.is() {
            CircuitState::Open { until } => Some(until - self.now),
            _ => None,
        }
    }
}
