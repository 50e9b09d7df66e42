//! What there is to see of a run over time.

use std::{
    collections::BTreeMap,
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tower_relay::{
    ledger::{JsonlAudit, Ledger, Record, Slot},
    message::catalog::Cost,
    stats::Histogram,
};

use crate::{
    load::Clients,
    relay::{NEW, OLD},
};

/// Writes an audit, and keeps what the charts need of it.
pub(crate) struct Watch {
    audit: JsonlAudit,
    seen: Mutex<BTreeMap<Arc<str>, Attempts>>,
}

/// The attempts at one provider, copies left out.
#[derive(Debug, Default)]
pub(crate) struct Attempts {
    pub(crate) all: u64,
    pub(crate) failed: u64,
    pub(crate) latency: Histogram,
}

impl Watch {
    pub(crate) fn new(audit: JsonlAudit) -> Arc<Self> {
        Arc::new(Self {
            audit,
            seen: Mutex::default(),
        })
    }

    /// What was seen of each provider since this was last asked.
    fn take(&self) -> BTreeMap<Arc<str>, Attempts> {
        std::mem::take(&mut *self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Ledger for Watch {
    fn record(&self, record: Record, slot: Slot) {
        if !record.shadow {
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            let attempts = seen.entry(Arc::clone(&record.upstream)).or_default();
            attempts.all += 1;
            if &*record.outcome == "success" {
                attempts.latency.record(record.latency());
            } else {
                attempts.failed += 1;
            }
        }
        self.audit.record(record, slot);
    }

    fn try_slot(&self) -> Option<Slot> {
        self.audit.try_slot()
    }

    fn slot(&self) -> Pin<Box<dyn Future<Output = Slot> + Send>> {
        self.audit.slot()
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").finish_non_exhaustive()
    }
}

/// What was seen within one step of time, which ends at `minute`. Shares are in percent, spans in milliseconds, sums in USD.
#[derive(Debug, Clone, Default)]
pub(crate) struct Moment {
    pub(crate) minute: f64,
    pub(crate) share: f64,
    /// Of attempts at the old provider, of those at the new one, and of what clients saw.
    pub(crate) errors: [Option<f64>; 3],
    /// 95th percentiles of the same.
    pub(crate) p95: [Option<f64>; 3],
    /// Of a thousand requests.
    pub(crate) cost: Option<f64>,
}

/// A run, step by step.
#[derive(Debug, Default)]
pub(crate) struct Timeline {
    pub(crate) moments: Vec<Moment>,
    /// What happened, and in which minute.
    pub(crate) events: Vec<(f64, String)>,
    last: Clients,
}

impl Timeline {
    /// Takes down a step that ends `now`.
    pub(crate) fn add(&mut self, now: Duration, share: f64, watch: &Watch, clients: Clients) {
        let seen = watch.take();
        let (old, new) = (seen.get(OLD), seen.get(NEW));
        let mut latency = Histogram::default();
        for span in &clients.latencies {
            latency.record(*span);
        }
        let requests = clients.requests - self.last.requests;
        let errors = clients.errors - self.last.errors;
        let rate = |failed: u64, all: u64| (all > 0).then(|| percent(failed, all));
        let failed = |seen: Option<&Attempts>| seen.and_then(|seen| rate(seen.failed, seen.all));
        let p95 = |latency: &Histogram| latency.quantile(0.95).map(|span| span.as_secs_f64() * 1e3);
        let cost = clients.cost.saturating_sub(self.last.cost);
        self.moments.push(Moment {
            minute: minutes(now),
            share: share * 100.0,
            errors: [failed(old), failed(new), rate(errors, requests)],
            p95: [
                old.and_then(|seen| p95(&seen.latency)),
                new.and_then(|seen| p95(&seen.latency)),
                p95(&latency),
            ],
            cost: (requests > 0).then(|| usd(cost) * 1e3 / number(requests)),
        });
        self.last = Clients {
            latencies: Vec::new(),
            ..clients
        };
    }
}

pub(crate) fn minutes(span: Duration) -> f64 {
    span.as_secs_f64() / 60.0
}

pub(crate) fn percent(part: u64, all: u64) -> f64 {
    number(part) * 100.0 / number(all.max(1))
}

pub(crate) fn usd(cost: Cost) -> f64 {
    cost.approx_usd()
}

#[expect(clippy::cast_precision_loss, reason = "counts, for people")]
pub(crate) fn number(count: u64) -> f64 {
    count as f64
}
