//! What requests draw on, so that together they stay within bounds: limits per time, and extra attempts.
//!
//! # Limits
//!
//! What a request will use is not known when it is admitted. So it [reserves](Limiter::reserve) an estimate, of all dimensions together
//! or of none, and [settles](Reservation::settle) to what it really used when its answer has ended. A [`Quota`] says how much may be used of
//! what in which time; a [`Bucket`] is how far one of its limits is used up; a [`Limiter`] keeps the buckets of many keys.
//!
//! ```
//! use std::sync::Arc;
//! use tower_relay::{key::Key, reserve::{Account, Amounts, Limiter, LocalLimiter, Quota, Reservation}};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let limiter: Arc<dyn Limiter> = Arc::new(LocalLimiter::default());
//! let (account, quota) = (Account::new(Key::named("tenant", "acme")), Quota::per_minute(60, 1_000)?);
//!
//! let amounts = Amounts::request().with_tokens(100, 700);
//! let decision = limiter.reserve(&account, &quota, amounts).await;
//! assert!(decision.is_admitted());
//! let reservation = Reservation::new(Arc::clone(&limiter), account.clone(), quota.clone(), amounts, decision.place);
//! // Another of the same size has to wait, until the first turns out to have used less.
//! assert!(!limiter.reserve(&account, &quota, amounts).await.is_admitted());
//! reservation.settle(Amounts::request().with_tokens(98, 51));
//! assert!(limiter.reserve(&account, &quota, amounts).await.is_admitted());
//! # Ok(())
//! # }
//! ```
//!
//! # Attempts
//!
//! Retries, hedges and fallbacks each make sense alone and multiply where they nest: three attempts at each of three targets are nine
//! requests. One [`AttemptLimit`] goes with a request through all of them; one [`RetryBudget`] bounds what all requests together
//! add to an upstream's load; and an answer's [`Attempts`] tell what was done.

mod amounts;
mod attempt_limit;
mod attempts;
mod bucket;
mod budget_store;
mod limit;
mod limiter;
mod local;
mod original;
#[cfg(any(feature = "admission", feature = "fallback", feature = "hedge"))]
mod places;
mod quota;
#[cfg(feature = "redis")]
pub(crate) mod redis;
mod reservation;
mod retry_budget;

pub(crate) use self::original::Original;
#[cfg(any(feature = "admission", feature = "fallback", feature = "hedge"))]
pub(crate) use self::places::Places;
#[cfg(all(feature = "redis", feature = "cache"))]
pub(crate) use self::redis::Breaker;
#[cfg(feature = "redis")]
pub use self::redis::{OnStoreFailure, RedisBudgets, RedisBuilder, RedisHandle, RedisLimiter};
pub use self::{
    amounts::{Amounts, Dimension},
    attempt_limit::{AttemptLimit, SetAside},
    attempts::{Attempt, Attempts, X_RELAY_ATTEMPTS, X_RELAY_FAILED_ATTEMPTS},
    bucket::{Bucket, Level},
    budget_store::{Asking, Balance, BudgetStore, Charge, Claim, Reserved, Without},
    limit::Limit,
    limiter::{Account, Answer, Decision, Levels, Limiter, Place, Settlement, Verdict},
    local::LocalLimiter,
    quota::{MAX_LIMITS, Quota},
    reservation::Reservation,
    retry_budget::{RetryBudget, Withdrawal},
};
