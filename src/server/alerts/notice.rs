//! What is told.

use std::sync::Arc;

use serde::Serialize;

use super::{Rule, state::Event};

/// An alert that began or is over: what a callback is given and a webhook is sent, as JSON.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Notice {
    /// The version of this form: 1.
    pub version: u32,
    /// Which relay it is of.
    pub relay: Arc<str>,
    /// Whether it began or is over.
    pub state: NoticeState,
    /// What it is about.
    pub rule: Rule,
    /// What it is of: an upstream, a budget with its key, a model.
    pub subject: Arc<str>,
    /// What was measured: a share from 0 to 1 for `error_rate` and `budget`, milliseconds for `p95` and `p99`, 1 for an open `breaker`, how
    /// many for the others.
    pub value: f64,
    /// What it may be.
    pub limit: f64,
    /// What it usually is, where the limit goes by that.
    pub baseline: Option<f64>,
    /// Since when it was above its limit, in RFC 3339.
    pub since: String,
    /// When this was told, in RFC 3339.
    pub at: String,
    /// The same in words.
    pub message: String,
}

/// Whether an alert began or is over.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NoticeState {
    /// It began.
    Firing,
    /// It is over.
    Resolved,
}

/// `event` in words.
pub(super) fn message(event: &Event) -> String {
    let subject = &event.reading.subject;
    if !event.is_firing {
        return format!("{}: over for {subject}", event.reading.rule.as_str());
    }
    let (value, limit) = (event.reading.value, event.limit);
    let percent = |share: f64| share * 100.0;
    match event.reading.rule {
        Rule::ErrorRate => format!(
            "{subject}: {:.1} % of its attempts fail, above {:.1} %",
            percent(value),
            percent(limit)
        ),
        rule @ (Rule::P95 | Rule::P99) => {
            let usual = event
                .baseline
                .map(|base| format!(" (usually {base:.0} ms)"));
            format!(
                "{subject}: {} of latency is {value:.0} ms, above {limit:.0} ms{}",
                rule.as_str(),
                usual.unwrap_or_default()
            )
        }
        Rule::Budget => format!(
            "{subject}: {:.0} % of the budget is used, above {:.0} %",
            percent(value),
            percent(limit)
        ),
        Rule::Breaker => format!("{subject}: its circuit breaker is open"),
        Rule::Unpriced => format!("{subject}: {value} attempts whose price is not known"),
        Rule::KeyRejected => format!("{subject}: refused the relay's key {value} times"),
    }
}
