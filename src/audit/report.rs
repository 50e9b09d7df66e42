//! What the records of an audit come to.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, SystemTime},
};

use super::size::Size;
use crate::{
    ledger::{Record, Sums},
    message::{
        ConfigError,
        catalog::{Cost, ModelCatalog, ModelInfo},
        usage::Usage,
    },
    stats::Histogram,
};

/// More models, upstreams and kinds than this are summed as `other`.
const MAX_ROWS: usize = 1_000;

/// Sums up records, one after the other, in bounded memory.
#[derive(Debug)]
pub struct ReportBuilder {
    compare: Vec<(String, Arc<ModelInfo>)>,
    report: Report,
    models: BTreeMap<(String, String), ModelRow>,
    kinds: BTreeMap<String, Sums>,
    sizes: BTreeMap<Size, Sums>,
    compared: Vec<(Cost, u64)>,
}

/// What the records of an audit come to.
#[non_exhaustive]
#[derive(Debug, Default)]
pub struct Report {
    /// All attempts that are no shadow copies.
    pub total: Sums,
    /// Shadow copies.
    pub shadow: Sums,
    /// By model and upstream, the most expensive first.
    pub models: Vec<ModelRow>,
    /// By kind: endpoint, streamed or not, with tools or images, and how complex where a layer said.
    pub kinds: Vec<Group>,
    /// By the size of the prompt.
    pub sizes: Vec<Group>,
    /// What the same traffic would have cost elsewhere.
    pub compared: Vec<Compared>,
    /// When the first attempt began, and the last.
    pub span: Option<(SystemTime, SystemTime)>,
    /// Lines that were no records.
    pub skipped: u64,
}

/// One model at one upstream.
#[non_exhaustive]
#[derive(Debug, Default)]
pub struct ModelRow {
    /// The model that served.
    pub model: String,
    /// The upstream.
    pub upstream: String,
    /// Its attempts.
    pub sums: Sums,
    /// How long the successful ones took.
    pub latency: Histogram,
    /// How long they took to their first output.
    pub first_token: Histogram,
}

/// A part of the traffic.
#[non_exhaustive]
#[derive(Debug)]
pub struct Group {
    /// What it is.
    pub name: String,
    /// Its attempts.
    pub sums: Sums,
}

/// What the same tokens would have cost with another model.
#[non_exhaustive]
#[derive(Debug)]
pub struct Compared {
    /// The model.
    pub model: String,
    /// What they would have cost; those left out for which it has no price.
    pub cost: Cost,
    /// Attempts that used something that it has no price for.
    pub unpriced: u64,
}

impl Compared {
    /// The share of `actual` that would have been saved, in thousandths; negative where it would have cost more. `None` where
    /// nothing was paid.
    pub fn saved_permille(&self, actual: Cost) -> Option<i64> {
        let (ours, theirs) = (actual.pico_usd(), self.cost.pico_usd());
        if ours == 0 {
            return None;
        }
        let permille = |part: u128| {
            let rounded = (part.saturating_mul(1_000) + ours / 2) / ours;
            i64::try_from(rounded).unwrap_or(i64::MAX)
        };
        Some(if ours >= theirs {
            permille(ours - theirs)
        } else {
            -permille(theirs - ours)
        })
    }
}

impl ModelRow {
    /// The share of attempts that failed, those that the caller left excepted; 0 to 1.
    pub fn error_rate(&self) -> f64 {
        share(self.sums.errors, self.sums.attempts)
    }
}

/// A part of a whole, 0 to 1.
#[allow(clippy::cast_precision_loss, reason = "a share, to be shown")]
pub(super) fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        0.0
    } else {
        part as f64 / whole as f64
    }
}

