//! What layers that send a request more than once draw on, so that together they stay within bounds.
//!
//! Retries, hedges and fallbacks each make sense alone and multiply where they nest: three attempts at each of three targets are nine
//! requests. One [`AttemptLimit`] goes with a request through all of them; one [`RetryBudget`] bounds what all requests together
//! add to an upstream's load; and an answer's [`Attempts`] tell what was done.

mod attempt_limit;
mod attempts;
mod retry_budget;

pub use self::{
    attempt_limit::{AttemptLimit, SetAside},
    attempts::{Attempt, Attempts, X_RELAY_ATTEMPTS, X_RELAY_FAILED_ATTEMPTS},
    retry_budget::{RetryBudget, Withdrawal},
};
