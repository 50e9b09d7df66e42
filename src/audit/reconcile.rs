//! A provider's own account of the same traffic.

use std::{collections::BTreeMap, io::Read};

use super::Report;
use crate::message::{ConfigError, catalog::Cost};

/// The names under which providers export what a row holds.
const MODEL: &[&str] = &[
    "model",
    "model_id",
    "snapshot_id",
    "model_permaslug",
    "model_name",
];
const INPUT: &[&str] = &[
    "input_tokens",
    "prompt_tokens",
    "n_context_tokens_total",
    "tokens_prompt",
];
const OUTPUT: &[&str] = &[
    "output_tokens",
    "completion_tokens",
    "n_generated_tokens_total",
    "tokens_completion",
];
const REQUESTS: &[&str] = &[
    "requests",
    "num_model_requests",
    "n_requests",
    "num_requests",
];
const COST: &[&str] = &[
    "cost_usd",
    "cost",
    "amount_value",
    "amount",
    "total_cost",
    "cost_total",
];

/// Our books beside the provider's, by model.
#[non_exhaustive]
#[derive(Debug, Default)]
pub struct Reconciliation {
    /// By model, in the order of their names.
    pub rows: Vec<ReconciledRow>,
}

/// One model in both books.
#[non_exhaustive]
#[derive(Debug, Default, Clone)]
pub struct ReconciledRow {
    /// The model, as either book names it.
    pub model: String,
    /// Ours.
    pub ours: Books,
    /// The provider's.
    pub theirs: Books,
}

/// What a book says of a model.
#[non_exhaustive]
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Books {
    /// Attempts.
    pub requests: u64,
    /// Tokens of prompt, cached ones included.
    pub input: u64,
    /// Tokens of answer, reasoning included.
    pub output: u64,
    /// What they cost; zero where the export does not say.
    pub cost: Cost,
}

impl Reconciliation {
    /// Lays a provider's export (CSV with a header) beside `report`.
    ///
    /// The columns are found by the names that OpenAI's, Anthropic's and OpenRouter's exports have; a model is the only one that
    /// must be there. A model of the export stands for ours of the same name, dated snapshots included.
    ///
    /// # Errors
    ///
    /// When it is no CSV, has no column for a model, or holds a number that is none.
    pub fn read(report: &Report, export: impl Read) -> Result<Self, ConfigError> {
        let wrong = |reason: String| ConfigError::new("reconcile", reason);
        let mut reader = csv::ReaderBuilder::new()
            .flexible(true)
            .trim(csv::Trim::All)
            .from_reader(export);
        let headers = reader.headers().map_err(|e| wrong(e.to_string()))?.clone();
        let column = |names: &[&str]| {
            names.iter().find_map(|name| {
                let is_named = |header: &str| header.eq_ignore_ascii_case(name);
                headers.iter().position(is_named)
            })
        };
        let model = column(MODEL).ok_or_else(|| {
            wrong(format!(
                "the export has no column for the model ({})",
                MODEL.join(", ")
            ))
        })?;
        let [input, output, requests, cost] = [INPUT, OUTPUT, REQUESTS, COST].map(column);
        let mut rows = BTreeMap::<String, ReconciledRow>::new();
        for row in &report.models {
            let books = &mut entry(&mut rows, &row.model).ours;
            books.requests += row.sums.attempts;
            books.input += row.sums.usage.total_input();
            books.output += row.sums.usage.total_output();
            books.cost += row.sums.cost_usd;
        }
        for line in reader.records() {
            let line = line.map_err(|e| wrong(e.to_string()))?;
            let at = line.position().map_or(0, csv::Position::line);
            let count = |column: Option<usize>| {
                let text = column.and_then(|column| line.get(column)).unwrap_or("");
                if text.is_empty() {
                    return Ok(0);
                }
                let is_none = || wrong(format!("line {at}: {text:?} is no count"));
                text.parse::<u64>().map_err(|_| is_none())
            };
            let books = &mut entry(&mut rows, line.get(model).unwrap_or("")).theirs;
            books.requests += count(requests)?;
            books.input += count(input)?;
            books.output += count(output)?;
            let text = cost.and_then(|cost| line.get(cost)).unwrap_or("");
            let text = text.trim_start_matches('$');
            if !text.is_empty() {
                let is_none = || wrong(format!("line {at}: {text:?} is no amount of USD"));
                books.cost += Cost::parse_usd(text).ok_or_else(is_none)?;
            }
        }
        let rows = rows.into_values().collect();
        Ok(Self { rows })
    }
}

fn entry<'a>(rows: &'a mut BTreeMap<String, ReconciledRow>, model: &str) -> &'a mut ReconciledRow {
    let name = plain(model);
    rows.entry(name.clone()).or_insert_with(|| ReconciledRow {
        model: name,
        ..ReconciledRow::default()
    })
}

/// A model's name without its provider and the date of its snapshot: `openai/gpt-4.1-2025-04-14` is `gpt-4.1`.
fn plain(model: &str) -> String {
    let name = model
        .rsplit('/')
        .next()
        .unwrap_or(model)
        .trim()
        .to_ascii_lowercase();
    for digits in [&[4usize, 2, 2][..], &[8]] {
        let parts: Vec<_> = name.rsplitn(digits.len() + 1, '-').collect();
        let is_date = parts.len() == digits.len() + 1
            && parts.iter().zip(digits.iter().rev()).all(|(part, digits)| {
                part.len() == *digits && part.bytes().all(|byte| byte.is_ascii_digit())
            });
        if let (true, Some(name)) = (is_date, parts.last()) {
            return (*name).to_owned();
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_compared_without_provider_and_date() {
        for (name, expected) in [
            ("openai/gpt-4.1-2025-04-14", "gpt-4.1"),
            ("claude-sonnet-4-20250514", "claude-sonnet-4"),
            ("gpt-4.1-mini", "gpt-4.1-mini"),
            ("GPT-4o", "gpt-4o"),
            ("2025-04-14", "2025-04-14"),
        ] {
            assert_eq!(plain(name), expected);
        }
    }
}
