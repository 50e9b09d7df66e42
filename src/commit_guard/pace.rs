//! Whether tokens come as fast as they must.

use std::{collections::VecDeque, time::Duration};

/// Parts that the window is cut into: how exact it is, and what it costs.
const PARTS: u32 = 10;

/// The least that one more token of text adds to an event, in bytes: what a token of English weighs on average
/// (<https://help.openai.com/en/articles/4936856>).
const BYTES_PER_TOKEN: usize = 4;

/// A floor on tokens per second over a sliding window of the time that was spent waiting for the upstream.
///
/// Time that the caller takes to read does not count, so a slow caller is no slow upstream. How long an upstream may be silent at
/// a time is not decided here: this is asked when an event has come.
#[derive(Debug)]
pub(super) struct Pace {
    floor: u32,
    window: Duration,
    grace: Duration,
    waited: Duration,
    /// What came, by the moment of waited time at which its part of the window began; the newest last.
    parts: VecDeque<(Duration, u64)>,
    shortest: usize,
}

impl Pace {
    /// `None` where `floor`, in tokens per second, is zero.
    pub(super) fn new(floor: u32, window: Duration, grace: Duration) -> Option<Self> {
        (floor > 0).then(|| Self {
            floor,
            window,
            grace,
            waited: Duration::ZERO,
            parts: VecDeque::new(),
            shortest: usize::MAX,
        })
    }

    /// An event came after it was waited for `waited`, with `len` bytes of data, output among them or not.
    ///
    /// An event of output counts as one token, and one more for each four bytes that it is longer than the shortest of its stream,
    /// so that neither the provider's envelope nor several tokens in one event distort the rate much.
    pub(super) fn event(&mut self, waited: Duration, len: usize, is_output: bool) {
        self.waited = self.waited.saturating_add(waited);
        if !is_output {
            return;
        }
        self.shortest = self.shortest.min(len);
        let tokens = 1 + ((len - self.shortest) / BYTES_PER_TOKEN) as u64;
        let width = self.window / PARTS;
        match self.parts.back_mut() {
            Some((start, sum)) if self.waited.saturating_sub(*start) < width => *sum += tokens,
            _ => self.parts.push_back((self.waited, tokens)),
        }
        let past = self.waited.saturating_sub(self.window);
        while self.parts.front().is_some_and(|(start, _)| *start < past) {
            self.parts.pop_front();
        }
    }

    /// Whether fewer tokens came in the last window than must.
    pub(super) fn is_too_slow(&self) -> bool {
        if self.waited < self.grace.saturating_add(self.window) {
            return false;
        }
        let past = self.waited.saturating_sub(self.window);
        let recent = self.parts.iter().filter(|(start, _)| *start >= past);
        let tokens: u64 = recent.map(|(_, tokens)| tokens).sum();
        u128::from(tokens) * 1000 < u128::from(self.floor) * self.window.as_millis()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn pace(floor: u32) -> Pace {
        Pace::new(floor, 10 * SECOND, 5 * SECOND).unwrap()
    }

    /// The seconds after which a token every `gap` is too slow.
    fn slow_after(pace: &mut Pace, gap: Duration) -> Option<u64> {
        (1..1000).find_map(|_| {
            pace.event(gap, 100, true);
            pace.is_too_slow().then_some(pace.waited.as_secs())
        })
    }

    #[test]
    fn a_drip_is_too_slow_once_grace_and_window_are_over() {
        assert_eq!(slow_after(&mut pace(2), SECOND), Some(15));
        assert_eq!(slow_after(&mut pace(2), SECOND / 4), None);
    }

    #[test]
    fn a_stream_that_slows_down_is_noticed_within_a_window() {
        let mut pace = pace(2);
        assert_eq!(slow_after(&mut pace, SECOND / 10), None);
        let fast = pace.waited.as_secs();
        let slow = slow_after(&mut pace, SECOND).unwrap();
        assert!(slow - fast <= 10, "{} s", slow - fast);
    }

    #[test]
    fn a_caller_who_reads_slowly_is_no_slow_upstream() {
        assert_eq!(slow_after(&mut pace(100), Duration::ZERO), None);
    }

    #[test]
    fn events_of_many_tokens_count_for_many() {
        let mut pace = pace(10);
        for _ in 0..100 {
            pace.event(SECOND, 200, true);
            pace.event(SECOND, 300, true);
            assert!(!pace.is_too_slow());
        }
        assert!(Pace::new(0, SECOND, SECOND).is_none());
    }

    proptest! {
        #[test]
        fn what_is_kept_is_bounded(gaps in prop::collection::vec(0u64..5_000, 0..200)) {
            let mut pace = pace(1);
            for gap in gaps {
                pace.event(Duration::from_millis(gap), 10, true);
                prop_assert!(pace.parts.len() <= PARTS as usize + 1);
            }
        }
    }
}
