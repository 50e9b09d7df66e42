//! The heuristics of three migration guides, exactly.

use super::{
    Features, Score, Scorer,
    keywords::{self, Found},
};

/// By tools and turns: `tools` where a message has a call of a tool, `long` for more than ten messages, else `plain`.
#[derive(Debug, Clone, Copy, Default)]
pub struct ToolUse;

/// By sizes. `high`: more than 5,000 characters, or a `function_call` in a message, or more than three messages and a cap of more than 4,000
/// tokens; `medium`: more than 500 characters, or a cap of more than 1,000; else `low`. A request without a cap counts as one of 1,000.
#[derive(Debug, Clone, Copy, Default)]
pub struct Size;

/// By words, in points from 1 to 100. 30 to begin with; 20 more for analyze, compare or evaluate; 15 for code, function, api or debug; 10 for
/// more than three messages; 20 less for summarize, translate or rewrite; 15 less for a conversation shorter than 100 characters.
/// `simple` below 25, `moderate` below 50, `demanding` below 75, else `expert`.
///
/// What is searched is the JSON text of the messages, in any case, wherever the word stands in it: `decode` has a `code`. Of more
/// than 32 kB the first and the last 16 kB are.
#[derive(Debug, Clone, Copy, Default)]
pub struct Keywords;

impl Scorer for ToolUse {
    fn tiers(&self) -> &[&'static str] {
        &["plain", "long", "tools"]
    }

    fn score(&self, features: &Features<'_>) -> Score {
        let prompt = features.prompt();
        if prompt.tool_calls > 0 {
            Score::new(2, "a message calls a tool")
        } else if prompt.messages > 10 {
            Score::new(1, "more than 10 messages")
        } else {
            Score::new(0, "no tool call, at most 10 messages")
        }
    }
}

impl Scorer for Size {
    fn tiers(&self) -> &[&'static str] {
        &["low", "medium", "high"]
    }

    fn score(&self, features: &Features<'_>) -> Score {
        const DEFAULT_OUTPUT: u64 = 1_000;
        let prompt = features.prompt();
        let output = features.max_output_tokens().unwrap_or(DEFAULT_OUTPUT);
        if prompt.text_chars > 5_000 {
            Score::new(2, "more than 5,000 characters")
        } else if prompt.function_calls > 0 {
            Score::new(2, "a message calls a function")
        } else if prompt.messages > 3 && output > 4_000 {
            Score::new(
                2,
                "more than 3 messages and 4,000 tokens of answer asked for",
            )
        } else if prompt.text_chars > 500 {
            Score::new(1, "more than 500 characters")
        } else if output > 1_000 {
            Score::new(1, "more than 1,000 tokens of answer asked for")
        } else {
            Score::new(0, "short, and a short answer")
        }
    }
}

impl Keywords {
    /// The points, and what they were given for.
    pub(super) fn points(features: &Features<'_>) -> (u8, String) {
        let text = features.conversation();
        let Found {
            analysis,
            code,
            rewriting,
        } = keywords::search(text);
        let parts = [
            (analysis, 20, "analysis"),
            (code, 15, "code"),
            (features.prompt().messages > 3, 10, "more than 3 messages"),
            (rewriting, -20, "rewriting"),
            (is_shorter_than(text, 100), -15, "short"),
        ];
        let mut points = 30_i32;
        let mut reason = String::new();
        for (_, worth, name) in parts.into_iter().filter(|(applies, ..)| *applies) {
            points += worth;
            if !reason.is_empty() {
                reason.push_str(", ");
            }
            reason.push_str(name);
        }
        if reason.is_empty() {
            reason.push_str("nothing in particular");
        }
        (u8::try_from(points.clamp(1, 100)).unwrap_or(100), reason)
    }
}

impl Scorer for Keywords {
    fn tiers(&self) -> &[&'static str] {
        &["simple", "moderate", "demanding", "expert"]
    }

    fn score(&self, features: &Features<'_>) -> Score {
        let (points, reason) = Self::points(features);
        let tier = match points {
            ..25 => 0,
            25..50 => 1,
            50..75 => 2,
            75.. => 3,
        };
        Score::new(tier, reason).points(points)
    }
}

fn is_shorter_than(text: &[u8], chars: usize) -> bool {
    // No character takes more than four bytes.
    text.len() < chars * 4 && str::from_utf8(text).is_ok_and(|text| text.chars().count() < chars)
}
