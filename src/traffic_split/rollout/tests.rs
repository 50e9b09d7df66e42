mod config;
mod living;
#[cfg(feature = "redis")]
mod replicas;
mod restarts;
mod simulated;
mod steering;
mod weights;

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{
    limits::Limits,
    plan::Plan,
    state::Machine,
    view::{Answer, Sample},
};
use crate::random::Random;

const MINUTE: Duration = Duration::from_secs(60);

/// Guide A's stages for one target.
fn plan() -> Plan {
    Plan {
        targets: vec!["old".into(), "new".into()],
        stages: vec![
            [90, 10].into(),
            [70, 30].into(),
            [30, 70].into(),
            [0, 100].into(),
        ],
        stage_time: 30 * MINUTE,
        minimum_requests: 1000,
        limits: Limits::default(),
        // Three limits, as by default.
        alpha: 0.001 / 3.0,
        rollback_step: 5 * MINUTE,
        window: 30 * MINUTE,
    }
}

fn machine(plan: Plan, now: Instant) -> Machine {
    Machine::new(Arc::new(plan), None, now)
}

fn good(latency: Duration) -> Sample {
    Sample {
        result: Answer::Good,
        latency: Some(latency),
        first_token: Some(latency / 4),
        cost: None,
    }
}

fn bad(result: Answer) -> Sample {
    Sample {
        result,
        latency: None,
        first_token: None,
        cost: None,
    }
}

/// How an upstream behaves.
#[derive(Clone, Copy)]
struct Upstream {
    errors: f64,
    rejected: f64,
    /// The median of a latency whose 95th percentile is about three times as long.
    median: Duration,
}

const HEALTHY: Upstream = Upstream {
    errors: 0.003,
    rejected: 0.02,
    median: Duration::from_millis(400),
};

/// Between 0 and 1.
#[allow(clippy::cast_precision_loss)]
fn chance(random: &Random) -> f64 {
    (random.next() >> 11) as f64 / (1u64 << 53) as f64
}

impl Upstream {
    fn sample(&self, random: &Random) -> Sample {
        let luck = chance(random);
        if luck < self.errors {
            return bad(Answer::Failed);
        }
        if luck < self.errors + self.rejected {
            return bad(Answer::Rejected);
        }
        // Log-normal, by twelve uniform numbers for a normal one.
        let normal = (0..12).map(|_| chance(random)).sum::<f64>() - 6.0;
        good(self.median.mul_f64((normal * 0.67).exp()))
    }
}

/// Sends `requests` at this interval, split as the rollout says, to upstreams that behave as `behave` says.
fn run(
    machine: &mut Machine,
    now: &mut Instant,
    random: &Random,
    requests: u32,
    every: Duration,
    behave: impl Fn(usize) -> Upstream,
) {
    for _ in 0..requests {
        *now += every;
        machine.tick(*now);
        let weights = machine.weights();
        let sum: u32 = weights.iter().sum();
        let mut draw = u32::try_from(random.next() % u64::from(sum)).unwrap();
        let target = weights.iter().position(|weight| {
            let wins = draw < *weight;
            draw = draw.saturating_sub(*weight);
            wins
        });
        let target = target.unwrap();
        machine.record(target, &behave(target).sample(random), *now);
    }
}
