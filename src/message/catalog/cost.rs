//! What an answer costs: its tokens, kind by kind, times their prices.

use std::{
    fmt,
    iter::Sum,
    ops::{Add, AddAssign},
    time::SystemTime,
};

use serde::{Deserialize, Serialize, de};

use super::{
    Prices, Rates,
    price::{Decimal, PER_UNIT, Shown},
};
use crate::message::usage::Usage;

/// Money, in pico-USD: 10⁻¹² USD. Sums are exact and saturate.
///
/// Shown, and in JSON, it is a decimal of USD with all its digits; rounding is for whoever shows it to people.
///
/// ```
/// use tower_relay::message::catalog::Cost;
///
/// let cost = Cost::from_pico_usd(1_234_500_000_000);
/// assert_eq!(cost.to_string(), "1.2345");
/// assert_eq!(Cost::parse_usd("1.2345"), Some(cost));
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cost(u128);

impl Cost {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// This many pico-USD.
    pub const fn from_pico_usd(pico_usd: u128) -> Self {
        Self(pico_usd)
    }

    /// A decimal of USD such as `0.0012` or `1.5e-07`, to the nearest pico-USD. `None` where it is no decimal, negative, or above
    /// 18 million USD.
    pub fn parse_usd(text: &str) -> Option<Self> {
        let (pico, _) = Decimal::parse(text)?.scaled(PER_UNIT)?;
        Some(Self(pico.into()))
    }

    /// In pico-USD.
    pub const fn pico_usd(self) -> u128 {
        self.0
    }

    /// Times `millionths` / 1,000,000, to the nearest pico-USD: a relay's discount (below a million) or mark-up (above).
    #[must_use]
    pub fn times_millionths(self, millionths: u64) -> Self {
        const WHOLE: u128 = 1_000_000;
        // Cannot overflow below 10^13 USD times 18 million; a bill beyond saturates like every sum.
        let scaled = self.0.saturating_mul(millionths.into());
        Self(scaled.saturating_add(WHOLE / 2) / WHOLE)
    }

    /// In USD, for charts and ratios: never to compute money with.
    #[allow(clippy::cast_precision_loss, reason = "to show, not to sum")]
    pub fn approx_usd(self) -> f64 {
        self.0 as f64 / 1e12
    }

