use std::time::Duration;

use tokio::time::Instant;

use super::{policy::CircuitBreakerBuilder, state::SOON};

/// The calls that a half-open circuit passes.
#[derive(Debug, Default)]
pub(super) struct Probes {
    /// Those whose verdict is awaited: id, and when it is awaited no longer. At most as many as there are probes.
    awaited: Vec<(u64, Instant)>,
    succeeded: u32,
    next_id: u64,
}

impl Probes {
    /// The id of one more; the wait to advise, where there are enough.
    pub(super) fn admit(
        &mut self,
        policy: &CircuitBreakerBuilder,
        now: Instant,
    ) -> Result<u64, Duration> {
        self.awaited.retain(|(_, until)| now < *until);
        let taken = self.awaited.len() + usize::try_from(self.succeeded).unwrap_or(usize::MAX);
        if taken >= usize::try_from(policy.probes).unwrap_or(usize::MAX) {
            let first = self.awaited.iter().map(|(_, until)| *until).min();
            let wait = first.map_or(SOON, |until| until.saturating_duration_since(now));
            return Err(wait.min(SOON));
        }
        let id = self.next_id;
        self.next_id += 1;
        self.awaited.push((id, now + policy.probe_lifetime));
        Ok(id)
    }

    /// The verdict of `probe` is awaited no longer.
    pub(super) fn release(&mut self, probe: Option<u64>) {
        self.awaited.retain(|(id, _)| probe != Some(*id));
    }

    /// Counts a success, also of one that was awaited no longer: a long answer is an answer. Whether there are enough now.
    pub(super) fn succeed(&mut self, policy: &CircuitBreakerBuilder) -> bool {
        self.succeeded = self.succeeded.saturating_add(1);
        self.succeeded >= policy.probes
    }
}
