//! Which failures go on to which targets. Pure.

use std::{fmt, sync::Arc};

use crate::message::{FallBack, Outcome};

/// Where a request may go after an outcome.
#[derive(Debug, Clone, Default)]
pub(super) struct Policy {
    /// Whether content that one target refused is sent to another.
    pub(super) content_filtered: bool,
    /// The operator's own opinion, in place of [`Outcome::falls_back`].
    pub(super) ours: Opinion,
}

/// An opinion of the operator's own, where there is one.
#[derive(Clone, Default)]
pub(super) struct Opinion(Option<Arc<dyn Fn(Outcome) -> FallBack + Send + Sync>>);

/// What a request on its way along the chain has learned.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Walk {
    /// In tokens: it did not fit into a window of this size.
    too_small: Option<u64>,
}

impl Policy {
    fn falls_back(&self, outcome: Outcome) -> FallBack {
        match &self.ours.0 {
            Some(ours) => ours(outcome),
            None => outcome.falls_back(),
        }
    }

    /// Whether the request may go on after `outcome`; `window`, asked only where it counts, is that of the model that failed.
    pub(super) fn goes_on(
        &self,
        walk: &mut Walk,
        outcome: Outcome,
        window: impl FnOnce() -> Option<u64>,
    ) -> bool {
        match self.falls_back(outcome) {
            FallBack::No => false,
            FallBack::Yes => true,
            FallBack::IfAsked => self.content_filtered,
            FallBack::ToLargerWindow => {
                // Nothing is known to be larger than what is not known.
                walk.too_small = walk.too_small.max(Some(window().unwrap_or(u64::MAX)));
                true
            }
        }
    }
}

impl Opinion {
    pub(super) fn new(ours: impl Fn(Outcome) -> FallBack + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(ours)))
    }
}

impl Walk {
    /// Whether a target may be asked; `window`, asked only where it counts, is that of the model there.
    pub(super) fn may_ask(&self, window: impl FnOnce() -> Option<u64>) -> bool {
        self.too_small
            .is_none_or(|small| window().is_some_and(|window| window > small))
    }
}

/// The places of `count` targets in the order in which they are asked: `start`, then the others as they are preferred.
pub(super) fn order(start: usize, count: usize) -> impl Iterator<Item = usize> {
    let others = (0..count).filter(move |index| *index != start);
    std::iter::once(start).chain(others)
}

impl fmt::Debug for Opinion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Ours" } else { "None" })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::message::{Phase, Refusal};

    fn goes_on(policy: &Policy, outcome: Outcome) -> bool {
        policy.goes_on(&mut Walk::default(), outcome, || None)
    }

    #[test]
    fn what_may_succeed_elsewhere_goes_on_and_nothing_else() {
        let wait = Some(Duration::from_secs(1));
        let phase = Phase::Head;
        for (outcome, expected) in [
            (Outcome::RateLimited { retry_after: wait }, true),
            (Outcome::QuotaExhausted, true),
            (Outcome::Overloaded { retry_after: None }, true),
            (Outcome::ServerError, true),
            (Outcome::Timeout { phase }, true),
            (Outcome::Transport { phase }, true),
            (Outcome::ModelNotFound, true),
            (Outcome::UpstreamAuth, true),
            (Outcome::Refused(Refusal::CircuitOpen), true),
            (
                Outcome::Refused(Refusal::ProviderLimit { retry_after: None }),
                true,
            ),
            (Outcome::ContentFiltered, false),
            (Outcome::Success, false),
            (Outcome::InvalidRequest, false),
            (Outcome::Cancelled, false),
            (Outcome::Refused(Refusal::Tenant), false),
        ] {
            assert_eq!(
                goes_on(&Policy::default(), outcome),
                expected,
                "{outcome:?}"
            );
        }
        let asked = Policy {
            content_filtered: true,
            ..Policy::default()
        };
        assert!(goes_on(&asked, Outcome::ContentFiltered));
        let ours = Policy {
            ours: Opinion::new(|_| FallBack::Yes),
            ..Policy::default()
        };
        assert!(goes_on(&ours, Outcome::InvalidRequest));
    }

    #[test]
    fn what_is_too_long_goes_to_windows_that_are_known_to_be_larger() {
        let too_long = |windows: &[Option<u64>]| {
            let mut walk = Walk::default();
            for window in windows {
                let outcome = Outcome::ContextTooLong;
                assert!(Policy::default().goes_on(&mut walk, outcome, || *window));
            }
            // What fails otherwise meanwhile does not make the request any shorter.
            let failed = Outcome::ServerError;
            assert!(Policy::default().goes_on(&mut walk, failed, || None));
            [None, Some(8_000), Some(128_000), Some(1_000_000)]
                .map(|window| walk.may_ask(|| window))
        };
        assert_eq!(too_long(&[]), [true; 4]);
        assert_eq!(too_long(&[Some(8_000)]), [false, false, true, true]);
        assert_eq!(
            too_long(&[Some(128_000), Some(8_000)]),
            [false, false, false, true]
        );
        assert_eq!(too_long(&[Some(8_000), None]), [false; 4]);
    }

    proptest! {
        #[test]
        fn every_target_has_its_turn_once(count in 1_usize..20, start in 0_usize..20) {
            let start = start % count;
            let order: Vec<_> = order(start, count).collect();
            prop_assert_eq!(order[0], start);
            prop_assert!(order[1..].is_sorted());
            let mut sorted = order;
            sorted.sort_unstable();
            prop_assert!(sorted.into_iter().eq(0..count));
        }
    }
}
