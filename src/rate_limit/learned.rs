//! What the provider says is left, and what is on its way to it.

mod state;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use http::HeaderMap;
use tokio::time::Instant;

use self::state::State;
use super::provider_headers;
use crate::{
    key::Key,
    reserve::{Account, Amounts},
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
        self.with(account, State::forget);
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
                state.close(wait.min(max_hold), now);
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

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);

    fn tokens(amount: u64) -> Amounts {
        Amounts::request().with_tokens(amount, 0)
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
