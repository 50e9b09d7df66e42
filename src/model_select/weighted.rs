use serde::Deserialize;

use super::{Features, Keywords, Score, Scorer, Size, ToolUse};

/// All three heuristics together: the weighted mean of what each says, in points from 1 to 100. [`ToolUse`] and [`Size`] say 0 for their
/// first tier, 50 for the second and 100 for the third; [`Keywords`] has points of its own.
///
/// `low` below [`medium`](Self::medium) points, `medium` below [`high`](Self::high), else `high`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Weighted {
    /// What [`ToolUse`] weighs: 1 by default.
    pub tool_use: u8,
    /// What [`Size`] weighs: 1 by default.
    pub size: u8,
    /// What [`Keywords`] weighs: 2 by default.
    pub keywords: u8,
    /// From how many points on a request is `medium`: 25 by default.
    pub medium: u8,
    /// From how many points on a request is `high`: 60 by default.
    pub high: u8,
}

impl Default for Weighted {
    fn default() -> Self {
        Self {
            tool_use: 1,
            size: 1,
            keywords: 2,
            medium: 25,
            high: 60,
        }
    }
}

impl Scorer for Weighted {
    fn tiers(&self) -> &[&'static str] {
        &["low", "medium", "high"]
    }

    fn score(&self, features: &Features<'_>) -> Score {
        let place = |tier: usize| u32::try_from(tier * 50).unwrap_or(100);
        let (points, words) = Keywords::points(features);
        let (tools, size) = (ToolUse.score(features), Size.score(features));
        let said = [
            (self.tool_use, place(tools.tier)),
            (self.size, place(size.tier)),
            (self.keywords, u32::from(points)),
        ];
        let weights: u32 = said.iter().map(|(weight, _)| u32::from(*weight)).sum();
        let sum: u32 = said
            .iter()
            .map(|(weight, points)| u32::from(*weight) * points)
            .sum();
        let points = (sum / weights.max(1)).clamp(1, 100);
        let points = u8::try_from(points).unwrap_or(100);
        let tier = usize::from(points >= self.medium) + usize::from(points >= self.high);
        let reason = format!("{}; {}; words: {words}", tools.reason, size.reason);
        Score::new(tier, reason).points(points)
    }
}
