//! What the provider says is left, and what is on its way to it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use http::HeaderMap;
use tokio::time::Instant;

use super::provider_headers::{self, SCOPES, Said};
use crate::{
    key::Key,
    reserve::{Account, Amounts, Dimension},
    wire::clock,
};

/// So many keys are told apart; more share what is learned. Models come from a list, so there are few.
const MAX_KEYS: usize = 1024;

/// What was learned, by key.
#[derive(Debug)]
pub(super) struct Learned {
    keys: Mutex<HashMap<Account, State>>,
    max_hold: Duration,
}

/// Of one key. Pure: takes the time.
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

/// A request that is on its way. Its amounts are let go of when its answer begins, or when it is dropped.
#[derive(Debug)]
pub(super) struct Sent {
    learned: Arc<Learned>,
    account: Account,
    amounts: Amounts,
    /// Whether the provider may have counted it.
    is_out: bool,
    is_answered: bool,
}

impl Learned {
    pub(super) fn max_hold(&self) -> Duration {
        self.max_hold
    }

    pub(super) fn new(max_hold: Duration) -> Self {
        Self {
            keys: Mutex::default(),
            max_hold,
        }
    }

    /// Takes `amounts` from what the provider has left; the wait where that is too little.
    pub(super) fn take(
        self: &Arc<Self>,
        account: &Account,
        amounts: Amounts,
        now: Instant,
    ) -> Result<Sent, Duration> {
        self.with(account, |state| state.take(amounts, now))?;
        Ok(Sent {
            learned: Arc::clone(self),
            account: account.clone(),
            amounts,
            is_out: false,
            is_answered: false,
        })
    }

    /// How long until `amounts` may pass; `None` where they may.
    pub(super) fn held(
        &self,
        account: &Account,
        amounts: Amounts,
        now: Instant,
    ) -> Option<Duration> {
        self.with(account, |state| state.wait(amounts, now))
    }

    pub(super) fn forget(&self, account: &Account) {
        self.with(account, |state| {
            state.windows = Default::default();
            state.closed_until = None;
        });
    }

    fn with<T>(&self, account: &Account, change: impl FnOnce(&mut State) -> T) -> T {
        let mut keys = self.lock();
        if let Some(state) = keys.get_mut(account) {
            return change(state);
        }
        let other = Account::new(Key::named("other", "other"));
        let account = if keys.len() < MAX_KEYS {
            account
        } else {
            &other
        };
        change(keys.entry(account.clone()).or_default())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Account, State>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sent {
    /// Whether it may be with the provider now.
    pub(super) fn set_out(&mut self, is_out: bool) {
        self.is_out = is_out;
    }

    /// Its answer has begun, with `headers`. `retry_after` is the wait that a refusal asks for.
    pub(super) fn answered(
        mut self,
        headers: &HeaderMap,
        retry_after: Option<Duration>,
        now: Instant,
    ) {
        self.is_answered = true;
        let said = provider_headers::read(headers, clock::now());
        let max_hold = self.learned.max_hold;
        self.learned.with(&self.account, |state| {
            state.let_go(self.amounts);
            if let Some(said) = said {
                state.learn(&said, retry_after, max_hold, now);
            }
            if let Some(wait) = retry_after {
                let until = now.checked_add(wait.min(max_hold));
                state.closed_until = state.closed_until.max(until);
            }
        });
    }
}

impl Drop for Sent {
    fn drop(&mut self) {
        if self.is_answered {
            return;
        }
        self.learned.with(&self.account, |state| {
            state.let_go(self.amounts);
            if !self.is_out {
                state.give_back(self.amounts);
            }
        });
    }
}

impl State {
    fn take(&mut self, amounts: Amounts, now: Instant) -> Result<(), Duration> {
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
    fn wait(&self, amounts: Amounts, now: Instant) -> Option<Duration> {
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
    fn learn(
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

    fn let_go(&mut self, amounts: Amounts) {
        self.unanswered = each(self.unanswered, amounts, u64::saturating_sub);
    }

    fn give_back(&mut self, amounts: Amounts) {
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

    #[tokio::test(start_paused = true)]
    async fn what_was_not_sent_goes_back_and_a_refusal_closes_for_its_wait() {
        let learned = Arc::new(Learned::new(HOUR));
        let account = Account::new(Key::named("model", "m"));
        let now = Instant::now();
        let take = |amount| learned.take(&account, tokens(amount), now);
        let headers = |remaining: &'static str| {
            HeaderMap::from_iter([(
                http::HeaderName::from_static("x-ratelimit-remaining-tokens"),
                http::HeaderValue::from_static(remaining),
            )])
        };
        take(1).unwrap().answered(&headers("50"), None, now);
        drop(take(50).unwrap());
        let mut lost = take(50).unwrap();
        lost.set_out(true);
        drop(lost);
        assert!(take(1).is_err());
        learned.forget(&account);
        let refused = take(1).unwrap();
        let wait = Duration::from_secs(7);
        refused.answered(&HeaderMap::new(), Some(wait), now);
        assert_eq!(take(0).unwrap_err(), wait);
        assert_eq!(learned.held(&account, tokens(0), now), Some(wait));
    }

    #[tokio::test(start_paused = true)]
    async fn keys_beyond_the_bound_share_what_is_learned() {
        let learned = Arc::new(Learned::new(HOUR));
        for name in 0..3_000 {
            let account = Account::new(Key::named("model", &name.to_string()));
            drop(learned.take(&account, tokens(1), Instant::now()));
        }
        assert!(learned.lock().len() <= MAX_KEYS + 1);
    }
}
