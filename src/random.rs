//! Random numbers: SplitMix64 (Steele, Lea and Flood, 2014). Good enough to spread waits and to tell things apart; nothing that is
//! secret may hang on them.

use std::{
    hash::{BuildHasher, RandomState},
    sync::atomic::{AtomicU64, Ordering},
};

/// What is added to the state for each number: 2^64 divided by the golden ratio.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// A source of random numbers that threads share.
#[derive(Debug)]
pub(crate) struct Random(AtomicU64);

impl Random {
    pub(crate) const fn seeded(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }

    /// Seeded as the standard library seeds its hash maps.
    pub(crate) fn from_entropy() -> Self {
        Self::seeded(RandomState::new().hash_one("random"))
    }

    /// The next number. No other memory hangs on it, so no ordering is needed; none comes twice before all 2^64 have come.
    pub(crate) fn next(&self) -> u64 {
        scramble(
            self.0
                .fetch_add(GOLDEN, Ordering::Relaxed)
                .wrapping_add(GOLDEN),
        )
    }
}

/// The finalizer: a bijection, so distinct numbers stay distinct.
pub(crate) fn scramble(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// What `seed` draws for `key`, of all whose weight is more than zero: the least draw wins.
///
/// Weighted rendezvous hashing (Thaler and Ravishankar 1998; weighted as in Schindelhauer and Schomaker 2005): everybody draws
/// `-ln(u) / weight` with a `u` of their own for the key, and the least wins, which it does with a probability of exactly its weight's
/// share. A draw depends on its own weight only. So a higher weight wins keys and loses none, and nothing moves between others.
pub(crate) fn draw(key: u64, seed: u64, weight: u64) -> f64 {
    -unit(scramble(key ^ seed)).ln() / exact(weight)
}

/// Evenly spread over what lies between 0 and 1, both left out.
fn unit(number: u64) -> f64 {
    (exact(number >> 12) + 0.5) / exact(1 << 52)
}

#[allow(
    clippy::cast_precision_loss,
    reason = "below 2^53, as weights times thousandths are too"
)]
fn exact(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_splitmix64() {
        // The first numbers of the reference implementation for this seed (prng.di.unimi.it/splitmix64.c).
        let random = Random::seeded(1_234_567);
        let numbers = [(); 3].map(|()| random.next());
        assert_eq!(
            numbers,
            [
                6_457_827_717_110_365_317,
                3_203_168_211_198_807_973,
                9_817_491_932_198_370_423
            ]
        );
    }
}
