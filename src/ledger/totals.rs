//! Sums by day, key, model and upstream.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde::Serialize;

use super::{Day, Ledger, Record, Slot};
use crate::message::{catalog::Cost, usage::Usage};

/// What stands for the keys and models that there was no more room for.
const OTHER: &str = "other";

/// Sums of records by day, key, model and upstream, in memory. Clones share them.
///
/// Bounded: 10,000 rows by default; beyond, keys and models are summed as `other`, by day and upstream.
#[derive(Debug, Clone)]
pub struct Totals {
    rows: Arc<Mutex<HashMap<Name, Sums>>>,
    max_rows: usize,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Name {
    day: Day,
    key: Option<Arc<str>>,
    model: Option<Arc<str>>,
    upstream: Arc<str>,
}

/// One row of [`Totals`].
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TotalRow {
    /// The day on which the attempts began.
    pub day: Day,
    /// Whom they are counted for.
    pub key: Option<Arc<str>>,
    /// The model that served.
    pub model: Option<Arc<str>>,
    /// The upstream.
    pub upstream: Arc<str>,
    /// The sums.
    #[serde(flatten)]
    pub sums: Sums,
}

/// Sums over attempts.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Sums {
    /// Requests whose first attempt is among these.
    pub requests: u64,
    /// Attempts.
    pub attempts: u64,
    /// Attempts that did not succeed, those that the caller left excepted.
    pub errors: u64,
    /// Attempts whose price is not known.
    pub unpriced: u64,
    /// Attempts that the upstream refused for the key they came with.
    pub key_rejected: u64,
    /// What they used.
    pub usage: Usage,
    /// What those with a known price cost.
    pub cost_usd: Cost,
}

impl Sums {
    /// Adds one attempt.
    pub fn add(&mut self, record: &Record) {
        let count = |is: bool| u64::from(is);
        self.requests += count(record.attempt == 1);
        self.attempts += 1;
        self.errors += count(!matches!(&*record.outcome, "success" | "cancelled"));
        self.unpriced += count(record.is_unpriced());
        self.key_rejected += count(&*record.outcome == "upstream_auth");
        self.usage += record.usage;
        self.cost_usd += record.cost_usd.unwrap_or_default();
    }
}

impl Default for Totals {
    fn default() -> Self {
        Self::with_max_rows(10_000)
    }
}

impl Totals {
    /// None yet, with room for this many rows.
    pub fn with_max_rows(max_rows: usize) -> Self {
        Self {
            rows: Arc::default(),
            max_rows,
        }
    }

    /// Adds one attempt.
    pub fn add(&self, record: &Record) {
        let name = Name {
            day: Day::of(record.time),
            key: record.key.as_deref().map(Into::into),
            model: record.model().cloned(),
            upstream: Arc::clone(&record.upstream),
        };
        let mut rows = self.rows();
        let name = if rows.len() < self.max_rows || rows.contains_key(&name) {
            name
        } else {
            Name {
                key: Some(OTHER.into()),
                model: Some(OTHER.into()),
                ..name
            }
        };
        rows.entry(name).or_default().add(record);
    }

    /// All rows, by day, upstream, model and key.
    pub fn rows_sorted(&self) -> Vec<TotalRow> {
        let mut rows: Vec<_> = self
            .rows()
            .iter()
            .map(|(name, sums)| TotalRow {
                day: name.day,
                key: name.key.clone(),
                model: name.model.clone(),
                upstream: Arc::clone(&name.upstream),
                sums: *sums,
            })
            .collect();
        rows.sort_by(|a, b| {
            (a.day, &a.upstream, &a.model, &a.key).cmp(&(b.day, &b.upstream, &b.model, &b.key))
        });
        rows
    }

    fn rows(&self) -> MutexGuard<'_, HashMap<Name, Sums>> {
        // Each change is whole before anything can panic.
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ledger for Totals {
    fn record(&self, record: Record, _: Slot) {
        self.add(&record);
    }

    fn snapshot(&self) -> Vec<TotalRow> {
        self.rows_sorted()
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    fn record(day: u64, key: &str, cost: u128) -> Record {
        let time = UNIX_EPOCH + Duration::from_secs(day * 86_400);
        let mut record = Record::new(time, "r", "u".into());
        record.key = Some(key.into());
        record.outcome = "success".into();
        record.cost_usd = Some(Cost::from_pico_usd(cost));
        record
    }

    #[test]
    fn attempts_are_summed_by_day_and_key() {
        let totals = Totals::default();
        for (day, key, cost) in [(0, "a", 1), (0, "a", 2), (0, "b", 4), (1, "a", 8)] {
            totals.add(&record(day, key, cost));
        }
        let costs: Vec<_> = totals
            .rows_sorted()
            .iter()
            .map(|row| row.sums.cost_usd.pico_usd())
            .collect();
        assert_eq!(costs, [3, 4, 8]);
    }

    #[test]
    fn what_there_is_no_room_for_is_summed_as_other_and_not_lost() {
        let totals = Totals::with_max_rows(2);
        for number in 0..100 {
            totals.add(&record(0, &number.to_string(), 1));
        }
        let rows = totals.rows_sorted();
        assert_eq!(rows.len(), 3);
        let sum: Cost = rows.iter().map(|row| row.sums.cost_usd).sum();
        assert_eq!(sum.pico_usd(), 100);
    }

    #[test]
    fn failed_and_unpriced_attempts_are_counted_and_retries_are_one_request() {
        let totals = Totals::default();
        let mut failed = record(0, "a", 0);
        failed.outcome = "server_error".into();
        failed.cost_usd = None;
        totals.add(&failed);
        let mut second = record(0, "a", 5);
        second.attempt = 2;
        totals.add(&second);
        let sums = totals.rows_sorted()[0].sums;
        assert_eq!((sums.requests, sums.attempts), (1, 2));
        assert_eq!((sums.errors, sums.unpriced), (1, 1));
    }
}
