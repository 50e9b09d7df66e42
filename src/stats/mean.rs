//! A mean, and how sure it is.

use serde::Serialize;

/// How far a 95 % confidence interval reaches, in standard errors.
const Z: f64 = 1.96;

/// The mean of numbers that come one after the other, with the spread that says how sure it is: a figure for people.
///
/// ```
/// use tower_relay::stats::Mean;
///
/// let scores: Mean = [0.2, 0.4, 0.6].into_iter().collect();
/// assert!((scores.mean().unwrap() - 0.4).abs() < 1e-9);
/// let [low, high] = scores.interval().unwrap();
/// assert!(low > 0.17 && high < 0.63);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Mean {
    count: u64,
    sum: f64,
    squares: f64,
}

impl Mean {
    /// Takes another one into account.
    pub fn add(&mut self, value: f64) {
        self.count += 1;
        self.sum += value;
        self.squares += value * value;
    }

    /// Takes one out again that was added before.
    pub fn remove(&mut self, value: f64) {
        self.count = self.count.saturating_sub(1);
        self.sum -= value;
        self.squares -= value * value;
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Their mean; `None` without any.
    pub fn mean(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum / exact(self.count))
    }

    /// The ends of the mean's 95 % confidence interval, by the normal distribution; `None` with fewer than two.
    pub fn interval(&self) -> Option<[f64; 2]> {
        let mean = self.mean().filter(|_| self.count > 1)?;
        let count = exact(self.count);
        // What rounding leaves below zero is none.
        let variance = ((self.squares - self.sum * mean) / (count - 1.0)).max(0.0);
        let reach = Z * (variance / count).sqrt();
        Some([mean - reach, mean + reach])
    }
}

impl FromIterator<f64> for Mean {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        let mut mean = Self::default();
        values.into_iter().for_each(|value| mean.add(value));
        mean
    }
}

#[expect(clippy::cast_precision_loss, reason = "exact below 2^53")]
fn exact(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_out_again_has_never_been_there() {
        let mut mean: Mean = [0.25, 0.5].into_iter().collect();
        mean.add(1.0);
        mean.remove(1.0);
        assert_eq!(mean, [0.25, 0.5].into_iter().collect());
        assert_eq!(Mean::default().mean(), None);
        assert_eq!([0.5].into_iter().collect::<Mean>().interval(), None);
        assert_eq!(
            [0.5; 9].into_iter().collect::<Mean>().interval(),
            Some([0.5, 0.5])
        );
    }
}
