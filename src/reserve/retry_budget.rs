//! How much load extra attempts may add.

use std::sync::Arc;

use crate::sync::atomic::{AtomicU64, Ordering};

/// What one extra attempt costs: the balance is kept in hundredths of one, so that a percentage is exact.
const ATTEMPT: u64 = 100;

/// A bound on the load that extra attempts add: a percentage of the requests, and a reserve for bursts.
///
/// A token bucket. It starts with the reserve; each original request deposits its share, each extra attempt withdraws
/// one. So after `n` requests at most `burst + n * percent / 100` extra attempts were made, exactly, and during an outage retries
/// cannot multiply the load. Quiet times save up no more than the reserve and what one more attempt takes.
///
/// Clones share one balance.
///
/// ```
/// use tower_relay::reserve::RetryBudget;
///
/// let budget = RetryBudget::new(20, 1);
/// assert!(budget.withdraw().map(|attempt| attempt.spend()).is_some());
/// assert!(budget.withdraw().is_none());
/// // Five requests pay for one more attempt.
/// (0..5).for_each(|_| budget.deposit());
/// assert!(budget.withdraw().is_some());
/// ```
#[derive(Debug, Clone)]
pub struct RetryBudget {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// In hundredths of an attempt.
    balance: AtomicU64,
    capacity: u64,
    share: u64,
}

/// An extra attempt that is paid for, until it is [spent](Self::spend): one that is dropped instead goes back into the budget.
#[derive(Debug)]
#[must_use = "dropping it returns the attempt to the budget"]
pub struct Withdrawal {
    budget: Option<RetryBudget>,
}

impl RetryBudget {
    /// Extra attempts for `percent` of the requests, and `burst` at once beyond that.
    ///
    /// 100 percent allows one extra attempt for every request, 0 percent `burst` of them ever.
    pub fn new(percent: u32, burst: u32) -> Self {
        let burst = u64::from(burst) * ATTEMPT;
        let share = u64::from(percent);
        let shared = Shared {
            balance: AtomicU64::new(burst),
            // Whatever the reserve, shares gather to an attempt, and no share is cut short while they are spent as they come.
            capacity: burst + ATTEMPT + share,
            share,
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Whether it was made with these.
    #[cfg(any(feature = "fallback", feature = "gateway"))]
    pub(crate) fn is_of(&self, percent: u32, burst: u32) -> bool {
        let other = Self::new(percent, burst);
        let bounds = |budget: &Self| (budget.shared.share, budget.shared.capacity);
        bounds(self) == bounds(&other)
    }

    /// Counts an original request: to be called once for each, whether it fails or not.
    pub fn deposit(&self) {
        self.add(self.shared.share);
    }

    /// Pays for an extra attempt; `None` where the budget is used up.
    pub fn withdraw(&self) -> Option<Withdrawal> {
        let balance = &self.shared.balance;
        balance
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |balance| {
                balance.checked_sub(ATTEMPT)
            })
            .ok()?;
        Some(Withdrawal {
            budget: Some(self.clone()),
        })
    }

    /// How many extra attempts could be made at once now.
    pub fn available(&self) -> u64 {
        self.shared.balance.load(Ordering::Relaxed) / ATTEMPT
    }

    fn add(&self, amount: u64) {
        let capacity = self.shared.capacity;
        // A count alone: no other memory hangs on it. A full bucket, the usual case, is only read, so that threads do not
        // take its cache line from each other.
        let _ = self
            .shared
            .balance
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |balance| {
                (balance < capacity).then(|| capacity.min(balance + amount))
            });
    }
}

/// 20 % of the requests, and 100 at once beyond that: what tower's and Linkerd's retry budgets have by default.
impl Default for RetryBudget {
    fn default() -> Self {
        Self::new(20, 100)
    }
}

impl Withdrawal {
    /// The attempt is made.
    pub fn spend(mut self) {
        self.budget = None;
    }
}

impl Drop for Withdrawal {
    fn drop(&mut self) {
        if let Some(budget) = &self.budget {
            budget.add(ATTEMPT);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use proptest::prelude::*;

    use super::*;

    fn extra(budget: &RetryBudget, requests: u64, wanted: u32) -> u64 {
        let mut made = 0;
        for _ in 0..requests {
            budget.deposit();
            for _ in 0..wanted {
                if let Some(attempt) = budget.withdraw() {
                    attempt.spend();
                    made += 1;
                }
            }
        }
        made
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn when_everything_fails_the_extra_load_is_the_share_and_the_reserve(
            percent in 0_u32..=150,
            burst in 0_u32..1000,
        ) {
            const REQUESTS: u64 = 100_000;
            let made = extra(&RetryBudget::new(percent, burst), REQUESTS, 2);
            let bound = u64::from(burst) + REQUESTS * u64::from(percent) / 100;
            prop_assert_eq!(made, bound);
        }

        #[test]
        fn no_order_of_events_makes_more_than_was_paid_for(
            percent in 0_u32..=150,
            burst in 0_u32..5,
            events in prop::collection::vec(0_u8..3, 0..400),
        ) {
            let budget = RetryBudget::new(percent, burst);
            let (mut requests, mut made) = (0_u64, 0_u64);
            for event in events {
                match event {
                    0 => {
                        budget.deposit();
                        requests += 1;
                    }
                    1 => made += u64::from(budget.withdraw().map(Withdrawal::spend).is_some()),
                    _ => drop(budget.withdraw()),
                }
                prop_assert!(made * 100 <= u64::from(burst) * 100 + requests * u64::from(percent));
            }
        }
    }

    #[test]
    fn threads_together_stay_within_the_budget() {
        let budget = RetryBudget::new(10, 7);
        let made: u64 = thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| extra(&budget, 5_000, 2)))
                .collect();
            threads.into_iter().map(|t| t.join().unwrap()).sum()
        });
        assert!(made <= 7 + 2_000, "{made}");
        assert!(made >= 2_000, "{made}");
    }

    #[cfg(loom)]
    #[test]
    fn loom_nothing_is_paid_out_that_was_not_paid_in() {
        loom::model(|| {
            let budget = RetryBudget::new(100, 1);
            let depositing = budget.clone();
            let depositing = loom::thread::spawn(move || depositing.deposit());
            let spending = budget.clone();
            let spending = loom::thread::spawn(move || {
                let attempt = spending.withdraw().map(Withdrawal::spend);
                u64::from(attempt.is_some())
            });
            drop(budget.withdraw());
            depositing.join().unwrap();
            assert_eq!(spending.join().unwrap() + budget.available(), 2);
        });
    }

    #[test]
    fn an_attempt_that_was_not_made_costs_nothing() {
        let budget = RetryBudget::new(0, 1);
        drop(budget.withdraw());
        assert_eq!(budget.available(), 1);
        budget.withdraw().unwrap().spend();
        assert_eq!(budget.available(), 0);
    }

    #[test]
    fn quiet_times_save_up_one_attempt_beyond_the_reserve() {
        let budget = RetryBudget::new(50, 3);
        (0..1_000).for_each(|_| budget.deposit());
        assert_eq!(budget.available(), 4);
    }
}
