//! What other models would have cost.

use serde::Serialize;

use crate::{
    ledger::TotalRow,
    message::{
        catalog::{Cost, ModelCatalog},
        usage::Usage,
    },
};

/// What one model would have cost for the tokens that were used, at its ordinary prices, and what was saved by not using it.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Saving {
    /// The model that is compared with.
    pub baseline: String,
    /// What it would have cost, in USD.
    pub would_cost_usd: Cost,
    /// What those same attempts cost, in USD.
    pub cost_usd: Cost,
    /// What was saved, in USD: negative, with a minus, where it would have been cheaper.
    pub saved_usd: String,
    /// What was saved of what it would have cost, in percent.
    pub saved_percent: Option<f64>,
    /// Attempts that are left out, as those like them include some of unknown price.
    pub left_out: u64,
}

/// The savings against each of `baselines` whose price is known.
///
/// Shadow copies are no savings, and left out. Rows with an attempt of unknown price are left out too: what they cost is not known. Fees for a request are not compared, and prices that rise
/// with the size of a prompt count as if no prompt were that large.
pub(super) fn savings<'a>(
    rows: &[TotalRow],
    catalog: &ModelCatalog,
    baselines: impl IntoIterator<Item = &'a str>,
) -> Vec<Saving> {
    let (mut usage, mut cost, mut left_out) = (Usage::default(), Cost::ZERO, 0);
    for row in rows.iter().filter(|row| !row.shadow) {
        if row.sums.unpriced == 0 {
            usage += row.sums.usage;
            cost += row.sums.cost_usd;
        } else {
            left_out += row.sums.attempts;
        }
    }
    let saving = |baseline: &str| {
        let info = catalog.get(baseline)?;
        let mut rates = info.prices.as_ref()?.base;
        rates.per_request = None;
        let would_cost = rates.cost(&usage)?;
        let saved = if would_cost >= cost {
            would_cost.saturating_sub(cost).to_string()
        } else {
            format!("-{}", cost.saturating_sub(would_cost))
        };
        let percent = || (1.0 - cost.approx_usd() / would_cost.approx_usd()) * 100.0;
        Some(Saving {
            baseline: baseline.to_owned(),
            would_cost_usd: would_cost,
            cost_usd: cost,
            saved_usd: saved,
            saved_percent: (would_cost > Cost::ZERO).then(percent),
            left_out,
        })
    };
    baselines.into_iter().filter_map(saving).collect()
}
