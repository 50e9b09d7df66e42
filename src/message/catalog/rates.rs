//! What each kind of token costs.

use super::Price;

/// The price of each kind of token, and of a request. `None` is unknown, which is not free.
///
/// The kinds are disjoint, as in [`Usage`](crate::message::usage): cached tokens are no input, reasoning is no output.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rates {
    /// A token of prompt, neither read from a cache nor written to one.
    pub input: Option<Price>,
    /// A token of answer.
    pub output: Option<Price>,
    /// A token of prompt read from a cache.
    pub cache_read: Option<Price>,
    /// A token of prompt written to a cache for five minutes, or for as long as the provider keeps it by default.
    pub cache_write_5m: Option<Price>,
    /// A token of prompt written to a cache for an hour.
    pub cache_write_1h: Option<Price>,
    /// A token of reasoning, where it is not priced as answer.
    pub reasoning: Option<Price>,
    /// A token of audio heard.
    pub audio_in: Option<Price>,
    /// A token of audio spoken.
    pub audio_out: Option<Price>,
    /// The request itself.
    pub per_request: Option<Price>,
}

impl Rates {
    /// These rates, and those of `below` where these are unknown.
    #[must_use]
    pub fn or(self, below: Self) -> Self {
        Self {
            input: self.input.or(below.input),
            output: self.output.or(below.output),
            cache_read: self.cache_read.or(below.cache_read),
            cache_write_5m: self.cache_write_5m.or(below.cache_write_5m),
            cache_write_1h: self.cache_write_1h.or(below.cache_write_1h),
            reasoning: self.reasoning.or(below.reasoning),
            audio_in: self.audio_in.or(below.audio_in),
            audio_out: self.audio_out.or(below.audio_out),
            per_request: self.per_request.or(below.per_request),
        }
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What they are called.
    pub(crate) const NAMES: [&str; 9] = [
        "input",
        "output",
        "cache_read",
        "cache_write_5m",
        "cache_write_1h",
        "reasoning",
        "audio_in",
        "audio_out",
        "per_request",
    ];

    /// The known rates by their names.
    pub fn known(&self) -> impl Iterator<Item = (&'static str, Price)> {
        let prices = [
            self.input,
            self.output,
            self.cache_read,
            self.cache_write_5m,
            self.cache_write_1h,
            self.reasoning,
            self.audio_in,
            self.audio_out,
            self.per_request,
        ];
        let all = Self::NAMES.into_iter().zip(prices);
        all.filter_map(|(name, price)| Some((name, price?)))
    }

    /// The rate that is called `name`.
    pub(super) fn named(&mut self, name: &str) -> Option<&mut Option<Price>> {
        Some(match name {
            "input" => &mut self.input,
            "output" => &mut self.output,
            "cache_read" => &mut self.cache_read,
            "cache_write_5m" => &mut self.cache_write_5m,
            "cache_write_1h" => &mut self.cache_write_1h,
            "reasoning" => &mut self.reasoning,
            "audio_in" => &mut self.audio_in,
            "audio_out" => &mut self.audio_out,
            "per_request" => &mut self.per_request,
            _ => return None,
        })
    }
}
