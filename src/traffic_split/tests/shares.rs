//! What share each target gets, and what a change moves.

use proptest::prelude::*;

use super::super::{StickyBy, state::Weights};
use super::*;
use crate::{key::digest, random::Random};

fn seeds(count: usize) -> Vec<u64> {
    (0..count)
        .map(|place| digest(format!("target {place}").as_bytes()))
        .collect()
}

fn place(weights: &[u32], seeds: &[u64], key: u64) -> usize {
    let weights = Weights::new(weights, seeds.len()).unwrap();
    weights.place(seeds, |_| true, || key).unwrap()
}

/// Pearson's statistic of what each target got of `keys`.
#[allow(clippy::cast_precision_loss)]
fn chi_square(weights: &[u32], keys: impl Iterator<Item = u64>) -> f64 {
    let seeds = seeds(weights.len());
    let all = Weights::new(weights, seeds.len()).unwrap();
    let mut counts = vec![0u64; weights.len()];
    for key in keys {
        counts[all.place(&seeds, |_| true, || key).unwrap()] += 1;
    }
    let total: u64 = counts.iter().sum();
    let sum: u32 = weights.iter().sum();
    let terms = counts.iter().zip(weights).map(|(count, weight)| {
        let expected = total as f64 * f64::from(*weight) / f64::from(sum);
        (*count as f64 - expected).powi(2) / expected
    });
    terms.sum()
}

#[test]
fn a_million_keys_that_differ_by_one_bit_or_few_are_shared_out_exactly() {
    // Chi-square's 99.9th percentile for three degrees of freedom, and for one.
    let four = chi_square(&[45, 10, 20, 25], 0..1_000_000);
    let two = chi_square(&[99, 1], (0..1_000_000).map(|key| key << 40));
    println!("a million keys: chi-square {four:.2} of three degrees of freedom, {two:.2} of one");
    assert!(four < 16.27 && two < 10.83, "{four} {two}");
}

#[test]
fn ids_of_requests_and_users_are_shared_out_exactly_too() {
    let random = Random::seeded(1);
    let numbers = |by: &StickyBy, name: &'static str| {
        let requests = (0..4_000).map(|number| {
            Request::post("/v1/chat/completions")
                .header("x-relay-request-id", format!("req-{number}"))
                .header("x-session", format!("session-{number}"))
                .body(RequestBody::json(format!(r#"{{"user":"user-{number}"}}"#)))
                .unwrap()
        });
        let numbers: Vec<_> = requests
            .map(|request| by.number(&request).unwrap_or_else(|| random.next()))
            .collect();
        let statistic = chi_square(&[70, 30], numbers.iter().copied());
        assert!(statistic < 10.83, "{name}: {statistic}");
        numbers
    };
    let by = [
        ("id", StickyBy::request_id()),
        ("user", StickyBy::user()),
        ("header", StickyBy::header("x-session".parse().unwrap())),
    ];
    for (name, by) in by {
        assert_eq!(
            numbers(&by, name),
            numbers(&by, name),
            "the same every time"
        );
    }
    assert_ne!(
        numbers(&StickyBy::random(), "random"),
        numbers(&StickyBy::random(), "random")
    );
    assert_ne!(
        numbers(&StickyBy::api_key(), "no key, so any"),
        numbers(&StickyBy::api_key(), "no key, so any")
    );
}

#[test]
fn as_many_keys_move_as_must() {
    let seeds = seeds(2);
    let (mut moved, mut back) = (0, 0);
    for key in 0..100_000 {
        let before = place(&[90, 10], &seeds, key);
        match (before, place(&[70, 30], &seeds, key)) {
            (0, 1) => moved += 1,
            (1, 0) => back += 1,
            _ => {}
        }
    }
    assert_eq!(back, 0);
    // A fifth, within five standard errors.
    assert!((19_370..=20_630).contains(&moved), "{moved}");
}

#[test]
fn splits_of_other_salts_are_independent() {
    let mut both = 0;
    let other: Vec<_> = seeds(2)
        .iter()
        .map(|seed| digest(&seed.to_be_bytes()))
        .collect();
    for key in 0..40_000 {
        let one = place(&[50, 50], &seeds(2), key);
        both += usize::from(one == 1 && place(&[50, 50], &other, key) == 1);
    }
    // A quarter, within five standard errors.
    assert!((9_570..=10_430).contains(&both), "{both}");
}

proptest! {
    #[test]
    fn a_weight_that_grows_takes_keys_and_moves_no_others(
        weights in prop::collection::vec(0u32..1000, 2..6),
        grown in any::<prop::sample::Index>(),
        by in 1u32..1000,
        keys in prop::collection::vec(any::<u64>(), 50),
    ) {
        prop_assume!(weights.iter().any(|weight| *weight > 0));
        let seeds = seeds(weights.len());
        let grown = grown.index(weights.len());
        let mut more = weights.clone();
        more[grown] += by;
        for key in keys {
            let (before, after) = (place(&weights, &seeds, key), place(&more, &seeds, key));
            prop_assert!(after == before || after == grown);
        }
    }

    #[test]
    fn of_two_targets_the_one_that_grows_keeps_its_keys(
        before in 0u32..=100, after in 0u32..=100, keys in prop::collection::vec(any::<u64>(), 50),
    ) {
        let seeds = seeds(2);
        let (less, more) = (before.min(after), before.max(after));
        for key in keys {
            if place(&[100 - less, less], &seeds, key) == 1 {
                prop_assert_eq!(place(&[100 - more, more], &seeds, key), 1);
            }
        }
    }

    #[test]
    fn a_target_without_weight_gets_nothing_and_what_is_taken_from_one_moves_no_others(
        weights in prop::collection::vec(0u32..1000, 3..6),
        out in any::<prop::sample::Index>(),
        key: u64,
    ) {
        let seeds = seeds(weights.len());
        let out = out.index(weights.len());
        let mut without = weights.clone();
        without[out] = 0;
        prop_assume!(without.iter().any(|weight| *weight > 0));
        let (before, after) = (place(&weights, &seeds, key), place(&without, &seeds, key));
        prop_assert!(weights[before] > 0 && without[after] > 0);
        prop_assert!(before == out || before == after);
    }
}
