//! Who is in flight and who waits, for one key: the policy, pure.

use std::{cmp::Reverse, collections::BTreeMap};

use super::Priority;

/// Those of one key. `W` is what stands for one that waits.
#[derive(Debug)]
pub(super) struct State<W> {
    in_flight: usize,
    /// In the order in which they are let in: whoever is shed is the last of it.
    line: BTreeMap<Place, W>,
    arrivals: u64,
}

/// A place in line: the higher priority first, and in a priority whoever came first. None is given twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    priority: Reverse<Priority>,
    arrival: u64,
}

impl<W> State<W> {
    pub(super) fn new() -> Self {
        Self {
            in_flight: 0,
            line: BTreeMap::new(),
            arrivals: 0,
        }
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight
    }

    pub(super) fn waiting(&self) -> usize {
        self.line.len()
    }

    /// Lets a newcomer in, where there is room and nobody waits for it.
    pub(super) fn admit(&mut self, limit: usize) -> bool {
        let is_free = self.in_flight < limit && self.line.is_empty();
        self.in_flight += usize::from(is_free);
        is_free
    }

    /// Puts one in line.
    pub(super) fn join(&mut self, priority: Priority, waiter: W) -> Place {
        let place = Place {
            priority: Reverse(priority),
            arrival: self.arrivals,
        };
        self.arrivals += 1;
        self.line.insert(place, waiter);
        place
    }

    /// Takes out of line whoever has to make room for a newcomer of `priority`: of the lowest priority, if that is lower, the one that
    /// came last.
    pub(super) fn displace(&mut self, priority: Priority) -> Option<W> {
        let last = self.line.last_entry()?;
        (last.key().priority.0 < priority).then(|| last.remove())
    }

    /// Takes one out of line that waits no longer; `None` where it is its turn already, or it was displaced.
    pub(super) fn leave(&mut self, place: Place) -> Option<W> {
        self.line.remove(&place)
    }

    /// One of those in flight has ended.
    pub(super) fn release(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    /// Lets the first in line in, where there is room.
    pub(super) fn grant(&mut self, limit: usize) -> Option<W> {
        if self.in_flight >= limit {
            return None;
        }
        let (_, waiter) = self.line.pop_first()?;
        self.in_flight += 1;
        Some(waiter)
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn in_order(state: &mut State<usize>) -> Vec<usize> {
        std::iter::from_fn(|| state.grant(usize::MAX)).collect()
    }

    #[test]
    fn nobody_overtakes_within_a_priority_and_all_of_a_higher_one_do() {
        let mut state = State::new();
        for (number, level) in [5, 9, 5, 0, 9].into_iter().enumerate() {
            state.join(Priority::new(level), number);
        }
        assert_eq!(in_order(&mut state), [1, 4, 0, 2, 3]);
    }

    #[test]
    fn the_newest_of_the_lowest_priority_makes_room_for_a_higher_one_only() {
        let mut state = State::new();
        for (number, level) in [5, 2, 2].into_iter().enumerate() {
            state.join(Priority::new(level), number);
        }
        assert_eq!(state.displace(Priority::new(2)), None);
        assert_eq!(state.displace(Priority::new(3)), Some(2));
        assert_eq!(state.displace(Priority::new(5)), Some(1));
        assert_eq!(state.displace(Priority::new(5)), None);
        assert_eq!(state.displace(Priority::new(6)), Some(0));
        assert_eq!(state.displace(Priority::new(6)), None);
    }

    #[test]
    fn a_newcomer_does_not_overtake_those_who_wait() {
        let mut state = State::new();
        assert!(state.admit(1));
        let place = state.join(Priority::NORMAL, 0);
        assert!(!state.admit(2));
        assert_eq!(state.grant(2), Some(0));
        assert_eq!(state.leave(place), None);
        assert!(state.admit(3));
    }

    #[derive(Debug, Clone)]
    enum Step {
        Come(u8),
        Leave(usize),
        End,
        Limit(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (0..4u8).prop_map(Step::Come),
            1 => (0..64usize).prop_map(Step::Leave),
            3 => Just(Step::End),
            1 => (0..6usize).prop_map(Step::Limit),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        /// Against a list that is searched each time.
        #[test]
        fn whoever_comes_is_in_flight_in_line_or_gone(steps in vec(step(), 0..80)) {
            const PENDING: usize = 5;
            let mut state = State::new();
            let mut limit = 2;
            let (mut in_flight, mut naive) = (0_usize, Vec::<(u8, usize, Place)>::new());
            for (number, step) in steps.into_iter().enumerate() {
                match step {
                    Step::Come(level) => {
                        let is_free = in_flight < limit && naive.is_empty();
                        prop_assert_eq!(state.admit(limit), is_free);
                        if is_free {
                            in_flight += 1;
                            continue;
                        }
                        if naive.len() >= PENDING {
                            let last = naive.iter().rev().min_by_key(|(level, number, _)| (*level, Reverse(*number))).copied();
                            let expected = last.filter(|(lowest, ..)| *lowest < level);
                            prop_assert_eq!(state.displace(Priority::new(level)), expected.map(|(_, number, _)| number));
                            let Some((_, gone, _)) = expected else { continue };
                            naive.retain(|(_, number, _)| *number != gone);
                        }
                        naive.push((level, number, state.join(Priority::new(level), number)));
                    }
                    Step::Leave(at) if !naive.is_empty() => {
                        let (_, number, place) = naive.remove(at % naive.len());
                        prop_assert_eq!(state.leave(place), Some(number));
                        prop_assert_eq!(state.leave(place), None);
                    }
                    Step::End if in_flight > 0 => {
                        state.release();
                        in_flight -= 1;
                    }
                    Step::Limit(to) => limit = to,
                    Step::Leave(_) | Step::End => {}
                }
                while let Some(granted) = state.grant(limit) {
                    let first = naive.iter().max_by_key(|(level, number, _)| (*level, Reverse(*number))).copied();
                    prop_assert_eq!(first.map(|(_, number, _)| number), Some(granted));
                    naive.retain(|(_, number, _)| *number != granted);
                    in_flight += 1;
                }
                prop_assert_eq!((state.in_flight(), state.waiting()), (in_flight, naive.len()));
                prop_assert!(naive.is_empty() || in_flight >= limit, "no room is left while one waits");
            }
        }
    }
}
