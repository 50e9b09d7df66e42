//! One price, as an integer.

use std::fmt;

/// What one unit (a token, or a request) costs, in pico-USD: 10⁻¹² USD.
///
/// One USD per million tokens is 1,000,000 pico-USD a token, so that list prices are whole numbers and bills are exact sums.
///
/// ```
/// use tower_relay::message::catalog::Price;
///
/// let price = Price::per_million("0.075").unwrap();
/// assert_eq!(price.pico_usd(), 75_000);
/// assert_eq!(price.usd_per_million().to_string(), "0.075");
/// assert_eq!(Price::per_million("0.0000001"), None);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Price(u64);

impl Price {
    /// Costs nothing. An unknown price is no `Price` at all.
    pub const FREE: Self = Self(0);

    /// This many pico-USD a unit.
    pub const fn from_pico_usd(pico_usd: u64) -> Self {
        Self(pico_usd)
    }

    /// A decimal such as `2.00`, in USD per million units. `None` where it is no decimal, negative, above 18 million USD
    /// a unit, or finer than one pico-USD a unit (six decimals).
    pub fn per_million(usd: &str) -> Option<Self> {
        Decimal::parse(usd)?.exact(PER_MILLION).map(Self)
    }

    /// A decimal in USD per unit, under the same conditions: `0.005`, `1.5e-07`.
    pub fn per_unit(usd: &str) -> Option<Self> {
        Decimal::parse(usd)?.exact(PER_UNIT).map(Self)
    }

    /// A decimal in USD per unit, to the nearest pico-USD. For tables that were computed in binary floating point and
    /// say `8.000000000000001e-07`.
    pub(super) fn per_unit_rounded(usd: &str) -> Option<Self> {
        Some(Self(Decimal::parse(usd)?.scaled(PER_UNIT)?.0))
    }

    /// In pico-USD.
    pub const fn pico_usd(self) -> u64 {
        self.0
    }

    /// What `units` of it cost, in pico-USD: exact, and never too large for its type.
    pub fn times(self, units: u64) -> u128 {
        u128::from(self.0) * u128::from(units)
    }

    /// Shows USD per million units as an exact decimal.
    pub fn usd_per_million(self) -> impl fmt::Display {
        Shown {
            pico: self.0.into(),
            decimals: PER_MILLION,
        }
    }

    /// Shows USD per unit as an exact decimal.
    pub fn usd_per_unit(self) -> impl fmt::Display {
        Shown {
            pico: self.0.into(),
            decimals: PER_UNIT,
        }
    }
}

/// Decimal places between USD per million units and pico-USD a unit.
const PER_MILLION: u32 = 6;
/// Decimal places between USD and pico-USD.
pub(super) const PER_UNIT: u32 = 12;

/// A decimal number as it is written: `digits` × 10^`exponent`.
pub(super) struct Decimal {
    digits: u128,
    exponent: i32,
    /// Whether non-zero digits were left out at the end.
    cut: bool,
}

impl Decimal {
    /// Reads `12`, `1.50`, `.5`, `1.5e-07`. `None` for a sign, other text, or an exponent of more than four digits.
    pub(super) fn parse(text: &str) -> Option<Self> {
        /// Of the digits, those that fit; what a price needs is fewer.
        const KEPT: u128 = 10u128.pow(36);
        let (number, exponent) = match text.split_once(['e', 'E']) {
            Some((number, exponent)) => (number, parse_exponent(exponent)?),
            None => (text, 0),
        };
        let mut decimal = Self {
            digits: 0,
            exponent,
            cut: false,
        };
        let (mut any, mut point) = (false, false);
        for byte in number.bytes() {
            match byte {
                b'.' if !point => point = true,
                b'0'..=b'9' => {
                    any = true;
                    if decimal.digits < KEPT {
                        decimal.digits = decimal.digits * 10 + u128::from(byte - b'0');
                        decimal.exponent = decimal.exponent.checked_sub(i32::from(point))?;
                    } else {
                        decimal.cut |= byte != b'0';
                        decimal.exponent = decimal.exponent.checked_add(i32::from(!point))?;
                    }
                }
                _ => return None,
            }
        }
        any.then_some(decimal)
    }