    /// What is left of it after `other`, at least nothing.
    #[must_use]
    pub fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl Add for Cost {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl AddAssign for Cost {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sum for Cost {
    fn sum<I: Iterator<Item = Self>>(costs: I) -> Self {
        costs.fold(Self::ZERO, Self::add)
    }
}

impl fmt::Display for Cost {
    /// USD, exact, without trailing zeros.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Shown {
            pico: self.0,
            decimals: PER_UNIT,
        }
        .fmt(f)
    }
}

impl Serialize for Cost {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Cost {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        let is_cost = || de::Error::custom("expected a decimal of USD");
        // A sum may be larger than what is accepted of a single price.
        let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !digits(whole) || !digits(fraction) || fraction.len() > 12 {
            return Err(is_cost());
        }
        format!("{whole}{fraction:0<12}")
            .parse()
            .map(Self)
            .map_err(|_| is_cost())
    }
}

impl Rates {
    /// What `usage` costs at these rates; `None` where a rate that it needs is not known, which is not the same as free.
    ///
    /// A cache rate that is not known is that of input, as nobody charges more to read, and audio and reasoning without rates
    /// of their own are input and output: LiteLLM's formula. A cache write for an hour without its own rate has that of five
    /// minutes. A fee for the request is one only where it is known.
    pub fn cost(&self, usage: &Usage) -> Option<Cost> {
        if self.is_empty() {
            return None;
        }
        let write = self.cache_write_5m.or(self.input);
        let kinds = [
            (usage.input, self.input),
            (usage.cache_read, self.cache_read.or(self.input)),
            (usage.cache_write_5m, write),
            (usage.cache_write_1h, self.cache_write_1h.or(write)),
            (usage.output, self.output),
            (usage.reasoning, self.reasoning.or(self.output)),
            (usage.audio_in, self.audio_in.or(self.input)),
            (usage.audio_out, self.audio_out.or(self.output)),
        ];
        let fee = self.per_request.map_or(0, |price| price.times(1));
        kinds
            .into_iter()
            .filter(|(tokens, _)| *tokens > 0)
            .try_fold(Cost(fee), |sum, (tokens, price)| {
                Some(sum + Cost(price?.times(tokens)))
            })
    }
}

impl Prices {
    /// What `usage` costs, served in `service` tier at `at`: the rates of [`Prices::rates`] for the whole request.
    pub fn cost(&self, usage: &Usage, service: Option<&str>, at: SystemTime) -> Option<Cost> {
        self.rates(usage.total_input(), service, at).cost(usage)
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use proptest::prelude::*;

    use super::{
        super::{Above, Price, Service},
        *,
    };

    fn price(usd_per_million: &str) -> Option<Price> {
        Price::per_million(usd_per_million)
    }

    /// Claude Sonnet's shape: writes at 1.25 and 2 times the input, reads at a tenth.
    fn rates() -> Rates {
        Rates {
            input: price("3"),
            output: price("15"),
            cache_read: price("0.30"),
            cache_write_5m: price("3.75"),
            cache_write_1h: price("6"),
            ..Rates::default()
        }
    }

    fn usd(rates: &Rates, usage: Usage) -> Option<String> {
        rates.cost(&usage).map(|cost| cost.to_string())
    }

    #[test]
    fn every_kind_of_token_is_charged_once_at_its_own_rate() {
        let million = 1_000_000;
        let usage = Usage {
            input: million,
            cache_read: million,
            cache_write_5m: million,
            cache_write_1h: million,
            output: million,
            reasoning: million,
            ..Usage::default()
        };
        // 3 + 0.30 + 3.75 + 6 + 15 + 15.
        assert_eq!(usd(&rates(), usage).unwrap(), "43.05");
    }

    #[test]
    fn the_month_of_guide_a_costs_what_the_guide_says() {
        let usage = Usage {
            input: 24_000_000,
            output: 36_000_000,
            ..Usage::default()
        };
        let at = |input, output| Rates {
            input: price(input),
            output: price(output),
            ..Rates::default()
        };
        assert_eq!(usd(&at("2.00", "8.00"), usage).unwrap(), "336");
        assert_eq!(usd(&at("0.10", "0.42"), usage).unwrap(), "17.52");
    }

    #[test]
    fn a_kind_without_a_rate_of_its_own_has_that_of_its_side() {
        let plain = Rates {
            input: price("1"),
            output: price("2"),
            ..Rates::default()
        };
        let usage = Usage {
            cache_read: 1,
            cache_write_5m: 1,
            cache_write_1h: 1,
            audio_in: 1,
            reasoning: 1,
            audio_out: 1,
            ..Usage::default()
        };
        assert_eq!(
            plain.cost(&usage).unwrap().pico_usd(),
            4_000_000 + 4_000_000
        );
        let longer = Rates {
            cache_write_5m: price("5"),
            ..plain
        };
        let usage = Usage {
            cache_write_1h: 1,
            ..Usage::default()
        };
        assert_eq!(longer.cost(&usage).unwrap().pico_usd(), 5_000_000);
    }

    #[test]
    fn an_unknown_price_is_none_and_a_price_of_zero_is_free() {
        let usage = Usage {
            input: 7,
            ..Usage::default()
        };
        assert_eq!(Rates::default().cost(&usage), None);
        assert_eq!(Rates::default().cost(&Usage::default()), None);
        let output_only = Rates {
            output: price("1"),
            ..Rates::default()
        };
        assert_eq!(output_only.cost(&usage), None);
        let free = Rates {
            input: Some(Price::FREE),
            ..Rates::default()
        };
        assert_eq!(free.cost(&usage), Some(Cost::ZERO));
    }

    #[test]
    fn a_fee_for_the_request_comes_on_top() {
        let fee = Rates {
            per_request: Price::per_unit("0.005"),
            input: price("1"),
            ..Rates::default()
        };
        let usage = Usage {
            input: 1_000,
            ..Usage::default()
        };
        assert_eq!(usd(&fee, usage).unwrap(), "0.006");
    }

    #[test]
    fn a_large_prompt_reprices_the_whole_request_strictly_above_the_tier() {
        let prices = Prices {
            base: rates(),
            above: vec![Above {
                tokens: 200_000,
                inclusive: false,
                rates: Rates {
                    input: price("6"),
                    output: price("22.50"),
                    ..Rates::default()
                },
            }],
            services: vec![Service {
                name: "flex".into(),
                rates: Rates {
                    input: price("1.5"),
                    output: price("7.5"),
                    ..Rates::default()
                },
                above: Vec::new(),
            }],
            ..Prices::default()
        };
        let usage = |cache_read| Usage {
            input: 100_000,
            cache_read,
            output: 1_000,
            ..Usage::default()
        };
        let cost = |usage, service| {
            prices
                .cost(&usage, service, UNIX_EPOCH)
                .unwrap()
                .to_string()
        };
        // Cached tokens count towards the tier.
        assert_eq!(cost(usage(100_000), None), "0.345");
        assert_eq!(cost(usage(100_001), None), "0.6525003");
        assert_eq!(cost(usage(0), Some("flex")), "0.1575");
        assert_eq!(cost(usage(0), Some("default")), "0.315");
    }

    #[test]
    fn a_multiplier_is_exact_to_the_pico_usd() {
        let cost = Cost::from_pico_usd(1_000_001);
        assert_eq!(cost.times_millionths(1_000_000), cost);
        assert_eq!(cost.times_millionths(850_000).pico_usd(), 850_001);
        assert_eq!(cost.times_millionths(0), Cost::ZERO);
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(pico: u128) {
            let cost = Cost(pico);
            let json = serde_json::to_string(&cost).unwrap();
            prop_assert_eq!(serde_json::from_str::<Cost>(&json).unwrap(), cost);
        }

        #[test]
        fn the_cost_of_a_sum_is_the_sum_of_the_costs(counts in prop::collection::vec((0u64..1 << 40, 0u64..1 << 40), 0..20)) {
            let usages: Vec<_> = counts
                .into_iter()
                .map(|(input, output)| Usage { input, output, ..Usage::default() })
                .collect();
            let apart: Cost = usages.iter().filter_map(|usage| rates().cost(usage)).sum();
            prop_assert_eq!(rates().cost(&usages.into_iter().sum()), Some(apart));
        }
    }
}
