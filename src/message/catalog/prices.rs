//! Everything a model's price may depend on.

use std::{sync::Arc, time::SystemTime};

use super::{OffPeak, Rates};

/// What a model costs, by the size of the prompt, the service tier and the hour.
#[non_exhaustive]
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Prices {
    /// The ordinary rates.
    pub base: Rates,
    /// Rates for larger prompts, the smallest first.
    pub above: Vec<Above>,
    /// Rates of other service tiers, by the name that answers state: `priority`, `flex`, `batch`.
    pub services: Vec<Service>,
    /// Rates at certain hours.
    pub off_peak: Option<OffPeak>,
    /// The currency in which they were stated, where it is not USD. The rates are in pico-USD all the same.
    pub currency: Option<Arc<Currency>>,
}

/// Rates of a request whose prompt is large. They hold for the whole request, its answer too, not for what is above only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Above {
    /// Tokens of prompt, cached ones included.
    pub tokens: u64,
    /// Whether a prompt of exactly `tokens` is large already, as it is at xAI.
    pub inclusive: bool,
    /// The rates; unknown ones are those of a smaller prompt.
    pub rates: Rates,
}

/// The rates of one service tier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// The tier's name, in lower case.
    pub name: Box<str>,
    /// The rates; unknown ones are the ordinary ones.
    pub rates: Rates,
    /// Rates for larger prompts, the smallest first.
    pub above: Vec<Above>,
}

/// A currency at a fixed rate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Currency {
    /// Its code or sign: `CNY`.
    pub label: Box<str>,
    /// What one unit of it is worth, in pico-USD.
    pub pico_usd: u64,
}

impl Above {
    /// Whether a prompt of `tokens` is large in this sense.
    pub fn applies(&self, tokens: u64) -> bool {
        tokens > self.tokens || self.inclusive && tokens == self.tokens
    }
}

impl Prices {
    /// The rates of a request with a prompt of `prompt_tokens` (cached ones included), served in `service` tier at `at`.
    ///
    /// Of the rates that apply, the one for the largest prompt wins, and at the same size the service tier's own: LiteLLM's
    /// rule. Off-peak rates win over both. An unknown tier has the ordinary rates.
    pub fn rates(&self, prompt_tokens: u64, service: Option<&str>, at: SystemTime) -> Rates {
        let service = service.and_then(|name| {
            self.services
                .iter()
                .find(|service| service.name.eq_ignore_ascii_case(name))
        });
        let (own, own_above) = match service {
            Some(service) => (service.rates, &*service.above),
            None => (Rates::default(), &[][..]),
        };
        let mut rates = own.or(self.base);
        let crossed = |above: &&Above| above.applies(prompt_tokens);
        let (mut common, mut own) = (
            self.above.iter().filter(crossed).peekable(),
            own_above.iter().filter(crossed).peekable(),
        );
        loop {
            let take_common = match (common.peek(), own.peek()) {
                (Some(common), Some(own)) => common.tokens <= own.tokens,
                (Some(_), None) => true,
                (None, Some(_)) => false,
                (None, None) => break,
            };
            if let Some(above) = if take_common {
                common.next()
            } else {
                own.next()
            } {
                rates = above.rates.or(rates);
            }
        }
        match &self.off_peak {
            Some(off_peak) if off_peak.contains(at) => off_peak.rates.or(rates),
            _ => rates,
        }
    }

    /// Whether no rate is known.
    pub fn is_empty(&self) -> bool {
        self.base.is_empty()
            && self.above.is_empty()
            && self.services.is_empty()
            && self.off_peak.is_none()
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::{
        super::{Price, Window},
        *,
    };

    fn price(pico: u64) -> Price {
        Price::from_pico_usd(pico)
    }

    fn input(pico: u64) -> Rates {
        Rates {
            input: Some(price(pico)),
            ..Rates::default()
        }
    }

    fn above(tokens: u64, rates: Rates) -> Above {
        Above {
            tokens,
            inclusive: false,
            rates,
        }
    }

    fn input_rate(prices: &Prices, tokens: u64, service: Option<&str>) -> u64 {
        prices
            .rates(tokens, service, UNIX_EPOCH)
            .input
            .unwrap()
            .pico_usd()
    }

    fn tiered() -> Prices {
        Prices {
            base: Rates {
                output: Some(price(7)),
                ..input(1)
            },
            above: vec![above(200, input(2)), above(300, input(3))],
            services: vec![Service {
                name: "priority".into(),
                rates: input(10),
                above: vec![above(300, input(30))],
            }],
            ..Prices::default()
        }
    }

    #[test]
    fn a_tier_begins_strictly_above_its_size_unless_it_says_otherwise() {
        let mut prices = tiered();
        assert_eq!(
            [0, 200, 201, 300, 301].map(|tokens| input_rate(&prices, tokens, None)),
            [1, 1, 2, 2, 3]
        );
        prices.above[0].inclusive = true;
        assert_eq!(
            [199, 200].map(|tokens| input_rate(&prices, tokens, None)),
            [1, 2]
        );
    }

    #[test]
    fn rates_that_a_tier_does_not_name_are_those_below_it() {
        let prices = tiered();
        assert_eq!(
            prices.rates(1_000, Some("priority"), UNIX_EPOCH).output,
            Some(price(7))
        );
    }

    #[test]
    fn the_size_of_the_prompt_decides_before_the_service_tier() {
        let prices = tiered();
        assert_eq!(
            [0, 201, 301].map(|tokens| input_rate(&prices, tokens, Some("Priority"))),
            [10, 2, 30]
        );
        assert_eq!(input_rate(&prices, 0, Some("default")), 1);
    }

    #[test]
    fn off_peak_rates_replace_the_others_at_their_hours() {
        let window = Window::daily("00:00-01:00").unwrap();
        let prices = Prices {
            off_peak: Some(OffPeak {
                windows: vec![window],
                rates: input(0),
            }),
            ..tiered()
        };
        let rates = prices.rates(1_000, None, UNIX_EPOCH);
        assert_eq!(
            (rates.input, rates.output),
            (Some(price(0)), Some(price(7)))
        );
        assert_eq!(
            prices
                .rates(1_000, None, UNIX_EPOCH + Duration::from_secs(3600))
                .input,
            Some(price(3))
        );
    }
}