    /// Times 10^`decimals`, where that is a whole number.
    pub(super) fn exact(&self, decimals: u32) -> Option<u64> {
        self.scaled(decimals)
            .and_then(|(scaled, exact)| exact.then_some(scaled))
    }

    /// Times 10^`decimals`, halves rounded up, and whether that is exact.
    pub(super) fn scaled(&self, decimals: u32) -> Option<(u64, bool)> {
        if self.digits == 0 {
            return Some((0, true));
        }
        let shift = self.exponent.checked_add_unsigned(decimals)?;
        let factor = 10u128.checked_pow(shift.unsigned_abs());
        if shift >= 0 {
            let scaled = self.digits.checked_mul(factor?)?;
            return Some((scaled.try_into().ok()?, !self.cut));
        }
        let Some(factor) = factor else {
            return Some((0, false));
        };
        let rest = self.digits % factor;
        let scaled = self.digits / factor + u128::from(rest >= factor - rest);
        Some((scaled.try_into().ok()?, rest == 0 && !self.cut))
    }
}

fn parse_exponent(text: &str) -> Option<i32> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let short = (1..=4).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    if short { text.parse().ok() } else { None }
}

/// An integer as a decimal with so many places.
pub(super) struct Shown {
    pub(super) pico: u128,
    pub(super) decimals: u32,
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = 10u128.pow(self.decimals);
        write!(f, "{}", self.pico / unit)?;
        let mut fraction = self.pico % unit;
        if fraction == 0 {
            return Ok(());
        }
        let mut width = self.decimals as usize;
        while fraction.is_multiple_of(10) {
            fraction /= 10;
            width -= 1;
        }
        write!(f, ".{fraction:0width$}")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn decimals_become_pico_usd_exactly() {
        for (text, pico) in [
            ("0", 0),
            ("2", 2_000_000),
            ("2.00", 2_000_000),
            (".5", 500_000),
            ("0.0375", 37_500),
            ("0.000001", 1),
            ("1e-6", 1),
            ("1.25E+2", 125_000_000),
            ("0.00000000000000000000000000000000000000000000000000", 0),
            (
                "1.00000000000000000000000000000000000000000000000000",
                1_000_000,
            ),
        ] {
            assert_eq!(Price::per_million(text), Some(Price(pico)), "{text}");
        }
        assert_eq!(Price::per_unit("1.5e-07"), Some(Price(150_000)));
        assert_eq!(Price::per_unit("0.005"), Some(Price(5_000_000_000)));
    }

    #[test]
    fn what_is_no_price_is_refused() {
        for text in [
            "",
            ".",
            "-1",
            "+1",
            "1,5",
            "1.2.3",
            "1e",
            "1e-",
            "1e99999",
            "1e99",
            "NaN",
            " 1",
            "0x1",
            "99999999999999999999",
        ] {
            assert_eq!(Price::per_million(text), None, "{text}");
        }
        for finer in [
            "0.0000001",
            "1e-7",
            "1.0000000000000000000000000000000000000000000000001",
        ] {
            assert_eq!(Price::per_million(finer), None, "{finer}");
        }
    }

    #[test]
    fn the_noise_of_binary_floating_point_is_rounded_away() {
        for (text, pico) in [
            ("8.000000000000001e-07", 800_000),
            ("4.6999999999999995e-07", 470_000),
            ("2.5e-12", 3),
            ("2.4e-12", 2),
            ("4.9e-13", 0),
            ("1e-9999", 0),
        ] {
            assert_eq!(Price::per_unit_rounded(text), Some(Price(pico)), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back(pico: u64) {
            let price = Price(pico);
            prop_assert_eq!(Price::per_million(&price.usd_per_million().to_string()), Some(price));
            prop_assert_eq!(Price::per_unit(&price.usd_per_unit().to_string()), Some(price));
        }

        #[test]
        fn any_text_is_a_price_or_none(text in "[0-9.eE+-]{0,60}") {
            if let Some(price) = Price::per_unit(&text) {
                prop_assert_eq!(Price::per_unit_rounded(&text), Some(price));
            }
        }
    }
}
