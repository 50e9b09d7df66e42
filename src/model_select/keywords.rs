//! Which groups of words a text has.

use std::sync::LazyLock;

use memchr::memmem::Finder;

/// What is read of each end of a text, in bytes; what lies between is not.
const MAX_END: usize = 16 << 10;
/// What is lower-cased at a time: it stays in the cache, and nothing is allocated.
const WINDOW: usize = 4 << 10;
/// All but one byte of the longest word, which may lie across two windows.
const OVERLAP: usize = "summarize".len() - 1;

const ANALYSIS: [&str; 3] = ["analyze", "compare", "evaluate"];
const CODE: [&str; 4] = ["code", "function", "api", "debug"];
const REWRITING: [&str; 3] = ["summarize", "translate", "rewrite"];

/// The groups of which a word was found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) analysis: bool,
    pub(super) code: bool,
    pub(super) rewriting: bool,
}

struct Finders {
    analysis: [Finder<'static>; 3],
    code: [Finder<'static>; 4],
    rewriting: [Finder<'static>; 3],
}

static FINDERS: LazyLock<Finders> = LazyLock::new(|| Finders {
    analysis: ANALYSIS.map(Finder::new),
    code: CODE.map(Finder::new),
    rewriting: REWRITING.map(Finder::new),
});

/// Looks for the words in both ends of `text`, in any case of ASCII letters.
pub(super) fn search(text: &[u8]) -> Found {
    let mut found = Found::default();
    if text.len() <= 2 * MAX_END {
        found.look(text);
        return found;
    }
    for end in [
        text.get(..MAX_END),
        text.get(text.len().saturating_sub(MAX_END)..),
    ] {
        found.look(end.unwrap_or_default());
    }
    found
}

impl Found {
    fn look(&mut self, mut text: &[u8]) {
        let mut window = [0; WINDOW];
        loop {
            let len = text.len().min(WINDOW);
            let (Some(from), Some(lower)) = (text.get(..len), window.get_mut(..len)) else {
                return;
            };
            lower.copy_from_slice(from);
            lower.make_ascii_lowercase();
            let has = |words: &[Finder<'_>]| words.iter().any(|word| word.find(lower).is_some());
            self.analysis = self.analysis || has(&FINDERS.analysis);
            self.code = self.code || has(&FINDERS.code);
            self.rewriting = self.rewriting || has(&FINDERS.rewriting);
            if text.len() <= WINDOW || self.analysis && self.code && self.rewriting {
                return;
            }
            text = text.get(WINDOW - OVERLAP..).unwrap_or_default();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn naive(text: &str) -> Found {
        let text = text.to_ascii_lowercase();
        let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
        Found {
            analysis: has(&ANALYSIS),
            code: has(&CODE),
            rewriting: has(&REWRITING),
        }
    }

    #[test]
    fn only_the_ends_of_a_long_text_are_read() {
        let fill = "x".repeat(20 << 10);
        let text = format!("{fill}debug{fill}");
        assert_eq!(search(text.as_bytes()), Found::default());
        for text in [format!("Debug{fill}{fill}"), format!("{fill}{fill}DEBUG")] {
            assert!(search(text.as_bytes()).code);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn a_word_is_found_wherever_it_stands(
            before in 0..3 * WINDOW,
            word in prop::sample::select([&ANALYSIS[..], &CODE, &REWRITING].concat()),
            upper in any::<bool>(),
        ) {
            let word = if upper { word.to_ascii_uppercase() } else { word.to_owned() };
            let text = format!("{}{word}x", "x".repeat(before));
            prop_assert_eq!(search(text.as_bytes()), naive(&text));
        }
    }
}
