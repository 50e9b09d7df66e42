//! What many comparisons say together.

use std::fmt;

use super::{Comparison, Side};

/// How far a 95 % confidence interval reaches, in standard errors.
const Z: f64 = 1.96;

/// What a shadow must keep to, to take over.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Gate {
    /// The most of its answers that may be errors, as a share: 0.001 by default, as in the migration guide.
    pub max_error_rate: f64,
    /// How much longer its answers may take than the primary's, as a share, at the 95th percentile: 0.2 by default, as in the guide.
    pub max_latency_increase: f64,
    /// Below so many comparisons there is no verdict: 1,000 by default.
    pub min_comparisons: usize,
}

impl Default for Gate {
    fn default() -> Self {
        Self {
            max_error_rate: 0.001,
            max_latency_increase: 0.2,
            min_comparisons: 1_000,
        }
    }
}

/// Whether the shadow keeps to the gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// There are too few comparisons to tell.
    NotEnoughData,
    /// It does.
    Passed,
    /// Too many of its answers are errors.
    TooManyErrors,
    /// Its answers take too long.
    TooSlow,
}

/// What many comparisons say together: figures for people, not for bills.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// How many comparisons count: of those whose caller left, or whose copy was cut off by a bound, nothing can be said.
    pub comparisons: usize,
    /// How many do not.
    pub left_out: usize,
    /// The primary's answers.
    pub primary: SideReport,
    /// The shadow's answers.
    pub shadow: SideReport,
    /// How much more the shadow costs a request, in USD, with the ends of its 95 % confidence interval; `None` with fewer than two pairs of
    /// known cost.
    pub cost_difference: Option<[f64; 3]>,
    /// The mean similarity of the texts, where any were compared.
    pub similarity: Option<f64>,
    /// How many pairs call tools of the same names in the same order, of how many that call any.
    pub same_tools: (usize, usize),
    /// Whether the shadow keeps to the gate.
    pub verdict: Verdict,
}

/// What many answers of one side say together.
#[non_exhaustive]
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SideReport {
    /// How many are errors.
    pub errors: usize,
    /// The share of errors, with the ends of its 95 % confidence interval (Wilson's).
    pub error_rate: [f64; 3],
    /// The 50th, 95th and 99th percentile of the latency of successes, in milliseconds.
    pub latency_ms: Option<[u64; 3]>,
    /// The same of the time to the first token.
    pub ttft_ms: Option<[u64; 3]>,
    /// How many successes deviate from what OpenAI's clients expect.
    pub deviating: usize,
    /// How many calls of tools have arguments that are no JSON object.
    pub invalid_arguments: usize,
}

impl Report {
    /// Sums `comparisons` up.
    pub fn of<'a>(comparisons: impl IntoIterator<Item = &'a Comparison>, gate: &Gate) -> Self {
        let (judged, rest): (Vec<_>, Vec<_>) = comparisons
            .into_iter()
            .partition(|pair| pair.primary.is_judged() && pair.shadow.is_judged());
        let primary = SideReport::of(judged.iter().map(|pair| &pair.primary));
        let shadow = SideReport::of(judged.iter().map(|pair| &pair.shadow));
        let differences = judged.iter().filter_map(|pair| {
            let cost = |side: &Side| Some(side.cost_usd?.approx_usd());
            Some(cost(&pair.shadow)? - cost(&pair.primary)?)
        });
        let similarities: Vec<f64> = judged.iter().filter_map(|pair| pair.similarity).collect();
        let names = |side: &Side| -> Vec<Box<str>> {
            let calls = side.tool_calls.iter();
            calls.map(|call| call.name.clone()).collect()
        };
        let calling: Vec<_> = judged
            .iter()
            .map(|pair| (names(&pair.primary), names(&pair.shadow)))
            .filter(|(one, other)| !one.is_empty() || !other.is_empty())
            .collect();
        let same = calling.iter().filter(|(one, other)| one == other).count();
        let mut report = Self {
            comparisons: judged.len(),
            left_out: rest.len(),
            primary,
            shadow,
            cost_difference: mean_with_interval(&differences.collect::<Vec<_>>()),
            similarity: mean(&similarities),
            same_tools: (same, calling.len()),
            verdict: Verdict::NotEnoughData,
        };
        report.verdict = report.judge(gate);
        report
    }

    fn judge(&self, gate: &Gate) -> Verdict {
        if self.comparisons < gate.min_comparisons.max(1) {
            return Verdict::NotEnoughData;
        }
        let [rate, ..] = self.shadow.error_rate;
        if rate >= gate.max_error_rate {
            return Verdict::TooManyErrors;
        }
        match (self.primary.latency_ms, self.shadow.latency_ms) {
            (Some([_, primary, _]), Some([_, shadow, _])) => {
                let most = approx(primary) * (1.0 + gate.max_latency_increase);
                if approx(shadow) > most {
                    Verdict::TooSlow
                } else {
                    Verdict::Passed
                }
            }
            // The primary had no success to hold it against.
            _ => Verdict::NotEnoughData,
        }
    }
}

