//! How sure it is that something happens more often than it may.

use serde::{Deserialize, Serialize};

/// How many times the odds of what is allowed each alternative assumes.
const ODDS: [f64; 4] = [2.0, 5.0, 20.0, 150.0];

/// How many observations lie between two moments at which the trouble may have begun.
const BLOCK: u32 = 32;

/// The share of the prior that says: it was there from the beginning.
const FROM_THE_START: f64 = 0.5;

/// The least number of hits that is believed, however unlikely they are.
const MIN_HITS: u64 = 3;

/// Wealth beyond this says no more, and stays far from what a float can hold.
const MAX_WEALTH: f64 = 1e200;

/// Evidence against "of all observations at most a share of `allowed` are hits", as the wealth of somebody who bets against it.
///
/// Each observation multiplies the wealth by the likelihood ratio of an alternative. While the claim is true this is a supermartingale
/// that starts at 1, so by Ville's inequality it ever reaches `1/α` with a probability of at most `α`, however often one looks
/// (test martingales: Ville 1939; Wald's sequential test, 1945; Shafer 2021, "Testing by betting"). The claim is composite: the ratio's mean is
/// at most 1 for every rate up to `allowed`, which may differ from one observation to the next as long as it is fixed beforehand.
///
/// The wealth is spread over alternatives (by the odds) and over the moments at which the trouble may have begun (half from the
/// start, the rest at every 32nd observation, the `k`-th with a prior of `1/(k(k+1))`), so that a long healthy past does not delay what is seen later by
/// more than the logarithm of its length.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Evidence {
    wealth: [f64; ODDS.len()],
    /// What is still to be bet, from later moments on.
    unspent: f64,
    blocks: f64,
    in_block: u32,
    hits: u64,
}

impl Evidence {
    pub(super) fn new() -> Self {
        Self {
            wealth: [FROM_THE_START; ODDS.len()],
            unspent: 1.0 - FROM_THE_START,
            blocks: 0.0,
            in_block: 0,
            hits: 0,
        }
    }

    /// Takes one observation into account, of which at most a share of `allowed` (0 to 1, both left out) may be hits.
    pub(super) fn add(&mut self, allowed: f64, hit: bool) {
        for (wealth, odds) in self.wealth.iter_mut().zip(ODDS) {
            let ratio = if hit { odds } else { 1.0 } / (1.0 + allowed * (odds - 1.0));
            *wealth = (*wealth * ratio).min(MAX_WEALTH);
        }
        self.hits += u64::from(hit);
        self.in_block += 1;
        if self.in_block == BLOCK {
            self.in_block = 0;
            self.blocks += 1.0;
            let mass = (1.0 - FROM_THE_START) / (self.blocks * (self.blocks + 1.0));
            self.unspent -= mass;
            for wealth in &mut self.wealth {
                *wealth += mass;
            }
        }
    }

    /// Whether the claim is refuted, with a probability of at most `alpha` of ever saying so where it is true.
    pub(super) fn refutes(&self, alpha: f64) -> bool {
        self.hits >= MIN_HITS && self.wealth() * alpha >= 1.0
    }

    fn wealth(&self) -> f64 {
        let parts = [(); ODDS.len()].len();
        #[allow(clippy::cast_precision_loss, reason = "it is 4")]
        let mean = self.wealth.iter().sum::<f64>() / parts as f64;
        mean + self.unspent
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    #[allow(clippy::cast_precision_loss)]
    fn chance(random: &Random) -> f64 {
        (random.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// After how many observations it is refuted that hits are at most `allowed`, when `rate` of them are.
    fn refuted_after(
        random: &Random,
        allowed: f64,
        rate: f64,
        alpha: f64,
        most: u32,
    ) -> Option<u32> {
        let mut evidence = Evidence::new();
        (1..=most).find(|_| {
            evidence.add(allowed, chance(random) < rate);
            evidence.refutes(alpha)
        })
    }

    #[test]
    fn no_more_than_the_stated_share_is_refuted_at_the_very_edge_of_what_is_allowed() {
        let random = Random::seeded(1);
        for (allowed, alpha) in [(0.01, 0.02), (0.05, 0.02), (0.5, 0.02)] {
            let refuted = (0..500)
                .filter(|_| refuted_after(&random, allowed, allowed, alpha, 600).is_some())
                .count();
            assert!(refuted <= 10, "{refuted} of 500 at {allowed}");
        }
    }

    #[test]
    fn trouble_after_a_long_healthy_past_is_still_seen() {
        let random = Random::seeded(2);
        let mut evidence = Evidence::new();
        for _ in 0..20_000 {
            evidence.add(0.01, chance(&random) < 0.002);
        }
        assert!(!evidence.refutes(0.001));
        let seen = (1..2_000).find(|_| {
            evidence.add(0.01, chance(&random) < 0.05);
            evidence.refutes(0.001)
        });
        assert!(seen.unwrap() < 900, "{seen:?}");
        let all = (1..100).find(|_| {
            evidence.add(0.01, true);
            evidence.refutes(1e-100)
        });
        assert!(all.is_some());
    }

    #[test]
    fn two_hits_are_never_enough_and_a_few_in_a_row_are() {
        let mut evidence = Evidence::new();
        evidence.add(0.000_001, true);
        evidence.add(0.000_001, true);
        assert!(!evidence.refutes(0.5));
        let random = Random::seeded(3);
        let after = refuted_after(&random, 0.01, 1.0, 0.0005, 100).unwrap();
        assert!((3..=5).contains(&after), "{after}");
    }

    #[test]
    fn wealth_stays_a_number() {
        let mut evidence = Evidence::new();
        for _ in 0..10_000 {
            evidence.add(1e-9, true);
        }
        assert!(evidence.wealth().is_finite() && evidence.refutes(1e-100));
        for _ in 0..100_000 {
            evidence.add(0.5, false);
        }
        assert!(evidence.wealth().is_finite() && evidence.wealth() >= 0.0);
    }
}
