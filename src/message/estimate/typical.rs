//! How long the answers of a model usually are.

use std::{
    fmt,
    hash::{BuildHasher, RandomState},
    sync::atomic::{AtomicU64, Ordering},
};

/// So many models are told apart, by a hash of their names; two that fall together share an estimate. So names that callers make up take
/// no memory.
const PLACES: usize = 1024;
/// The longest answer that is learned from; the two averages share 64 bits.
const MAX: u64 = u32::MAX as u64 / 8;

/// Moving averages of the tokens of output, by model.
pub(crate) struct Typical {
    seed: RandomState,
    /// The average in the upper half, in eighths of a token, and the mean deviation in the lower, in quarters: RFC 6298's arithmetic. 0
    /// where nothing is known.
    places: Box<[AtomicU64]>,
}

impl Typical {
    pub(crate) fn new() -> Self {
        Self {
            seed: RandomState::new(),
            places: (0..PLACES).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    /// Where `model` is found.
    pub(crate) fn place(&self, model: &str) -> usize {
        let hash = self.seed.hash_one(model);
        usize::try_from(hash % PLACES as u64).unwrap_or(0)
    }

    /// What an answer usually takes at most; `None` where none has been seen.
    pub(crate) fn get(&self, place: usize) -> Option<u64> {
        let known = self.places.get(place)?.load(Ordering::Relaxed);
        let (average, deviation) = (known >> 32, known & 0xffff_ffff);
        (known != 0).then_some(average / 8 + deviation / 2)
    }

    /// Learns from an answer.
    pub(crate) fn learn(&self, place: usize, output: u64) {
        let Some(place) = self.places.get(place) else {
            return;
        };
        let output = output.clamp(1, MAX);
        // An estimate alone: no other memory hangs on it.
        let _ = place.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |known| {
            Some(next(known, output))
        });
    }
}

fn next(known: u64, output: u64) -> u64 {
    if known == 0 {
        // The first: half of it is taken for the deviation, which is kept in quarters.
        return (output * 8) << 32 | (output * 2);
    }
    let (average, deviation) = (known >> 32, known & 0xffff_ffff);
    let error = output.abs_diff(average / 8);
    let deviation = deviation - deviation / 4 + error;
    let average = average - average / 8 + output;
    average.min(0xffff_ffff) << 32 | deviation.min(0xffff_ffff)
}

impl fmt::Debug for Typical {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Typical").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_estimate_comes_to_what_answers_take() {
        let typical = Typical::new();
        let place = typical.place("gpt-4.1");
        assert_eq!(typical.get(place), None);
        typical.learn(place, 100);
        assert_eq!(typical.get(place), Some(200));
        (0..50).for_each(|_| typical.learn(place, 100));
        let settled = typical.get(place).unwrap();
        assert!((100..=110).contains(&settled), "{settled}");
        // Answers that vary take more than their average.
        (0..50).for_each(|round| typical.learn(place, 50 + 100 * (round % 2)));
        let varied = typical.get(place).unwrap();
        assert!((150..=230).contains(&varied), "{varied}");
    }

    #[test]
    fn no_length_is_too_long() {
        let typical = Typical::new();
        for output in [0, u64::MAX, 0, u64::MAX, u64::MAX] {
            typical.learn(7, output);
        }
        assert!(typical.get(7).is_some_and(|tokens| tokens > 1_000_000));
        assert_eq!(typical.get(usize::MAX), None);
    }
}
