//! Whether tokens come as fast as they must.

use std::{collections::VecDeque, fmt, time::Duration};

use crate::message::{OutputWeight, has_output};

/// Parts that the window is cut into: how exact it is, and what it costs.
const PARTS: u32 = 10;

/// A floor on tokens per second over a sliding window of the time that was spent waiting for the upstream.
///
/// Time that the caller takes to read does not count, so a slow caller is no slow upstream. How long an upstream may be silent at
/// a time is not decided here: this is asked when an event has come.
pub(super) struct Pace {
    floor: u32,
    window: Duration,
    grace: Duration,
    waited: Duration,
    /// What came, by the moment of waited time at which its part of the window began; the newest last.
    parts: VecDeque<(Duration, u64)>,
    weight: OutputWeight,
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
            weight: OutputWeight::default(),
        })
    }

    /// An event with this data came after it was waited for `waited`.
    ///
    /// Output counts by the weight of its text, as for a bill, and as one token at least: what it is may stand where it is not weighed.
    pub(super) fn event(&mut self, waited: Duration, data: &[u8]) {
        self.waited = self.waited.saturating_add(waited);
        if !has_output(data) {
            return;
        }
        let before = self.weight.tokens();
        self.weight.event(data);
        let tokens = self.weight.tokens().saturating_sub(before).max(1);
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

impl fmt::Debug for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pace")
            .field("floor", &self.floor)
            .field("waited", &self.waited)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const HELLO: &[u8] = br#"{"choices":[{"delta":{"content":" hello"}}]}"#;

    fn pace(floor: u32) -> Pace {
        Pace::new(floor, 10 * SECOND, 5 * SECOND).unwrap()
    }

    /// The seconds after which a token every `gap` is too slow.
    fn slow_after(pace: &mut Pace, gap: Duration) -> Option<u64> {
        (1..1000).find_map(|_| {
            pace.event(gap, HELLO);
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
    fn an_envelope_is_no_token_however_long_it_is() {
        let mut pace = pace(10);
        let padding = "x".repeat(1000);
        let short = format!(r#"{{"id":"{padding}","choices":[{{"delta":{{"content":"a"}}}}]}}"#);
        let empty = format!(r#"{{"id":"{padding}","choices":[{{"delta":{{"content":""}}}}]}}"#);
        let is_slow = (0..100).any(|_| {
            pace.event(SECOND, short.as_bytes());
            pace.event(Duration::ZERO, empty.as_bytes());
            pace.is_too_slow()
        });
        assert!(is_slow);
    }

    #[test]
    fn events_of_many_tokens_count_for_many() {
        let mut pace = pace(10);
        let line = br#"{"choices":[{"delta":{"content":"the quick brown fox jumps over the lazy dog and runs"}}]}"#;
        for _ in 0..100 {
            pace.event(SECOND, line);
            assert!(!pace.is_too_slow());
        }
        assert!(Pace::new(0, SECOND, SECOND).is_none());
    }

    proptest! {
        #[test]
        fn what_is_kept_is_bounded(gaps in prop::collection::vec(0u64..5_000, 0..200)) {
            let mut pace = pace(1);
            for gap in gaps {
                pace.event(Duration::from_millis(gap), HELLO);
                prop_assert!(pace.parts.len() <= PARTS as usize + 1);
            }
        }
    }
}
