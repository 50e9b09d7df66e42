//! How far the estimated prompt is from the stated one.
//!
//! Nothing is asserted of single records but that there is an estimate: the figures are printed for people.

use std::collections::BTreeMap;

use serde_json::Value;
use tower_relay::message::{RequestBody, estimate::TokenEstimator, usage::UsageScan};

use super::{Record, records};

/// What ends a string that was cut when the request was recorded.
const CUT: &str = "<truncated,";

#[test]
fn every_stated_prompt_is_estimated_and_the_error_printed() {
    let Some(records) = records() else { return };
    let by_bytes = TokenEstimator::by_bytes();
    let by_tiktoken = TokenEstimator::by_tiktoken(64 * 1024);
    let mut all = BTreeMap::<&str, Errors>::new();
    let mut whole = Errors::default();
    let mut long = Errors::default();
    for record in records.iter().filter(|record| record.is_success()) {
        let (Some(stated), Some(request)) = (stated_prompt(record), record.request()) else {
            continue;
        };
        let body = RequestBody::json(request.to_string());
        let Some(bytes) = by_bytes.estimate(&body) else {
            continue;
        };
        let tiktoken = by_tiktoken
            .estimate(&body)
            .expect("an estimate by either counter");
        let says_it_all = says_it_all(request);
        let provider = all.entry(&record.provider).or_default();
        provider.add(says_it_all, bytes, tiktoken, stated);
        whole.add(says_it_all, bytes, tiktoken, stated);
        if stated >= 200 {
            long.add(says_it_all, bytes, tiktoken, stated);
        }
    }
    println!("|estimate - stated| / stated; whole: prompts of which the request says everything");
    println!(
        "{:<18} {:>5} {:>7} {:>7} | {:>5} {:>7} {:>7} | {:>9} {:>7}",
        "estimate", "all", "median", "p90", "whole", "median", "p90", "tiktoken:", "p90"
    );
    for (provider, errors) in &mut all {
        errors.print(provider);
    }
    long.print("200 tokens and up");
    whole.print("all");
    assert!(!whole.all.is_empty());
}

#[derive(Default)]
struct Errors {
    all: Vec<f64>,
    whole: Vec<f64>,
    tiktoken: Vec<f64>,
}

impl Errors {
    fn add(&mut self, says_it_all: bool, bytes: u64, tiktoken: u64, stated: u64) {
        #[allow(clippy::cast_precision_loss, reason = "a figure to print")]
        let error = |estimate: u64| estimate.abs_diff(stated) as f64 / stated as f64;
        self.all.push(error(bytes));
        if says_it_all {
            self.whole.push(error(bytes));
            self.tiktoken.push(error(tiktoken));
        }
    }

    fn print(&mut self, name: &str) {
        let [all, whole, tiktoken] = [&mut self.all, &mut self.whole, &mut self.tiktoken]
            .map(|errors| (errors.len(), percentile(errors, 50), percentile(errors, 90)));
        println!(
            "{name:<18} {:>5} {:>7.3} {:>7.3} | {:>5} {:>7.3} {:>7.3} | {:>9.3} {:>7.3}",
            all.0, all.1, all.2, whole.0, whole.1, whole.2, tiktoken.1, tiktoken.2
        );
    }
}

fn percentile(errors: &mut [f64], percent: usize) -> f64 {
    errors.sort_by(f64::total_cmp);
    errors
        .get((errors.len() * percent / 100).min(errors.len().saturating_sub(1)))
        .copied()
        .unwrap_or(f64::NAN)
}

/// What the provider says that the prompt was, where that is more than nothing.
fn stated_prompt(record: &Record) -> Option<u64> {
    let mut scan = UsageScan::default();
    if record.is_events() {
        for event in record.events() {
            scan.event(event.as_bytes());
        }
    } else {
        scan.body(record.body().as_bytes());
    }
    let usage = scan.usage()?;
    let prompt = usage.input + usage.cache_read + usage.cache_write_5m + usage.cache_write_1h;
    (prompt > 0).then_some(prompt)
}

/// Whether the prompt is in the request: no conversation kept by the provider or sealed by it, no tool whose results it adds by
/// itself, no image of unknown size, and nothing that the recording cut.
fn says_it_all(request: &Value) -> bool {
    let own_tools = |tools: &Value| {
        tools.as_array().is_none_or(|tools| {
            tools.iter().all(|tool| {
                let is_hosted = tool["type"].as_str().is_some_and(|name| name.contains(':'));
                let is_own = ["function", "parameters", "input_schema"]
                    .iter()
                    .any(|member| tool.get(member).is_some());
                is_own && !is_hosted
            })
        })
    };
    let text = request.to_string();
    let elsewhere = [
        CUT,
        "previous_response_id",
        "encrypted_content",
        "image",
        "file_id",
        "\"source\"",
        "plugins",
    ];
    !elsewhere.iter().any(|part| text.contains(part)) && own_tools(&request["tools"])
}
