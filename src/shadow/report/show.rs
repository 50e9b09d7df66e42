//! The report as text.

use std::fmt;

use super::{Report, Verdict};
use crate::stats::Mean;

impl fmt::Display for Report {
    /// A table, and the verdict in its last line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let row = |f: &mut fmt::Formatter<'_>, name: &str, one: &str, other: &str| {
            writeln!(f, "{name:<22}{one:>28}{other:>28}")
        };
        let (primary, shadow) = (&self.primary, &self.shadow);
        let (counted, left_out) = (self.comparisons, self.left_out);
        writeln!(f, "{counted} comparisons, {left_out} left out\n")?;
        row(f, "", "primary", "shadow")?;
        let rate = |[rate, low, high]: [f64; 3]| {
            let percent = |share: f64| share * 100.0;
            format!(
                "{:.2} % ({:.2} to {:.2})",
                percent(rate),
                percent(low),
                percent(high)
            )
        };
        row(
            f,
            "errors",
            &rate(primary.error_rate),
            &rate(shadow.error_rate),
        )?;
        let of = |times: Option<[u64; 3]>, place: usize| {
            let time = times.and_then(|times| times.get(place).copied());
            time.map_or("-".to_owned(), |time| format!("{time} ms"))
        };
        for (place, name) in ["p50", "p95", "p99"].into_iter().enumerate() {
            let name = format!("latency {name}");
            row(
                f,
                &name,
                &of(primary.latency_ms, place),
                &of(shadow.latency_ms, place),
            )?;
        }
        for (place, name) in ["p50", "p95", "p99"].into_iter().enumerate() {
            let name = format!("first token {name}");
            row(
                f,
                &name,
                &of(primary.ttft_ms, place),
                &of(shadow.ttft_ms, place),
            )?;
        }
        let (one, other) = (primary.deviating, shadow.deviating);
        row(f, "deviating answers", &one.to_string(), &other.to_string())?;
        let (one, other) = (primary.invalid_arguments, shadow.invalid_arguments);
        row(f, "invalid arguments", &one.to_string(), &other.to_string())?;
        if primary.scores.count() + shadow.scores.count() > 0 {
            let score = |scores: &Mean| match scores.mean() {
                Some(mean) => format!("{mean:.2} of {}", scores.count()),
                None => "-".to_owned(),
            };
            row(
                f,
                "mean score",
                &score(&primary.scores),
                &score(&shadow.scores),
            )?;
        }
        writeln!(f)?;
        match self.cost_difference {
            Some([mean, low, high]) => writeln!(
                f,
                "cost of a request: {mean:+.6} USD with the shadow (95 %: {low:+.6} to {high:+.6})"
            )?,
            None => writeln!(f, "cost of a request: not known")?,
        }
        if let Some(similarity) = self.similarity.mean() {
            writeln!(f, "similarity of texts: {similarity:.2}")?;
        }
        if let (same, calling @ 1..) = self.same_tools {
            writeln!(f, "same tools called: {same} of {calling}")?;
        }
        writeln!(f, "verdict: {}", self.verdict)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotEnoughData => "not enough data",
            Self::Passed => "the gate is met",
            Self::TooManyErrors => "the gate is not met: too many errors",
            Self::TooSlow => "the gate is not met: too slow",
        })
    }
}
