//! Thoughts that stand in the text, between `<think>` and `</think>`.

const OPEN: &str = "<think>";
const CLOSE: &str = "</think>";

/// Tells thoughts from text, wherever the text and its tags are cut.
///
/// Both tags count wherever they stand, and nothing but whole tags is lost. A thought that is never closed stays one.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct ThinkSplitter {
    thinking: bool,
    /// Bytes at the end of what was pushed that may begin the tag that is next.
    held: usize,
}

/// What was told apart.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Parts {
    pub(super) text: String,
    pub(super) reasoning: String,
}

impl ThinkSplitter {
    /// Takes more text. No more of it is held back than may be the beginning of a tag: 7 bytes at most.
    pub(super) fn push(&mut self, text: &str, parts: &mut Parts) {
        let joined;
        let mut rest = text;
        if self.held > 0 {
            joined = self.held().to_owned() + text;
            rest = &joined;
            self.held = 0;
        }
        while let Some((before, after)) = rest.split_once(self.tag()) {
            self.give(before, parts);
            self.thinking = !self.thinking;
            rest = after;
        }
        self.held = begun(rest, self.tag());
        let (given, _) = rest
            .split_at_checked(rest.len() - self.held)
            .unwrap_or((rest, ""));
        self.give(given, parts);
    }

    /// Gives what was held back: it was no tag.
    pub(super) fn finish(&mut self, parts: &mut Parts) {
        let held = self.held();
        self.held = 0;
        self.give(held, parts);
    }

    pub(super) fn is_holding(&self) -> bool {
        self.held > 0
    }

    fn tag(&self) -> &'static str {
        if self.thinking { CLOSE } else { OPEN }
    }

    fn held(&self) -> &'static str {
        self.tag().get(..self.held).unwrap_or_default()
    }

    fn give(&self, text: &str, parts: &mut Parts) {
        if self.thinking {
            parts.reasoning.push_str(text);
        } else {
            parts.text.push_str(text);
        }
    }
}

/// The length of the longest end of `text` that `tag` begins with.
fn begun(text: &str, tag: &str) -> usize {
    (1..tag.len())
        .rev()
        .find(|len| tag.get(..*len).is_some_and(|begin| text.ends_with(begin)))
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn split<'a>(pieces: impl IntoIterator<Item = &'a str>) -> Parts {
        let (mut splitter, mut parts) = (ThinkSplitter::default(), Parts::default());
        for piece in pieces {
            splitter.push(piece, &mut parts);
        }
        splitter.finish(&mut parts);
        parts
    }

    #[test]
    fn thoughts_are_told_from_text() {
        for (given, text, reasoning) in [
            ("<think>a</think>b", "b", "a"),
            ("a<think>b</think>c<think>d</think>e", "ace", "bd"),
            ("<think>a", "", "a"),
            ("<think>a</thin", "", "a</thin"),
            ("a <thi", "a <thi", ""),
            ("a</think>b", "a</think>b", ""),
            ("<think><think>a</think>b", "b", "<think>a"),
            ("<<think>>é</think><", "<<", ">é"),
            ("", "", ""),
        ] {
            let expected = Parts {
                text: text.into(),
                reasoning: reasoning.into(),
            };
            assert_eq!(split([given]), expected, "{given}");
        }
    }

    #[test]
    fn no_more_is_held_back_than_may_be_a_tag() {
        let (mut splitter, mut parts) = (ThinkSplitter::default(), Parts::default());
        for (piece, text, reasoning) in [
            ("a<", "a", ""),
            ("b<th", "a<b", ""),
            ("ink>c</thin", "a<b", "c"),
            ("g</think", "a<b", "c</thing"),
            (">d", "a<bd", "c</thing"),
        ] {
            splitter.push(piece, &mut parts);
            assert_eq!((&*parts.text, &*parts.reasoning), (text, reasoning));
        }
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same(
            words in prop::collection::vec(
                prop::sample::select(vec!["<think>", "</think>", "<", "</", "think>", "<thi", "a", "é", " "]),
                0..12,
            ),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        ) {
            let text = words.concat();
            let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
            cuts.retain(|cut| text.is_char_boundary(*cut));
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let pieces = cuts.windows(2).map(|cut| text.get(cut[0]..cut[1]).unwrap());
            let whole = split([&*text]);
            prop_assert_eq!(&split(pieces), &whole);
            // Nothing is lost but whole tags.
            let lost = text.len() - whole.text.len() - whole.reasoning.len();
            prop_assert!((0..=words.len()).any(|pairs| [0, OPEN.len()].contains(&(lost.wrapping_sub(pairs * 15)))));
        }
    }
}
