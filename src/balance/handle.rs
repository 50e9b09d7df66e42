use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{
    layer::Shared,
    member::{Kind, Member},
};
use crate::message::ConfigError;

/// Shows the members of a running balancer, and takes one out and puts it back.
#[derive(Debug, Clone)]
pub struct BalanceHandle {
    shared: Arc<Shared>,
}

/// What a balancer knew at one moment.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq)]
pub struct BalanceSnapshot {
    /// The members, the baseline first.
    pub members: Vec<MemberSnapshot>,
}

/// What a balancer knew of one member.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq)]
pub struct MemberSnapshot {
    /// Its name.
    pub name: Arc<str>,
    /// Requests that it was given and has not answered to the end.
    pub in_flight: u32,
    /// The average time to the first token of its streams; `None` until there was one.
    pub first_token: Option<Duration>,
    /// The average time of answers that are no streams; `None` until there was one.
    pub whole: Option<Duration>,
    /// How many of its last answers were any good, 0 to 1.
    pub health: f64,
    /// What it is given at most of what it would have had, 0 to 1, as things stand: for being unavailable, for just coming back, for its
    /// failures.
    pub admitted: f64,
    /// Its share of the latest requests, 0 to 1.
    pub share: f64,
    /// Requests that it was given since the layer was built.
    pub requests: u64,
    /// Whether it is [taken out](BalanceHandle::drain).
    pub is_drained: bool,
}

impl BalanceHandle {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    pub(super) fn members(&self) -> &[Member] {
        &self.shared.members
    }

    /// What is known of each member.
    pub fn snapshot(&self) -> BalanceSnapshot {
        let now = Instant::now();
        let shared = &self.shared;
        let members = || shared.members.iter();
        let recent = |member: &Member| member.measured().recent.get(now, shared.decay);
        let all: f64 = members().map(recent).sum();
        let seconds = |seconds: f64| Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
        let snapshot = |member: &Member| {
            let availability = member.standing.availability(|| now);
            let admitted = member.share(availability, now, shared.ramp);
            let measured = member.measured();
            let latency = |kind| measured.latency(kind).get(now, shared.decay).map(seconds);
            MemberSnapshot {
                name: Arc::clone(&member.name),
                in_flight: member.in_flight(),
                first_token: latency(Kind::Stream),
                whole: latency(Kind::Whole),
                health: measured.health.get(now),
                admitted,
                share: if all > 0.0 {
                    measured.recent.get(now, shared.decay) / all
                } else {
                    0.0
                },
                requests: member.chosen(),
                is_drained: member.is_drained(),
            }
        };
        BalanceSnapshot {
            members: members().map(snapshot).collect(),
        }
    }

    /// Gives the member called `name` no more requests, as long as there are others; what it has it may answer to the end.
    ///
    /// # Errors
    ///
    /// When there is no such member.
    pub fn drain(&self, name: &str) -> Result<(), ConfigError> {
        self.set_drained(name, true)
    }

    /// Gives it requests again, few at first.
    ///
    /// # Errors
    ///
    /// When there is no such member.
    pub fn restore(&self, name: &str) -> Result<(), ConfigError> {
        self.set_drained(name, false)
    }

    fn set_drained(&self, name: &str, is_drained: bool) -> Result<(), ConfigError> {
        let members = &self.shared.members;
        let Some(member) = members.iter().find(|member| &*member.name == name) else {
            let names: Vec<_> = members.iter().map(|member| &*member.name).collect();
            let reason = format!("{name:?} is not there: known are {}", names.join(", "));
            return Err(ConfigError::new("target", reason));
        };
        member.set_drained(is_drained);
        Ok(())
    }
}
