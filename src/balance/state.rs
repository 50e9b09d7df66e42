//! Which member a request is given to. Pure.

use std::cmp::Ordering;

use super::places::{MAX_MEMBERS, Places};
use crate::random::{draw, scramble};

/// Sets the draw that says whether a member takes part apart from those for a place.
const TAKES_PART: u64 = 0x7461_6b65_7370_6172;

/// The share of its requests that each member is to have, 0 to 1.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shares {
    places: Places,
    each: [f64; MAX_MEMBERS],
}

impl Shares {
    pub(super) fn of(places: Places, share: impl Fn(usize) -> f64) -> Self {
        let mut each = [0.0; MAX_MEMBERS];
        for place in places.iter() {
            if let Some(slot) = each.get_mut(place) {
                *slot = share(place);
            }
        }
        Self { places, each }
    }

    pub(super) fn get(&self, place: usize) -> f64 {
        self.each.get(place).copied().unwrap_or(0.0)
    }

    fn largest(&self) -> f64 {
        let shares = self.places.iter().map(|place| self.get(place));
        shares.fold(0.0, f64::max)
    }

    /// Who takes part in the choice for `number`: those with the largest share always, the others as often as theirs is in proportion to
    /// it; nobody, where nobody has any. A share that grows keeps the numbers that it has.
    pub(super) fn taking_part(&self, seeds: impl Fn(usize) -> u64, number: u64) -> Places {
        let largest = self.largest();
        if largest <= 0.0 {
            return Places::default();
        }
        self.places.filter(|place| {
            let share = self.get(place);
            share >= largest
                || share > 0.0 && {
                    let drawn = scramble(number ^ seeds(place) ^ TAKES_PART);
                    below_one(drawn) < share / largest
                }
        })
    }
}

/// Power of two choices (Mitzenmacher 2001): of two members that `number` picks, the one whose `cost` is less; the first, where
/// neither is.
pub(super) fn better_of_two(
    places: Places,
    number: u64,
    cost: impl Fn(usize) -> f64,
) -> Option<usize> {
    let first = places.any(number)?;
    let Some(second) = places.without(first).any(scramble(number)) else {
        return Some(first);
    };
    Some(if cost(second) < cost(first) {
        second
    } else {
        first
    })
}

/// What one more request would meet at a member: how long a first token takes there, times the requests in flight and itself.
///
/// As Finagle has it, one of which no first token is known is tried if it has nothing in flight, and else comes after all others.
pub(super) fn cost(latency: Option<f64>, in_flight: u32) -> f64 {
    const UNKNOWN: f64 = 1e12;
    match latency {
        Some(latency) => latency * (f64::from(in_flight) + 1.0),
        None => UNKNOWN * f64::from(in_flight),
    }
}

/// The least of `places` by `key`; of equals, one by `number`.
pub(super) fn least<K>(
    places: Places,
    number: u64,
    key: impl Fn(usize) -> K,
    order: impl Fn(&K, &K) -> Ordering,
) -> Option<usize> {
    let mut best: Option<(usize, K, u64)> = None;
    for (place, salt) in places.iter().zip(1_u64..) {
        let (key, tie) = (key(place), scramble(number ^ salt));
        let is_less = best.as_ref().is_none_or(|(_, least, drawn)| {
            order(&key, least).then(tie.cmp(drawn)) == Ordering::Less
        });
        if is_less {
            best = Some((place, key, tie));
        }
    }
    best.map(|(place, ..)| place)
}

/// The member that wins `number` by its `weight`: each with a probability of its weight's share.
pub(super) fn weighted(
    places: Places,
    number: u64,
    seeds: impl Fn(usize) -> u64,
    weight: impl Fn(usize) -> u32,
) -> Option<usize> {
    let drawn = |place| match weight(place) {
        0 => f64::INFINITY,
        weight => draw(number, seeds(place), weight.into()),
    };
    let weighted = places.preferring(|place| weight(place) > 0);
    least(weighted, number, drawn, f64::total_cmp)
}

/// The member for `key` by consistent hashing with bounded loads (Mirrokni, Thorup and Zadimoghaddam 2018): the first in the key's own
/// order of members with fewer requests in flight than `factor` times its part of all, this one included, rounded up. The order is that
/// of rendezvous hashing, so that what one member cannot take is spread over all others. Also whether that is not the key's first.
pub(super) fn bounded(
    places: Places,
    key: u64,
    factor: f64,
    seeds: impl Fn(usize) -> u64,
    share: impl Fn(usize) -> f64,
    in_flight: impl Fn(usize) -> u32,
) -> Option<(usize, bool)> {
    let all = places.iter().map(|place| u64::from(in_flight(place)));
    let all = as_f64(all.sum::<u64>() + 1);
    let shares: f64 = places.iter().map(&share).sum();
    let has_room = |place: usize| {
        let bound = (factor * all * share(place) / shares).ceil();
        f64::from(in_flight(place)) < bound
    };
    let mut left = places;
    let mut moved = false;
    loop {
        let home = least(
            left,
            key,
            |place| draw(key, seeds(place), 1),
            f64::total_cmp,
        )?;
        if has_room(home) {
            return Some((home, moved));
        }
        left = left.without(home);
        moved = true;
        // Somebody always has room, but for what changed while this was asked.
        if left.is_empty() {
            let load = |place| f64::from(in_flight(place)) / share(place);
            return Some((least(places, key, load, f64::total_cmp)?, true));
        }
    }
}

/// Evenly spread from 0 to 1, which is left out.
fn below_one(number: u64) -> f64 {
    as_f64(number >> 11) / as_f64(1 << 53)
}

