//! Rollouts as the migration guides prescribe them.

use std::time::Duration;

use super::{
    RolloutBuilder,
    limits::{ErrorLimit, Limits, TimeLimit},
};

const WEEK: Duration = Duration::from_secs(7 * 24 * 60 * 60);

impl RolloutBuilder {
    /// Guide A's stages for one other target: 10, 30, 70 and 100 %. What [`default`](Self::default) has too.
    pub fn guide_a() -> Self {
        Self::default()
    }

    /// Guide D's, for one other target: 0, 25, 50, 75 and 100 %, with errors of at most 1 % and a 95th percentile of at most 200 ms.
    pub fn guide_d() -> Self {
        Self::default()
            .stages([[100, 0], [75, 25], [50, 50], [25, 75], [0, 100]])
            .limits(Limits {
                error_rate: ErrorLimit::AtMost(0.01),
                p95: TimeLimit::AtMost(Duration::from_millis(200)),
                ..Limits::none()
            })
    }

    /// Guide E's four weeks with four models: the baseline, which it calls gpt, then deepseek, gemini and claude. With errors of at most 5 % and
    /// a 99th percentile of at most 2,000 ms.
    pub fn guide_e() -> Self {
        Self::default()
            .stages([
                [45, 10, 20, 25],
                [20, 20, 30, 30],
                [10, 30, 30, 30],
                [5, 40, 30, 25],
            ])
            .stage_time(WEEK)
            .limits(Limits {
                error_rate: ErrorLimit::AtMost(0.05),
                p99: TimeLimit::AtMost(Duration::from_secs(2)),
                ..Limits::none()
            })
    }
}
