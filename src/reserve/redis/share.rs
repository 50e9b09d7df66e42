use crate::reserve::{Limit, Quota};

/// The part of `quota` that one of so many replicas may use by itself.
pub(super) fn share(quota: &Quota, replicas: u64) -> Quota {
    let part = |amount: u64| (amount / replicas.max(1)).max(1);
    let limits = quota.limits().iter().map(|limit| {
        Limit::new(limit.dimension(), part(limit.amount()), limit.window())
            .with_burst(part(limit.burst()))
            .with_debt(limit.debt() / replicas.max(1))
    });
    // What was a quota is one with smaller numbers.
    Quota::new(limits).unwrap_or_default()
}
