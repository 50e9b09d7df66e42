//! Sums of money and tokens, as they are shown.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use super::savings::Saving;
use crate::{
    ledger::{Day, Sums, TotalRow},
    message::catalog::Cost,
};

/// The days that are shown.
const MAX_DAYS: usize = 31;
/// The models, callers and upstreams that are shown: those that cost the most.
const MAX_GROUPS: usize = 25;

/// What was spent, where attempts are metered.
#[non_exhaustive]
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Spend {
    /// All that is known of.
    pub total: Group,
    /// Today, in UTC.
    pub today: Group,
    /// By day, the latest first, at most 31.
    pub days: Vec<Group>,
    /// By model, the dearest first, at most 25.
    pub models: Vec<Group>,
    /// By tenant, or by the digest of a key where there are none, the dearest first, at most 25.
    pub tenants: Vec<Group>,
    /// By upstream, the dearest first, at most 25.
    pub upstreams: Vec<Group>,
    /// Shadow copies, which nothing else here counts.
    pub copies: Group,
    /// What other models would have cost for the same tokens.
    pub savings: Vec<Saving>,
}

/// Sums over attempts of one day, model, tenant or upstream. Money is USD, exact, in text.
#[non_exhaustive]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Group {
    /// Which.
    pub name: String,
    /// Requests.
    pub requests: u64,
    /// Attempts.
    pub attempts: u64,
    /// Attempts that failed.
    pub errors: u64,
    /// Attempts whose price is not known.
    pub unpriced: u64,
    /// Tokens of input.
    pub input_tokens: u64,
    /// Tokens of output.
    pub output_tokens: u64,
    /// What those with a known price cost.
    pub cost_usd: Cost,
}

impl Group {
    fn add(&mut self, sums: &Sums) {
        self.requests += sums.requests;
        self.attempts += sums.attempts;
        self.errors += sums.errors;
        self.unpriced += sums.unpriced;
        self.input_tokens = self.input_tokens.saturating_add(sums.usage.total_input());
        self.output_tokens = self.output_tokens.saturating_add(sums.usage.total_output());
        self.cost_usd += sums.cost_usd;
    }
}

impl Spend {
    /// Adds `rows` up; `today` is the day that it is.
    pub fn of(rows: &[TotalRow], today: Day) -> Self {
        let mut spend = Self::default();
        let mut days: BTreeMap<Day, Group> = BTreeMap::new();
        let [mut models, mut tenants, mut upstreams]: [HashMap<String, Group>; 3] =
            Default::default();
        for row in rows {
            let sums = &row.sums;
            if row.shadow {
                spend.copies.add(sums);
                continue;
            }
            spend.total.add(sums);
            if row.day == today {
                spend.today.add(sums);
            }
            days.entry(row.day).or_default().add(sums);
            let model = row.model.as_deref().unwrap_or("unknown");
            models.entry(model.to_owned()).or_default().add(sums);
            let tenant = tenant(row.key.as_deref());
            tenants.entry(tenant).or_default().add(sums);
            let upstream = row.upstream.to_string();
            upstreams.entry(upstream).or_default().add(sums);
        }
        "total".clone_into(&mut spend.total.name);
        "copies".clone_into(&mut spend.copies.name);
        spend.today.name = today.to_string();
        spend.days = days
            .into_iter()
            .rev()
            .take(MAX_DAYS)
            .map(|(day, group)| named(day.to_string(), group))
            .collect();
        spend.models = dearest(models);
        spend.tenants = dearest(tenants);
        spend.upstreams = dearest(upstreams);
        spend
    }
}

/// Whose key it is: `acme` of `key:acme/2026`, and any other key as it is.
fn tenant(key: Option<&str>) -> String {
    let Some(key) = key else {
        return "unknown".to_owned();
    };
    let named = key
        .strip_prefix("key:")
        .and_then(|key| key.split('/').next());
    named.unwrap_or(key).to_owned()
}

fn named(name: String, mut group: Group) -> Group {
    group.name = name;
    group
}

fn dearest(groups: HashMap<String, Group>) -> Vec<Group> {
    let mut groups: Vec<_> = groups
        .into_iter()
        .map(|(name, group)| named(name, group))
        .collect();
    groups.sort_by(|a, b| {
        let by_cost = b.cost_usd.cmp(&a.cost_usd);
        by_cost
            .then(b.requests.cmp(&a.requests))
            .then(a.name.cmp(&b.name))
    });
    groups.truncate(MAX_GROUPS);
    groups
}
