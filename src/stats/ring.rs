//! A sliding window in ten slices.

use std::time::Duration;

use tokio::time::Instant;

/// Slices of a window. The window slides by a tenth of its length at a time.
pub(super) const SLICES: usize = 10;

/// What happened within a window of time, one `T` for each tenth of it.
///
/// Time may be given in any order. What is older than the window, seen from the newest moment that was recorded, is left out.
#[derive(Debug, Clone)]
pub(crate) struct Ring<T> {
    origin: Instant,
    slice_nanos: u64,
    /// The newest slice that was recorded in.
    newest: Option<u64>,
    slices: [Slice<T>; SLICES],
}

#[derive(Debug, Clone)]
struct Slice<T> {
    /// Which tenth since the origin this is; `None` when nothing was recorded in it yet.
    number: Option<u64>,
    content: T,
}

/// What a window is made of.
pub(crate) trait Content: Default {
    /// Makes it as new, keeping its memory.
    fn clear(&mut self);
}

impl<T: Content> Ring<T> {
    /// A window of `length`, at least 10 ns. Moments before `origin` count as `origin`.
    pub(crate) fn new(origin: Instant, length: Duration) -> Self {
        Self {
            origin,
            slice_nanos: (nanos(length) / SLICES as u64).max(1),
            newest: None,
            slices: std::array::from_fn(|_| Slice {
                number: None,
                content: T::default(),
            }),
        }
    }

    /// Where to record what happens at `now`; `None` when that is older than the window.
    pub(crate) fn at(&mut self, now: Instant) -> Option<&mut T> {
        let number = self.number(now);
        let newest = self.newest.map_or(number, |newest| newest.max(number));
        if number + (SLICES as u64) <= newest {
            return None;
        }
        self.newest = Some(newest);
        let slice = self
            .slices
            .get_mut(usize::try_from(number % SLICES as u64).ok()?)?;
        if slice.number != Some(number) {
            slice.number = Some(number);
            slice.content.clear();
        }
        Some(&mut slice.content)
    }

    /// What is in the window at `now`, or at the newest moment recorded if that is later.
    pub(crate) fn within(&self, now: Instant) -> impl Iterator<Item = &T> {
        let end = self.number(now).max(self.newest.unwrap_or(0));
        let in_window = move |number: u64| number + SLICES as u64 > end;
        self.slices
            .iter()
            .filter(move |slice| slice.number.is_some_and(in_window))
            .map(|slice| &slice.content)
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.newest = None;
        for slice in &mut self.slices {
            slice.number = None;
        }
    }

    fn number(&self, now: Instant) -> u64 {
        let since = nanos(now.saturating_duration_since(self.origin)) / self.slice_nanos;
        // Leaves room for a window's slices to be added.
        since.min(u64::MAX - SLICES as u64)
    }
}

/// In nanoseconds, of which a `u64` holds 584 years.
fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    impl Content for Vec<u32> {
        fn clear(&mut self) {
            Vec::clear(self);
        }
    }

    /// Everything that was ever recorded, with the number of its slice.
    #[derive(Default)]
    struct Naive {
        all: Vec<(u64, u32)>,
    }

    impl Naive {
        fn within(&self, now: u64) -> Vec<u32> {
            let end = self
                .all
                .iter()
                .map(|(slice, _)| *slice)
                .max()
                .unwrap_or(0)
                .max(now);
            let mut within: Vec<_> = self
                .all
                .iter()
                .filter(|(slice, _)| slice + 10 > end)
                .map(|(_, what)| *what)
                .collect();
            within.sort_unstable();
            within
        }
    }

    proptest! {
        #[test]
        fn a_window_holds_what_a_list_of_everything_would(
            steps in prop::collection::vec((any::<bool>(), prop_oneof![0u64..3_000, 0u64..100, any::<u32>().prop_map(u64::from)]), 1..80),
        ) {
            // Slices of 10 ms.
            let origin = Instant::now() + Duration::from_millis(500);
            let mut ring = Ring::<Vec<u32>>::new(origin, Duration::from_millis(100));
            let mut naive = Naive::default();
            for (what, (record, millis)) in (0..).zip(steps) {
                // Also moments before the origin.
                let now = origin - Duration::from_millis(500) + Duration::from_millis(millis);
                let slice = millis.saturating_sub(500) / 10;
                if record {
                    if let Some(content) = ring.at(now) {
                        content.push(what);
                    }
                    naive.all.push((slice, what));
                }
                let mut within: Vec<_> = ring.within(now).flatten().copied().collect();
                within.sort_unstable();
                prop_assert_eq!(within, naive.within(slice));
            }
        }
    }

    #[test]
    fn a_window_empties_as_time_passes() {
        let origin = Instant::now();
        let mut ring = Ring::<Vec<u32>>::new(origin, Duration::from_secs(10));
        ring.at(origin).unwrap().push(1);
        let count = |after| {
            ring.within(origin + Duration::from_millis(after))
                .flatten()
                .count()
        };
        assert_eq!(
            [0, 9_999, 10_000, u64::from(u32::MAX)].map(count),
            [1, 1, 0, 0]
        );
    }

    #[test]
    fn a_window_of_no_length_is_no_division_by_zero() {
        let mut ring = Ring::<Vec<u32>>::new(Instant::now(), Duration::ZERO);
        assert!(ring.at(Instant::now()).is_some());
    }
}
