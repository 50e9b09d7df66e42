//! What is known of one key. Pure: takes the time.

use std::time::Duration;

use tokio::time::Instant;

use crate::{
    rate_limit::provider_headers::{SCOPES, Said},
    reserve::{Amounts, Dimension},
};

/// What the provider has left for one key, and when.
#[derive(Debug, Default)]
pub(super) struct State {
    /// Of requests whose answers have not begun: the provider may not have counted them yet.
    unanswered: Amounts,
    windows: [Option<Window>; SCOPES.len()],
    /// Nothing passes before.
    closed_until: Option<Instant>,
}

#[derive(Debug, Clone, Copy)]
struct Window {
    limit: Option<u64>,
    remaining: u64,
    until: Instant,
}

impl State {
    pub(super) fn take(&mut self, amounts: Amounts, now: Instant) -> Result<(), Duration> {
        self.renew(now);
        if let Some(wait) = self.wait(amounts, now) {
            return Err(wait);
        }
        for (window, scope) in self.windows.iter_mut().zip(&SCOPES) {
            if let Some(window) = window {
                let amount = amounts.get(scope.dimension);
                window.remaining = window.remaining.saturating_sub(amount);
            }
        }
        self.unanswered = each(self.unanswered, amounts, u64::saturating_add);
        Ok(())
    }

    /// How long until `amounts` may pass; `None` where they may.
    pub(super) fn wait(&self, amounts: Amounts, now: Instant) -> Option<Duration> {
        let closed = self.closed_until.filter(|until| *until > now);
        let lacking = self
            .windows
            .iter()
            .zip(&SCOPES)
            .filter_map(|(window, scope)| {
                let window = window.filter(|window| window.until > now)?;
                let amount = amounts.get(scope.dimension);
                // What is more than the limit is for the provider to refuse: no wait would help it.
                let may_ever = window.limit.is_none_or(|limit| amount <= limit);
                (may_ever && amount > window.remaining).then_some(window.until)
            });
        let until = lacking.chain(closed).max()?;
        Some(until.saturating_duration_since(now))
    }

    /// Where a window has ended, begins the next one, with what is still on its way taken off it.
    fn renew(&mut self, now: Instant) {
        for (window, scope) in self.windows.iter_mut().zip(&SCOPES) {
            let Some(ended) = window.filter(|window| window.until <= now) else {
                continue;
            };
            let unanswered = self.unanswered.get(scope.dimension);
            let next = |limit: u64| {
                Some(Window {
                    remaining: limit.saturating_sub(unanswered),
                    until: now.checked_add(scope.window)?,
                    ..ended
                })
            };
            *window = ended.limit.filter(|_| scope.renews).and_then(next);
        }
    }

    /// The provider's word counts, less what it may not have counted yet.
    /// `retry_after` stands in for a reset that is not said.
    pub(super) fn learn(
        &mut self,
        said: &[Said; SCOPES.len()],
        retry_after: Option<Duration>,
        max_hold: Duration,
        now: Instant,
    ) {
        for ((window, scope), said) in self.windows.iter_mut().zip(&SCOPES).zip(said) {
            let Some(remaining) = said.remaining else {
                continue;
            };
            let wait = said
                .reset
                .or(retry_after)
                .unwrap_or(scope.window)
                .min(max_hold);
            let unanswered = self.unanswered.get(scope.dimension);
            *window = now
                .checked_add(wait)
                .filter(|until| *until > now)
                .map(|until| Window {
                    // A limit of nothing would be one that nothing ever passes.
                    limit: said.limit.filter(|limit| *limit > 0),
                    remaining: remaining.saturating_sub(unanswered),
                    until,
                });
        }
    }

    /// Nothing passes before `wait` is over.
    pub(super) fn close(&mut self, wait: Duration, now: Instant) {
        self.closed_until = self.closed_until.max(now.checked_add(wait));
    }

    /// Whatever the provider said, it did not.
    pub(super) fn forget(&mut self) {
        self.windows = Default::default();
        self.closed_until = None;
    }

    /// These are no longer on their way.
    pub(super) fn let_go(&mut self, amounts: Amounts) {
        self.unanswered = each(self.unanswered, amounts, u64::saturating_sub);
    }

    /// These never came to the provider.
    pub(super) fn give_back(&mut self, amounts: Amounts) {
        for (window, scope) in self.windows.iter_mut().zip(&SCOPES) {
            if let Some(window) = window {
                let amount = amounts.get(scope.dimension);
                let most = window.limit.unwrap_or(u64::MAX);
                window.remaining = window.remaining.saturating_add(amount).min(most);
            }
        }
    }
}

fn each(mut left: Amounts, right: Amounts, sum: impl Fn(u64, u64) -> u64) -> Amounts {
    for dimension in Dimension::ALL {
        left = left.with(dimension, sum(left.get(dimension), right.get(dimension)));
    }
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(amount: u64) -> Amounts {
        Amounts::request().with_tokens(amount, 0)
    }

    fn said(
        scope: usize,
        limit: u64,
        remaining: u64,
        seconds: Option<u64>,
    ) -> [Said; SCOPES.len()] {
        let mut all = [Said::default(); SCOPES.len()];
        all[scope] = Said {
            limit: Some(limit),
            remaining: Some(remaining),
            reset: seconds.map(Duration::from_secs),
        };
        all
    }

    const HOUR: Duration = Duration::from_secs(3_600);

    #[test]
    fn no_more_passes_than_the_provider_has_left_less_what_is_on_its_way() {
        let now = Instant::now();
        let mut state = State::default();
        state.take(tokens(30), now).unwrap();
        state.take(tokens(30), now).unwrap();
        // The answer to the first: the second may or may not be among what is used.
        state.let_go(tokens(30));
        state.learn(&said(1, 1_000, 100, Some(10)), None, HOUR, now);
        state.take(tokens(70), now).unwrap();
        assert_eq!(state.take(tokens(1), now), Err(Duration::from_secs(10)));
        // More than the limit is the provider's to refuse.
        state.take(tokens(1_001), now).unwrap();
    }

    #[test]
    fn a_window_that_ended_is_followed_by_another() {
        let now = Instant::now();
        let mut state = State::default();
        state.learn(&said(0, 2, 0, Some(5)), None, HOUR, now);
        assert_eq!(state.take(tokens(0), now), Err(Duration::from_secs(5)));
        let later = now + Duration::from_secs(5);
        state.take(tokens(0), later).unwrap();
        state.take(tokens(0), later).unwrap();
        assert_eq!(state.take(tokens(0), later), Err(Duration::from_secs(60)));
    }

    #[test]
    fn a_limit_without_a_reset_holds_for_its_window_and_none_longer_than_is_believed() {
        let now = Instant::now();
        let mut state = State::default();
        state.learn(&said(9, 10, 0, None), None, HOUR, now);
        assert_eq!(state.take(tokens(0), now), Err(Duration::from_secs(10)));
        state.learn(&said(10, 10_000, 0, None), None, HOUR, now);
        assert_eq!(state.wait(tokens(5), now), Some(HOUR));
    }
}
