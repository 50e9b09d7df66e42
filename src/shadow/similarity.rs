//! How alike two answers are.

use std::{collections::HashMap, fmt};

/// Says how alike the texts of two answers are, from 0 (nothing in common) to 1 (the same). It runs beside the requests, on a thread that may block.
pub trait Similarity: fmt::Debug + Send + Sync {
    /// How alike they are.
    fn score(&self, primary: &str, shadow: &str) -> f64;
}

/// The share of words that the texts have in common, whatever their order and case: the Sørensen–Dice coefficient of their words, each
/// counted as often as it stands there. Cheap, and blind to meaning.
#[derive(Debug, Clone, Copy, Default)]
pub struct WordOverlap;

impl Similarity for WordOverlap {
    fn score(&self, primary: &str, shadow: &str) -> f64 {
        let mut counts: HashMap<String, u32> = HashMap::new();
        let mut words = 0_u32;
        for word in split(primary) {
            *counts.entry(word).or_default() += 1;
            words += 1;
        }
        let mut common = 0_u32;
        for word in split(shadow) {
            words += 1;
            if let Some(count) = counts.get_mut(&word).filter(|count| **count > 0) {
                *count -= 1;
                common += 1;
            }
        }
        if words == 0 {
            return 1.0;
        }
        f64::from(2 * common) / f64::from(words)
    }
}

fn split(text: &str) -> impl Iterator<Item = String> {
    text.split(|char: char| !char.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_words_are_alike_and_others_are_not() {
        for (one, other, expected) in [
            ("", "", 1.0),
            ("Paris.", "paris", 1.0),
            ("It is Paris", "Paris it is!", 1.0),
            ("yes", "no", 0.0),
            ("a a a b", "a c d e", 0.25),
        ] {
            let score = WordOverlap.score(one, other);
            assert!((score - expected).abs() < 1e-9, "{one} {other}: {score}");
        }
    }
}
