//! The report as text.

use std::fmt::{self, Display, Formatter};

use super::{Reconciliation, Report, report::share};
use crate::{ledger::Sums, message::catalog::Cost, stats::Histogram, wire::rfc3339};

/// The months of a year.
pub(super) const MONTHS: u64 = 12;

/// A report, laid out for a terminal.
pub(super) struct Text<'a> {
    pub(super) report: &'a Report,
    pub(super) reconciliation: Option<&'a Reconciliation>,
}

/// USD to the cent, with thousands apart; halves rounded up.
pub(super) struct Usd(pub(super) Cost);

impl Display for Usd {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        const CENT: u128 = 10_000_000_000;
        let cents = (self.0.pico_usd() + CENT / 2) / CENT;
        // What is less than a cent is shown as it is.
        if cents == 0 && self.0 != Cost::ZERO {
            return f.pad(&self.0.to_string());
        }
        f.pad(&format!("{}.{:02}", thousands(cents / 100), cents % 100))
    }
}

/// An integer with its thousands apart: `24,000,000`.
pub(super) fn thousands(number: impl Into<u128>) -> String {
    let digits = number.into().to_string();
    let mut shown = String::with_capacity(digits.len() * 4 / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

/// A share in percent with one decimal.
pub(super) fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

/// Thousandths as percent with one decimal.
pub(super) fn permille(permille: i64) -> String {
    let sign = if permille < 0 { "-" } else { "" };
    let permille = permille.unsigned_abs();
    format!("{sign}{}.{} %", permille / 10, permille % 10)
}

/// A percentile in milliseconds.
pub(super) fn millis(histogram: &Histogram, share: f64) -> String {
    histogram.quantile(share).map_or_else(
        || "-".to_owned(),
        |span| format!("{} ms", thousands(span.as_millis())),
    )
}

/// `cost` times `times`.
pub(super) fn times(cost: Cost, times: u64) -> Cost {
    Cost::from_pico_usd(cost.pico_usd().saturating_mul(times.into()))
}

impl Display for Text<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let report = self.report;
        if let Some((first, last)) = report.span {
            writeln!(f, "{} to {}", rfc3339::format(first), rfc3339::format(last))?;
        }
        let total = &report.total;
        writeln!(
            f,
            "{} requests, {} attempts, {} tokens in, {} tokens out, {} USD",
            thousands(total.requests),
            thousands(total.attempts),
            thousands(total.usage.total_input()),
            thousands(total.usage.total_output()),
            Usd(total.cost_usd)
        )?;
        if total.unpriced > 0 {
            writeln!(
                f,
                "{} attempts have no known price and are not in the sums",
                thousands(total.unpriced)
            )?;
        }
        if report.shadow.attempts > 0 {
            writeln!(
                f,
                "besides: {} shadow copies, {} USD",
                thousands(report.shadow.attempts),
                Usd(report.shadow.cost_usd)
            )?;
        }
        if report.skipped > 0 {
            writeln!(f, "{} lines are no records", thousands(report.skipped))?;
        }
        self.models(f)?;
        groups(f, "kind", &report.kinds, total)?;
        groups(f, "prompt", &report.sizes, total)?;
        self.compared(f)?;
        self.reconciled(f)
    }
}

impl Text<'_> {
    fn models(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut rows = vec![
            [
                "model",
                "upstream",
                "requests",
                "attempts",
                "tokens in",
                "tokens out",
                "USD",
                "p50",
                "p95",
                "p99",
                "first token p95",
                "errors",
            ]
            .map(str::to_owned)
            .to_vec(),
        ];
        for row in &self.report.models {
            rows.push(vec![
                row.model.clone(),
                row.upstream.clone(),
                thousands(row.sums.requests),
                thousands(row.sums.attempts),
                thousands(row.sums.usage.total_input()),
                thousands(row.sums.usage.total_output()),
                Usd(row.sums.cost_usd).to_string(),
                millis(&row.latency, 0.50),
                millis(&row.latency, 0.95),
                millis(&row.latency, 0.99),
                millis(&row.first_token, 0.95),
                percent(row.error_rate()),
            ]);
        }
        columns(f, &rows, 2)
    }

    fn compared(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.report.compared.is_empty() {
            return Ok(());
        }
        let actual = self.report.total.cost_usd;
        let header = [
            "the same traffic with",
            "USD a month",
            "USD a year",
            "saved",
            "without a price",
        ];
        let mut rows = vec![header.map(str::to_owned).to_vec()];
        rows.push(vec![
            "what served".to_owned(),
            Usd(actual).to_string(),
            Usd(times(actual, MONTHS)).to_string(),
            String::new(),
            thousands(self.report.total.unpriced),
        ]);
        for compared in &self.report.compared {
            rows.push(vec![
                compared.model.clone(),
                Usd(compared.cost).to_string(),
                Usd(times(compared.cost, MONTHS)).to_string(),
                compared
                    .saved_permille(actual)
                    .map_or_else(String::new, permille),
                thousands(compared.unpriced),
            ]);
        }
        columns(f, &rows, 1)?;
        writeln!(f, "(the records taken as one month's)")
    }

    fn reconciled(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Some(reconciliation) = self.reconciliation else {
            return Ok(());
        };
        let header = [
            "model",
            "requests",
            "theirs",
            "tokens in",
            "theirs",
            "tokens out",
            "theirs",
            "USD",
            "theirs",
        ];
        let mut rows = vec![header.map(str::to_owned).to_vec()];
        for row in &reconciliation.rows {
            let (ours, theirs) = (&row.ours, &row.theirs);
            rows.push(vec![
                row.model.clone(),
                thousands(ours.requests),
                thousands(theirs.requests),
                thousands(ours.input),
                thousands(theirs.input),
                thousands(ours.output),
                thousands(theirs.output),
                Usd(ours.cost).to_string(),
                Usd(theirs.cost).to_string(),
            ]);
        }
        columns(f, &rows, 1)
    }
}

fn groups(f: &mut Formatter<'_>, name: &str, groups: &[super::Group], total: &Sums) -> fmt::Result {
    let header = [name, "requests", "share", "tokens in", "tokens out", "USD"];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    for group in groups {
        rows.push(vec![
            group.name.clone(),
            thousands(group.sums.requests),
            percent(share(group.sums.requests, total.requests)),
            thousands(group.sums.usage.total_input()),
            thousands(group.sums.usage.total_output()),
            Usd(group.sums.cost_usd).to_string(),
        ]);
    }
    columns(f, &rows, 1)
}

/// Rows in columns: the first `text` of them begin at the left, numbers end at the right.
fn columns(f: &mut Formatter<'_>, rows: &[Vec<String>], text: usize) -> fmt::Result {
    let count = rows.first().map_or(0, Vec::len);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<_> = (0..count).map(width).collect();
    writeln!(f)?;
    for row in rows {
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            if column > 0 {
                f.write_str("  ")?;
            }
            if column < text {
                write!(f, "{cell:<width$}")?;
            } else {
                write!(f, "{cell:>width$}")?;
            }
        }
        writeln!(f)?;
    }
    Ok(())
}