impl SideReport {
    fn of<'a>(sides: impl Iterator<Item = &'a Side>) -> Self {
        let sides: Vec<_> = sides.collect();
        let (whole, errors): (Vec<&Side>, Vec<&Side>) =
            sides.iter().partition(|side| side.is_success());
        let calls = whole.iter().flat_map(|side| &side.tool_calls);
        Self {
            errors: errors.len(),
            error_rate: wilson(errors.len(), sides.len()),
            latency_ms: percentiles(whole.iter().map(|side| side.latency_ms).collect()),
            ttft_ms: percentiles(whole.iter().filter_map(|side| side.ttft_ms).collect()),
            deviating: whole
                .iter()
                .filter(|side| !side.deviations.is_empty())
                .count(),
            invalid_arguments: calls.filter(|call| !call.valid_arguments).count(),
        }
    }
}

/// The nearest ranks.
fn percentiles(mut values: Vec<u64>) -> Option<[u64; 3]> {
    values.sort_unstable();
    let rank = |percent: usize| {
        let rank = (values.len() * percent).div_ceil(100);
        values.get(rank.checked_sub(1)?).copied()
    };
    Some([rank(50)?, rank(95)?, rank(99)?])
}

/// A share and its 95 % confidence interval (Wilson, 1927).
fn wilson(hits: usize, of: usize) -> [f64; 3] {
    if of == 0 {
        return [0.0, 0.0, 1.0];
    }
    let (hits, of) = (approx(hits as u64), approx(of as u64));
    let share = hits / of;
    let z2 = Z * Z / of;
    let centre = (share + z2 / 2.0) / (1.0 + z2);
    let reach = Z / (1.0 + z2) * (share * (1.0 - share) / of + z2 / (4.0 * of)).sqrt();
    [share, (centre - reach).max(0.0), (centre + reach).min(1.0)]
}

fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / approx(values.len() as u64))
}

fn mean_with_interval(values: &[f64]) -> Option<[f64; 3]> {
    let mean = mean(values).filter(|_| values.len() > 1)?;
    let count = approx(values.len() as u64);
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    let reach = Z * (squares / (count - 1.0) / count).sqrt();
    Some([mean, mean - reach, mean + reach])
}

#[expect(
    clippy::cast_precision_loss,
    reason = "figures for people; exact below 2^53"
)]
fn approx(number: u64) -> f64 {
    number as f64
}

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
        writeln!(f)?;
        match self.cost_difference {
            Some([mean, low, high]) => writeln!(
                f,
                "cost of a request: {mean:+.6} USD with the shadow (95 %: {low:+.6} to {high:+.6})"
            )?,
            None => writeln!(f, "cost of a request: not known")?,
        }
        if let Some(similarity) = self.similarity {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Endpoint, catalog::Cost};

    fn pair(primary_ms: u64, shadow_ms: u64, shadow: &str) -> Comparison {
        let side = |latency_ms, outcome: &str, pico| Side {
            outcome: outcome.into(),
            latency_ms,
            cost_usd: Some(Cost::from_pico_usd(pico)),
            ..Side::default()
        };
        Comparison {
            request_id: "r".into(),
            endpoint: Endpoint::ChatCompletions,
            stream: false,
            primary: side(primary_ms, "success", 2_000_000),
            shadow: side(shadow_ms, shadow, 1_000_000),
            similarity: Some(0.5),
        }
    }

    fn verdict(pairs: &[Comparison]) -> Verdict {
        Report::of(pairs, &Gate::default()).verdict
    }

    #[test]
    fn the_guides_gate_is_held() {
        let good = vec![pair(100, 120, "success"); 1_000];
        assert_eq!(verdict(&good), Verdict::Passed);
        assert_eq!(verdict(&good[1..]), Verdict::NotEnoughData);
        assert_eq!(
            verdict(&vec![pair(100, 121, "success"); 1_000]),
            Verdict::TooSlow
        );
        let mut failing = good.clone();
        failing[0] = pair(100, 5, "server_error");
        assert_eq!(verdict(&failing), Verdict::TooManyErrors);
        // Those say nothing, and do not count.
        let mut left = good;
        left.extend(vec![pair(100, 9_999, "capped"); 500]);
        assert_eq!(verdict(&left), Verdict::Passed);
    }

    #[test]
    fn the_report_says_what_was_found() {
        let pairs: Vec<_> = (1..=100).map(|ms| pair(ms, 2 * ms, "success")).collect();
        let report = Report::of(&pairs, &Gate::default());
        assert_eq!(report.primary.latency_ms, Some([50, 95, 99]));
        assert_eq!(report.shadow.latency_ms, Some([100, 190, 198]));
        let [mean, low, high] = report.cost_difference.unwrap();
        assert!((mean + 1e-6).abs() < 1e-12 && low <= mean && mean <= high);
        let text = report.to_string();
        assert!(text.contains("100 comparisons, 0 left out"), "{text}");
        assert!(text.contains("similarity of texts: 0.50"), "{text}");
        assert!(text.ends_with("verdict: not enough data\n"), "{text}");
        let none = Report::of(&[], &Gate::default());
        assert_eq!(
            (none.verdict, none.cost_difference),
            (Verdict::NotEnoughData, None)
        );
    }

    #[test]
    fn a_shares_interval_is_wilsons() {
        // The example of the formula for 10 of 100.
        let [share, low, high] = wilson(10, 100);
        assert!((share - 0.1).abs() < 1e-9);
        assert!(
            (low - 0.0552).abs() < 1e-3 && (high - 0.1744).abs() < 1e-3,
            "{low} {high}"
        );
    }
}