impl ReportBuilder {
    /// Compares with these models, by the prices of `catalog`.
    ///
    /// # Errors
    ///
    /// When one of them has no price there.
    pub fn new(
        catalog: &ModelCatalog,
        compare: impl IntoIterator<Item = impl Into<String>>,
    ) -> Result<Self, ConfigError> {
        let known = |name: String| match catalog.get(&name) {
            Some(model) if model.prices.is_some() => Ok((name, model)),
            _ => {
                let reason = format!("no price is known for {name:?}");
                Err(ConfigError::new("compare", reason))
            }
        };
        let compare = compare
            .into_iter()
            .map(|name| known(name.into()))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            compared: vec![(Cost::ZERO, 0); compare.len()],
            compare,
            report: Report::default(),
            models: BTreeMap::new(),
            kinds: BTreeMap::new(),
            sizes: BTreeMap::new(),
        })
    }

    /// Adds one attempt.
    pub fn add(&mut self, record: &Record) {
        let (first, last) = self.report.span.unwrap_or((record.time, record.time));
        self.report.span = Some((first.min(record.time), last.max(record.time)));
        if record.shadow {
            // Nobody asked for it: it is shown apart.
            self.report.shadow.add(record);
            return;
        }
        self.report.total.add(record);
        self.model(record).add(record);
        let kind = kind(record);
        let name = if self.kinds.len() < MAX_ROWS || self.kinds.contains_key(&kind) {
            kind
        } else {
            "other".to_owned()
        };
        self.kinds.entry(name).or_default().add(record);
        let size = Size::of(record.usage.total_input());
        self.sizes.entry(size).or_default().add(record);
        for ((_, model), (cost, unpriced)) in self.compare.iter().zip(&mut self.compared) {
            match elsewhere(model, &record.usage, record.time) {
                Some(theirs) => *cost += theirs,
                None => *unpriced += 1,
            }
        }
    }

    fn model(&mut self, record: &Record) -> &mut ModelRow {
        let model = record.model().map_or("unknown", |model| &**model);
        let mut name = (model.to_owned(), record.upstream.to_string());
        if self.models.len() >= MAX_ROWS && !self.models.contains_key(&name) {
            name = ("other".to_owned(), "other".to_owned());
        }
        self.models.entry(name.clone()).or_insert_with(|| ModelRow {
            model: name.0,
            upstream: name.1,
            ..ModelRow::default()
        })
    }

    /// The report; `skipped` lines were no records.
    pub fn finish(mut self, skipped: u64) -> Report {
        self.report.skipped = skipped;
        self.report.models = self.models.into_values().collect();
        self.report
            .models
            .sort_by_key(|row| std::cmp::Reverse((row.sums.cost_usd, row.sums.attempts)));
        let group = |(name, sums)| Group { name, sums };
        self.report.kinds = self.kinds.into_iter().map(group).collect();
        self.report
            .kinds
            .sort_by_key(|group| std::cmp::Reverse(group.sums.attempts));
        let sizes = self.sizes.into_iter();
        self.report.sizes = sizes
            .map(|(size, sums)| group((size.as_str().to_owned(), sums)))
            .collect();
        let compared = self.compare.into_iter().zip(self.compared);
        self.report.compared = compared
            .map(|((model, _), (cost, unpriced))| Compared {
                model,
                cost,
                unpriced,
            })
            .collect();
        self.report
    }
}

impl ModelRow {
    fn add(&mut self, record: &Record) {
        self.sums.add(record);
        if &*record.outcome == "success" {
            self.latency.record(record.latency());
            if let Some(first) = record.ttft_ms {
                self.first_token.record(Duration::from_millis(first));
            }
        }
    }
}

fn elsewhere(model: &ModelInfo, usage: &Usage, at: SystemTime) -> Option<Cost> {
    if usage.is_zero() {
        return Some(Cost::ZERO);
    }
    model.prices.as_ref()?.cost(usage, None, at)
}

/// What decides how a request is routed.
fn kind(record: &Record) -> String {
    let mut kind = record.endpoint.as_str().to_owned();
    for (holds, name) in [
        (record.stream, "streamed"),
        (record.tools > 0, "tools"),
        (record.images > 0, "images"),
    ] {
        if holds {
            kind.push_str(", ");
            kind.push_str(name);
        }
    }
    if let Some(complexity) = &record.complexity {
        kind.push_str(", complexity ");
        kind.push_str(complexity);
    }
    kind
}
