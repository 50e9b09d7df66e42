//! How a target has been doing within a window of time.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::limits::Metric;
use crate::{
    message::catalog::Cost,
    stats::{Histogram, Outcomes, Ring, Verdict},
};

/// How an attempt ended, as far as it says something about its upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sample {
    pub(super) result: Answer,
    /// To the end of a whole answer.
    pub(super) latency: Option<Duration>,
    /// To its first output.
    pub(super) first_token: Option<Duration>,
    pub(super) cost: Option<Cost>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Answer {
    Good,
    /// The upstream could not.
    Failed,
    /// It would not, for what the request is.
    Rejected,
}

/// What was seen of one target within the window.
#[derive(Debug)]
pub(super) struct View {
    outcomes: Ring<Outcomes>,
    latency: Ring<Histogram>,
    first_token: Ring<Histogram>,
    cost: Ring<Histogram>,
}

/// A histogram's unit of a microsecond stands for so much money: a hundred-millionth of a USD, so that it reaches to ten USD.
const PICO_USD_PER_MICROSECOND: u128 = 10_000;

pub(super) fn cost_as_span(cost: Cost) -> Duration {
    let micros = cost.pico_usd() / PICO_USD_PER_MICROSECOND;
    Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
}

impl View {
    pub(super) fn new(now: Instant, window: Duration) -> Self {
        Self {
            outcomes: Ring::new(now, window),
            latency: Ring::new(now, window),
            first_token: Ring::new(now, window),
            cost: Ring::new(now, window),
        }
    }

    pub(super) fn add(&mut self, sample: &Sample, now: Instant) {
        if let Some(slice) = self.outcomes.at(now) {
            slice.add(match sample.result {
                Answer::Good => Verdict::Success,
                Answer::Failed => Verdict::Failure,
                Answer::Rejected => Verdict::Neutral,
            });
        }
        let spans = [
            (&mut self.latency, sample.latency),
            (&mut self.first_token, sample.first_token),
            (&mut self.cost, sample.cost.map(cost_as_span)),
        ];
        for (ring, span) in spans {
            if let (Some(span), Some(slice)) = (span, ring.at(now)) {
                slice.record(span);
            }
        }
    }

    pub(super) fn outcomes(&self, now: Instant) -> Outcomes {
        let mut sum = Outcomes::default();
        self.outcomes.within(now).for_each(|slice| sum.merge(slice));
        sum
    }

    pub(super) fn histogram(&self, metric: Metric, now: Instant) -> Histogram {
        let ring = match metric {
            Metric::FirstToken => &self.first_token,
            Metric::Cost => &self.cost,
            Metric::ErrorRate | Metric::Rejected | Metric::P95 | Metric::P99 => &self.latency,
        };
        let mut sum = Histogram::default();
        ring.within(now).for_each(|slice| sum.merge(slice));
        sum
    }
}
