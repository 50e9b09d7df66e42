//! When a second attempt is made. Pure.

use std::time::Duration;

/// How long a first output is waited for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Patience {
    Fixed(Duration),
    /// As long as this share of the requests takes at most, 0 to 1, within bounds; the upper one while too few are known.
    Quantile {
        share: f64,
        floor: Duration,
        ceiling: Duration,
        min_samples: u64,
    },
}

impl Patience {
    /// How long it is, where it is always the same.
    pub(super) fn fixed(self) -> Option<Duration> {
        match self {
            Self::Fixed(delay) => Some(delay),
            Self::Quantile { .. } => None,
        }
    }

    /// How long it is, by what `quantile` says of the spans that are known: how many there are, and the one that the share does not
    /// exceed. Asked only where it counts.
    pub(super) fn delay(self, quantile: impl FnOnce(f64) -> (u64, Option<Duration>)) -> Duration {
        match self {
            Self::Fixed(delay) => delay,
            Self::Quantile {
                share,
                floor,
                ceiling,
                min_samples,
            } => match quantile(share) {
                (samples, Some(span)) if samples >= min_samples => span.clamp(floor, ceiling),
                _ => ceiling,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_counts_within_its_bounds_and_once_it_is_known() {
        let seconds = Duration::from_secs;
        let patience = Patience::Quantile {
            share: 0.95,
            floor: seconds(1),
            ceiling: seconds(10),
            min_samples: 50,
        };
        for (samples, span, delay) in [
            (0, None, 10),
            (49, Some(5), 10),
            (50, Some(5), 5),
            (1000, Some(0), 1),
            (1000, Some(60), 10),
        ] {
            let quantile = |_| (samples, span.map(seconds));
            assert_eq!(
                patience.delay(quantile),
                seconds(delay),
                "{samples} {span:?}"
            );
        }
        let fixed = Patience::Fixed(seconds(3));
        assert_eq!(fixed.delay(|_| unreachable!("not asked for")), seconds(3));
    }
}
