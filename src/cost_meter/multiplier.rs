//! A relay's discount or mark-up.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, de};

use crate::message::{
    ConfigError,
    catalog::{Cost, Price},
};

/// What an upstream charges of list prices: 1 by default, less for a discount, more for a mark-up. A decimal of at most six
/// places, so that bills stay exact to a pico-USD.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Multiplier {
    millionths: u64,
}

impl Multiplier {
    /// The price as it is listed.
    pub const ONE: Self = Self {
        millionths: 1_000_000,
    };

    /// `cost` at this upstream.
    pub fn of(self, cost: Cost) -> Cost {
        if self == Self::ONE {
            cost
        } else {
            cost.times_millionths(self.millionths)
        }
    }
}

impl Default for Multiplier {
    fn default() -> Self {
        Self::ONE
    }
}

impl FromStr for Multiplier {
    type Err = ConfigError;

    /// Reads `0.85`.
    fn from_str(text: &str) -> Result<Self, ConfigError> {
        // USD per million and millionths of one are the same shift.
        let millionths = Price::per_million(text).map(Price::pico_usd);
        millionths
            .map(|millionths| Self { millionths })
            .ok_or_else(|| {
                let reason = format!("{text:?} is no decimal of at most six places");
                ConfigError::new("multiplier", reason)
            })
    }
}

impl fmt::Display for Multiplier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Price::from_pico_usd(self.millionths)
            .usd_per_million()
            .fmt(f)
    }
}

impl<'de> Deserialize<'de> for Multiplier {
    /// A number, or a decimal in a string.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Whole(u64),
            Fraction(f64),
            Text(String),
        }
        // A float is shown by its shortest decimal: the one that was written.
        let text = match Written::deserialize(deserializer)? {
            Written::Whole(number) => number.to_string(),
            Written::Fraction(number) => number.to_string(),
            Written::Text(text) => text,
        };
        text.parse()
            .map_err(|_| de::Error::custom(format!("{text} is no decimal of at most six places")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decimal_is_read_however_it_is_written() {
        for (json, shown) in [("0.85", "0.85"), (r#""1.2""#, "1.2"), ("2", "2")] {
            let multiplier: Multiplier = serde_json::from_str(json).unwrap();
            assert_eq!(multiplier.to_string(), shown);
        }
        for json in ["-1", "0.0000001", r#""x""#, "null"] {
            assert!(serde_json::from_str::<Multiplier>(json).is_err(), "{json}");
        }
    }

    #[test]
    fn a_discount_takes_its_share() {
        let discount: Multiplier = "0.75".parse().unwrap();
        assert_eq!(discount.of(Cost::from_pico_usd(400)).pico_usd(), 300);
    }
}
