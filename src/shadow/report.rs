//! What many comparisons say together.

mod figures;
mod show;

use std::collections::HashMap;

use self::figures::{approx, percentiles, wilson};
use super::{Comparison, Side};
use crate::{ledger::Feedback, stats::Mean};

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
#[non_exhaustive]
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
    /// The similarity of the texts that were compared.
    pub similarity: Mean,
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
    /// What was thought of its answers, where that was [told](Report::with_feedback).
    pub scores: Mean,
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
            cost_difference: with_interval(differences.collect()),
            similarity: judged.iter().filter_map(|pair| pair.similarity).collect(),
            same_tools: (same, calling.len()),
            verdict: Verdict::NotEnoughData,
        };
        report.verdict = report.judge(gate);
        report
    }

    /// The same with what was thought of the answers in `comparisons`, by whoever gave them; of several scores of one answer the last counts.
    #[must_use]
    pub fn with_feedback<'a>(
        mut self,
        comparisons: impl IntoIterator<Item = &'a Comparison>,
        feedback: impl IntoIterator<Item = &'a Feedback>,
    ) -> Self {
        let scores: HashMap<_, _> = (feedback.into_iter())
            .map(|one| ((&*one.request_id, &*one.upstream), one.score))
            .collect();
        for pair in comparisons {
            let score = |side: &Side| {
                scores
                    .get(&(&*pair.request_id, side.upstream.as_deref()?))
                    .copied()
            };
            for (side, report) in [
                (&pair.primary, &mut self.primary),
                (&pair.shadow, &mut self.shadow),
            ] {
                if let Some(score) = score(side) {
                    report.scores.add(score);
                }
            }
        }
        self
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
            scores: Mean::default(),
        }
    }
}

fn with_interval(values: Mean) -> Option<[f64; 3]> {
    let ([low, high], mean) = (values.interval()?, values.mean()?);
    Some([mean, low, high])
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
    fn scores_count_for_the_side_whose_answer_they_are_of() {
        let mut pairs = vec![pair(1, 1, "success"); 3];
        for (pair, id) in pairs.iter_mut().zip(["a", "b", "c"]) {
            pair.request_id = id.into();
            pair.primary.upstream = Some("old".into());
            pair.shadow.upstream = Some("new".into());
        }
        let feedback = [
            Feedback::new("a", "old", 0.0),
            Feedback::new("a", "old", 0.5),
            Feedback::new("a", "new", 1.0),
            Feedback::new("b", "new", 0.5),
            Feedback::new("b", "third", 0.1),
            Feedback::new("d", "new", 0.1),
        ];
        let report = Report::of(&pairs, &Gate::default()).with_feedback(&pairs, &feedback);
        let scores = |side: &SideReport| (side.scores.count(), side.scores.mean());
        assert_eq!(scores(&report.primary), (1, Some(0.5)));
        assert_eq!(scores(&report.shadow), (2, Some(0.75)));
        let text = report.to_string();
        assert!(
            text.contains("0.50 of 1") && text.contains("0.75 of 2"),
            "{text}"
        );
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
}
