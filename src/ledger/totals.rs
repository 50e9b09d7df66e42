//! Sums by day, key, model and upstream.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde::Serialize;

use super::{Day, Ledger, Record, Slot};
use crate::message::{catalog::Cost, usage::Usage};

/// What stands for the keys and models that there was no more room for.
const OTHER: &str = "other";

/// Sums of records by day, key, model and upstream, in memory. Clones share them.
///
/// Bounded: 10,000 rows by default. For a row more, the keys and models of the oldest day are summed as `other`, so that the latest days are
/// told apart; if it is itself of the oldest, so is that row. One row for each day and upstream is always kept, and
/// one for its shadow copies.
#[derive(Debug, Clone)]
pub struct Totals {
    rows: Arc<Mutex<Rows>>,
    max_rows: usize,
}

#[derive(Debug, Default)]
struct Rows {
    days: BTreeMap<Day, OfDay>,
    /// Of all days.
    count: usize,
}

#[derive(Debug, Default)]
struct OfDay {
    rows: HashMap<Name, Sums>,
    is_folded: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Name {
    key: Option<Arc<str>>,
    model: Option<Arc<str>>,
    upstream: Arc<str>,
    shadow: bool,
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
    /// Whether these are copies whose answers nobody waited for. They are summed apart, by model and upstream, and for nobody.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub shadow: bool,
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

impl Sums {
    fn merge(&mut self, other: &Self) {
        self.requests += other.requests;
        self.attempts += other.attempts;
        self.errors += other.errors;
        self.unpriced += other.unpriced;
        self.usage += other.usage;
        self.cost_usd += other.cost_usd;
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
        let day = Day::of(record.time);
        let name = Name {
            // Nobody is billed for a copy.
            key: record
                .key
                .as_deref()
                .filter(|_| !record.shadow)
                .map(Into::into),
            model: record.model().cloned(),
            upstream: Arc::clone(&record.upstream),
            shadow: record.shadow,
        };
        let mut rows = self.rows();
        let is_known = rows
            .days
            .get(&day)
            .is_some_and(|of| of.rows.contains_key(&name));
        if !is_known && rows.count >= self.max_rows {
            rows.fold_oldest_before(day);
        }
        let name = if is_known || rows.count < self.max_rows {
            name
        } else {
            name.folded()
        };
        let is_folded = name.is_folded();
        let Rows { days, count } = &mut *rows;
        let of_day = days.entry(day).or_default();
        of_day.is_folded &= is_folded;
        let sums = of_day.rows.entry(name).or_insert_with(|| {
            *count += 1;
            Sums::default()
        });
        sums.add(record);
    }

    /// All rows, by day, upstream, model and key; of a day the copies last.
    pub fn rows_sorted(&self) -> Vec<TotalRow> {
        let rows = self.rows();
        let of_days = rows.days.iter();
        let mut rows: Vec<_> = of_days
            .flat_map(|(day, of)| of.rows.iter().map(|(name, sums)| (*day, name, sums)))
            .map(|(day, name, sums)| TotalRow {
                day,
                key: name.key.clone(),
                model: name.model.clone(),
                upstream: Arc::clone(&name.upstream),
                shadow: name.shadow,
                sums: *sums,
            })
            .collect();
        rows.sort_by(|a, b| {
            (a.day, a.shadow, &a.upstream, &a.model, &a.key).cmp(&(
                b.day,
                b.shadow,
                &b.upstream,
                &b.model,
                &b.key,
            ))
        });
        rows
    }

    fn rows(&self) -> MutexGuard<'_, Rows> {
        // Each change is whole before anything can panic.
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Rows {
    /// Sums the keys and models of the oldest day before `day` that tells them apart.
    fn fold_oldest_before(&mut self, day: Day) {
        let oldest = self.days.range_mut(..day).find(|(_, of)| !of.is_folded);
        let Some((_, of_day)) = oldest else { return };
        let before = of_day.rows.len();
        let mut folded = HashMap::<Name, Sums>::new();
        for (name, sums) in of_day.rows.drain() {
            folded.entry(name.folded()).or_default().merge(&sums);
        }
        self.count = self.count + folded.len() - before;
        (of_day.rows, of_day.is_folded) = (folded, true);
    }
}

impl Name {
    fn folded(self) -> Self {
        Self {
            key: Some(OTHER.into()),
            model: Some(OTHER.into()),
            ..self
        }
    }

    fn is_folded(&self) -> bool {
        let is_other = |name: &Option<Arc<str>>| name.as_deref() == Some(OTHER);
        is_other(&self.key) && is_other(&self.model)
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
    fn shadow_copies_are_summed_apart_and_for_nobody() {
        let totals = Totals::default();
        for (key, shadow) in [("a", false), ("a", true), ("b", true)] {
            let mut record = record(0, key, 1);
            record.shadow = shadow;
            totals.add(&record);
        }
        let rows = totals.rows_sorted();
        let shown: Vec<_> = rows
            .iter()
            .map(|row| (row.key.as_deref(), row.shadow, row.sums.requests))
            .collect();
        assert_eq!(shown, [(Some("a"), false, 1), (None, true, 2)]);
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
    fn the_oldest_days_are_summed_first_so_that_the_latest_are_told_apart() {
        let totals = Totals::with_max_rows(40);
        for day in 0..30 {
            for key in ["a", "b", "c"] {
                totals.add(&record(day, key, 1));
            }
        }
        // Late, of a day that is summed already.
        totals.add(&record(3, "a", 1));
        let rows = totals.rows_sorted();
        let of = |day: u64| {
            let start = UNIX_EPOCH + Duration::from_secs(day * 86_400);
            rows.iter().filter(move |row| row.day == Day::of(start))
        };
        assert_eq!(of(29).count(), 3, "{rows:?}");
        assert_eq!(of(0).count(), 1);
        assert_eq!(of(3).next().unwrap().sums.cost_usd.pico_usd(), 4);
        let sum: Cost = rows.iter().map(|row| row.sums.cost_usd).sum();
        assert_eq!(sum.pico_usd(), 91);
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
