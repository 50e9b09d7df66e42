//! From what is known of a relay to what is watched.

use std::{collections::HashMap, sync::Arc};

use serde_json::Value;
use tokio::time::Instant;

use super::{Rule, state::Reading};
use crate::{
    ledger::TotalRow,
    server::Facts,
    stats::{BreakerStatus, Outcomes, Percentiles},
};

/// What is read, and what was there the last time, for what is counted up.
#[derive(Debug)]
pub(super) struct Reader {
    facts: Facts,
    /// Fewer attempts say nothing of an upstream.
    minimum: u64,
    counts: Option<HashMap<(Rule, Arc<str>), u64>>,
}

impl Reader {
    pub(super) fn new(facts: Facts, minimum: u64) -> Self {
        Self {
            facts,
            minimum,
            counts: None,
        }
    }

    /// What is known now.
    pub(super) fn read(&mut self, now: Instant) -> Vec<Reading> {
        let traffic = self.facts.stats.snapshot(now);
        let mut readings = Vec::new();
        for upstream in &traffic.upstreams {
            let mut read = |rule, value| {
                let subject = Arc::clone(&upstream.upstream);
                readings.push(Reading {
                    rule,
                    subject,
                    value,
                });
            };
            if let Some(rate) = self.error_rate(&upstream.outcomes) {
                read(Rule::ErrorRate, rate);
            }
            let Percentiles {
                count, p95, p99, ..
            } = upstream.total;
            for (rule, percentile) in [(Rule::P95, p95), (Rule::P99, p99)] {
                if let Some(percentile) = percentile.filter(|_| count >= self.minimum) {
                    read(rule, super::rule::millis(percentile));
                }
            }
            if let Some(breaker) = upstream.breaker {
                let is_open = matches!(breaker, BreakerStatus::Open | BreakerStatus::HalfOpen);
                read(Rule::Breaker, f64::from(u8::from(is_open)));
            }
        }
        self.budgets(&mut readings);
        let rows = self.facts.ledger.as_ref().map(|ledger| ledger.snapshot());
        if let Some(rows) = rows {
            self.counted(&rows, &mut readings);
        }
        readings
    }

    fn error_rate(&self, outcomes: &Outcomes) -> Option<f64> {
        outcomes
            .failure_rate()
            .filter(|_| outcomes.judged() >= self.minimum)
    }

    /// What budgets show of themselves, whichever layer keeps them.
    fn budgets(&self, readings: &mut Vec<Reading>) {
        let shown = self.facts.controls.show_kind("budgets");
        let budgets = shown.as_ref().and_then(Value::as_object);
        for (name, budget) in budgets.into_iter().flatten() {
            let levels = budget.get("levels").and_then(Value::as_array);
            for level in levels.into_iter().flatten() {
                let key = level.get("key").and_then(Value::as_str);
                let used = level.get("used").and_then(Value::as_f64);
                if let (Some(key), Some(value)) = (key, used) {
                    let subject = format!("{name} {key}").into();
                    readings.push(Reading {
                        rule: Rule::Budget,
                        subject,
                        value,
                    });
                }
            }
        }
    }

    /// What has been added since the last time; nothing the first time, when all of it is from before.
    fn counted(&mut self, rows: &[TotalRow], readings: &mut Vec<Reading>) {
        let mut counts: HashMap<(Rule, Arc<str>), u64> = HashMap::new();
        for row in rows {
            let mut add = |rule, subject: &Arc<str>, count: u64| {
                if count > 0 {
                    *counts.entry((rule, Arc::clone(subject))).or_default() += count;
                }
            };
            if let Some(model) = &row.model {
                add(Rule::Unpriced, model, row.sums.unpriced);
            }
            add(Rule::KeyRejected, &row.upstream, row.sums.key_rejected);
        }
        if let Some(before) = &self.counts {
            for (name, count) in &counts {
                let more = count.saturating_sub(before.get(name).copied().unwrap_or(0));
                #[allow(clippy::cast_precision_loss, reason = "a count within some seconds")]
                let value = more as f64;
                let (rule, subject) = name.clone();
                readings.push(Reading {
                    rule,
                    subject,
                    value,
                });
            }
        }
        self.counts = Some(counts);
    }
}
