//! The settings of the migration guides that this crate carries.

use std::time::Duration;

use super::{Backoff, Growth, Jitter, RetryBuilder};

const SECOND: Duration = Duration::from_secs(1);
const HALF: Duration = Duration::from_millis(500);

fn exact(base: Duration) -> Backoff {
    Backoff {
        base,
        jitter: Jitter::None,
        ..Backoff::default()
    }
}

impl RetryBuilder {
    /// Guide A's client: 3 attempts, 1 s and 2 s apart.
    pub fn guide_a() -> Self {
        Self::default().backoff(exact(SECOND))
    }

    /// Guide A's handling of rate limits: 5 attempts, 2, 4, 8 and 16 s apart. The guide waits for the shorter of this and
    /// `retry-after`; here it is the longer.
    pub fn guide_a_rate_limits() -> Self {
        Self::default().attempts(5).backoff(exact(2 * SECOND))
    }

    /// Guide B: 3 attempts, 1 s and 2 s apart.
    pub fn guide_b() -> Self {
        Self::guide_a()
    }

    /// Guide C: 3 attempts, 0.5 s and 1 s apart; transport errors wait in even steps.
    pub fn guide_c() -> Self {
        Self::default()
            .backoff(exact(HALF))
            .transport_backoff(Backoff {
                growth: Growth::Linear,
                ..exact(HALF)
            })
    }

    /// Guide D: 5 attempts, 1, 2, 4 and 8 s apart, each and up to a second more.
    pub fn guide_d() -> Self {
        Self::default().attempts(5).backoff(Backoff {
            jitter: Jitter::AddUpTo1s,
            ..exact(SECOND)
        })
    }

    /// Guide E: 5 attempts, 2, 4, 8 and 16 s apart, never more than 30 s.
    pub fn guide_e() -> Self {
        Self::guide_a_rate_limits()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guides_waits_are_theirs() {
        for (guide, waits) in [
            (RetryBuilder::guide_a(), &[1000, 2000][..]),
            (
                RetryBuilder::guide_a_rate_limits(),
                &[2000, 4000, 8000, 16_000],
            ),
            (RetryBuilder::guide_b(), &[1000, 2000]),
            (RetryBuilder::guide_c(), &[500, 1000]),
            (RetryBuilder::guide_d(), &[1500, 2500, 4500, 8500]),
            (RetryBuilder::guide_e(), &[2000, 4000, 8000, 16_000]),
        ] {
            let policy = guide.build().unwrap();
            let policy = policy.policy();
            let made: Vec<_> = (1..policy.attempts)
                .map(|failed| policy.backoff.wait(failed, 1 << 63).as_millis())
                .collect();
            assert_eq!(made, waits);
        }
    }
}
