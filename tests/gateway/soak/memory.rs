//! Whether memory grows.

use std::time::Duration;

/// Resident memory in KiB, by the seconds since the beginning.
pub(super) type Samples = [(f64, f64)];

/// What it may grow by in the time that is looked at, in KiB: an allocator keeps some of what was freed.
const BOUND: f64 = 4_096.0;

/// Says how much it grew in the second half, when whatever is bounded has filled; panics where that is too much.
pub(super) fn is_flat(samples: &Samples) {
    let (early, late) = samples.split_at(samples.len() / 2);
    let span = late.last().unwrap().0 - late[0].0;
    let (slope, bound) = (slope(late) * 60.0, BOUND / span * 60.0);
    println!(
        "memory: {:.0} KiB in the first half, {:.0} KiB in the second, in which it grew by {slope:.0} KiB a minute, of at most {bound:.0}",
        middle(early.iter().map(|(_, memory)| *memory)),
        middle(late.iter().map(|(_, memory)| *memory)),
    );
    assert!(slope < bound, "it grows: {:?}", each_minute(samples));
}

/// The median of the slopes between any two samples (Theil and Sen's), a second: a few that stand out do not change it.
fn slope(samples: &Samples) -> f64 {
    let pairs = samples.iter().enumerate().flat_map(|(index, one)| {
        let later = samples[index + 1..].iter();
        later.map(move |other| (other.1 - one.1) / (other.0 - one.0))
    });
    middle(pairs)
}

fn middle(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    let half = values.len() / 2;
    *values.select_nth_unstable_by(half, f64::total_cmp).1
}

/// As `soak` waits between samples.
fn each_minute(samples: &Samples) -> Vec<f64> {
    let a_minute = Duration::from_secs(60).as_millis() / super::SAMPLED.as_millis();
    let a_minute = usize::try_from(a_minute).unwrap();
    samples.iter().step_by(a_minute).map(|one| one.1).collect()
}

#[test]
fn memory_that_grows_is_told_from_memory_that_jumps() {
    let samples: Vec<_> = (0..200).map(f64::from).map(|at| (at, 50_000.0)).collect();
    let mut jumping = samples.clone();
    jumping[120].1 += 90_000.0;
    is_flat(&jumping);
    let growing: Vec<_> = samples
        .iter()
        .map(|one| (one.0, one.1 + 50.0 * one.0))
        .collect();
    assert!(std::panic::catch_unwind(|| is_flat(&growing)).is_err());
}