#[allow(clippy::cast_precision_loss, reason = "at most 2^53")]
fn as_f64(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(count: usize) -> Places {
        Places::of(count, |_| true)
    }

    /// As good as a hash of a name.
    fn seed(place: usize) -> u64 {
        scramble(place as u64 + 1)
    }

    fn parts(numbers: u64, choose: impl Fn(u64) -> usize, count: usize) -> Vec<u64> {
        let mut parts = vec![0; count];
        (0..numbers).for_each(|number| parts[choose(scramble(number))] += 1);
        parts
    }

    #[test]
    fn of_two_choices_the_cheaper_is_taken_and_the_dearest_of_three_never_is() {
        let costs = [1.0, 2.0, 3.0];
        let choose = |number| better_of_two(all(3), number, |place| costs[place]).unwrap();
        let chosen = parts(30_000, choose, 3);
        assert!(chosen[0].abs_diff(20_000) < 500, "{chosen:?}");
        assert!(chosen[1].abs_diff(10_000) < 500, "{chosen:?}");
        assert_eq!(chosen[2], 0);
        let even = parts(
            30_000,
            |number| better_of_two(all(3), number, |_| 1.0).unwrap(),
            3,
        );
        assert!(
            even.iter().all(|part| part.abs_diff(10_000) < 500),
            "{even:?}"
        );
    }

    #[test]
    fn one_that_is_unknown_is_tried_once_at_a_time() {
        assert!(cost(None, 0) < cost(Some(0.001), 0));
        assert!(cost(None, 1) > cost(Some(100.0), 10_000));
        assert!(cost(Some(0.2), 4) < cost(Some(1.0), 1));
    }

    #[test]
    fn members_take_part_as_often_as_their_share_says() {
        let shares = [0.5, 0.25, 0.005, 0.0];
        let shares = Shares::of(all(4), |place| shares[place]);
        let mut counts = [0; 4];
        for number in 0..40_000 {
            let part = shares.taking_part(seed, scramble(number));
            part.iter().for_each(|place| counts[place] += 1);
        }
        assert_eq!((counts[0], counts[3]), (40_000, 0));
        assert!(20_000_u64.abs_diff(counts[1]) < 500, "{counts:?}");
        assert!(400_u64.abs_diff(counts[2]) < 100, "{counts:?}");
        let nobody = Shares::of(all(4), |_| 0.0);
        assert!(nobody.taking_part(seed, 1).is_empty());
    }

    #[test]
    fn weights_are_shares() {
        let weights = [10, 70, 20, 0];
        let choose = |number| weighted(all(4), number, seed, |place| weights[place]).unwrap();
        let parts = parts(100_000, choose, 4);
        for (part, weight) in parts.iter().zip(weights) {
            assert!(part.abs_diff(u64::from(weight) * 1000) < 600, "{parts:?}");
        }
        // Those without a weight are better than nobody.
        assert_eq!(
            weighted(Places::of(4, |place| place == 3), 1, seed, |place| weights
                [place]),
            Some(3)
        );
    }

    #[test]
    fn the_least_is_taken_and_equals_take_turns() {
        let loads = [3, 1, 1, 1];
        let choose = |number| least(all(4), number, |place| loads[place], Ord::cmp).unwrap();
        let parts = parts(30_000, choose, 4);
        assert_eq!(parts[0], 0);
        assert!(
            parts[1..].iter().all(|part| part.abs_diff(10_000) < 500),
            "{parts:?}"
        );
    }

    #[test]
    fn a_key_keeps_its_member_while_that_has_room() {
        let idle = |key| bounded(all(5), key, 1.25, seed, |_| 1.0, |_| 0).unwrap();
        for key in (0..1000).map(scramble) {
            let (home, moved) = idle(key);
            assert!(!moved);
            // The loss of another moves no key.
            for lost in (0..5).filter(|lost| *lost != home) {
                let left = all(5).without(lost);
                let (same, _) = bounded(left, key, 1.25, seed, |_| 1.0, |_| 0).unwrap();
                assert_eq!(same, home);
            }
            let full = |place| if place == home { 10 } else { 5 };
            let (other, moved) = bounded(all(5), key, 1.25, seed, |_| 1.0, full).unwrap();
            assert!(moved && other != home);
        }
    }

    proptest! {
        #[test]
        fn no_member_ever_has_more_than_its_bound(
            count in 1_usize..10,
            factor in 1.0_f64..3.0,
            keys in prop::collection::vec(0_u64..5, 1..300),
            shares in prop::collection::vec(0.01_f64..=1.0, 10),
        ) {
            let mut loads = vec![0_u32; count];
            let sum: f64 = shares[..count].iter().sum();
            for (given, key) in (1_u32..).zip(keys) {
                let key = scramble(key);
                let (place, _) = bounded(all(count), key, factor, seed, |place| shares[place], |place| loads[place]).unwrap();
                loads[place] += 1;
                let bound = (factor * f64::from(given) * shares[place] / sum).ceil();
                prop_assert!(f64::from(loads[place]) <= bound, "{loads:?}");
            }
        }

        #[test]
        fn a_share_that_grows_keeps_the_numbers_that_it_has(number: u64, share in 0.0_f64..=1.0, more in 0.0_f64..=1.0) {
            let of = |share: f64| Shares::of(all(2), |place| if place == 0 { 1.0 } else { share });
            let small = of(share.min(more)).taking_part(seed, number);
            let large = of(share.max(more)).taking_part(seed, number);
            prop_assert!(!small.has(1) || large.has(1));
        }
    }
}
