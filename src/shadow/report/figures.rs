//! Figures of many answers.

/// How far a 95 % confidence interval reaches, in standard errors.
const Z: f64 = 1.96;

/// The nearest ranks.
pub(super) fn percentiles(mut values: Vec<u64>) -> Option<[u64; 3]> {
    values.sort_unstable();
    let rank = |percent: usize| {
        let rank = (values.len() * percent).div_ceil(100);
        values.get(rank.checked_sub(1)?).copied()
    };
    Some([rank(50)?, rank(95)?, rank(99)?])
}

/// A share and its 95 % confidence interval (Wilson, 1927).
pub(super) fn wilson(hits: usize, of: usize) -> [f64; 3] {
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

#[expect(
    clippy::cast_precision_loss,
    reason = "figures for people; exact below 2^53"
)]
pub(super) fn approx(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;

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
