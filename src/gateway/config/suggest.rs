//! What was likely meant by a name that is none.

use std::fmt::Write;

/// Of `known`, the name that `name` was likely meant to be: that which takes the fewest changes of a character, if these are few for its
/// length. A missing `s`, two characters in the wrong order and a `-` for a `_` are one change or none.
pub(in crate::gateway) fn nearest<'a>(
    name: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let name: Vec<_> = plain(name).collect();
    // What is longer is no slip of the hand.
    if name.len() > 60 {
        return None;
    }
    let most = (name.len() / 3).min(3);
    let changes = |other: &&str| changes(&name, &plain(other).collect::<Vec<_>>());
    let nearest = known.into_iter().min_by_key(changes)?;
    (changes(&nearest) <= most).then_some(nearest)
}

/// Says that there is no `kind` of this name, which there are, and which was likely meant.
pub(in crate::gateway) fn no_such(kind: &str, name: &str, known: &[&str]) -> String {
    let mut text = format!("there is no {kind} {name:?}");
    // Writing to a string cannot fail.
    let _ = match nearest(name, known.iter().copied()) {
        Some(nearest) => write!(text, ": did you mean {nearest:?}?"),
        None if known.is_empty() => Ok(()),
        None => write!(text, ", but {}", known.join(", ")),
    };
    text
}

fn plain(name: &str) -> impl Iterator<Item = char> {
    let names = name.chars().flat_map(char::to_lowercase);
    names.map(|c| if c == '-' { '_' } else { c })
}

/// How many characters must be put in, taken out, replaced, or swapped with the next (optimal string alignment; Wagner and Fischer 1974).
fn changes(from: &[char], to: &[char]) -> usize {
    let first: Vec<usize> = (0..=to.len()).collect();
    let mut rows: [Vec<usize>; 2] = [Vec::new(), first];
    let mut before = None;
    for (row, a) in from.iter().enumerate() {
        let [two_up, up] = &rows;
        let mut here = vec![row + 1];
        for (column, b) in to.iter().enumerate() {
            let at =
                |row: &Vec<usize>, column: usize| row.get(column).copied().unwrap_or(usize::MAX);
            let replaced = at(up, column).saturating_add(usize::from(a != b));
            let put_in = at(&here, column).saturating_add(1);
            let taken_out = at(up, column + 1).saturating_add(1);
            let mut least = replaced.min(put_in).min(taken_out);
            let is_swapped = column
                .checked_sub(1)
                .is_some_and(|left| to.get(left) == Some(a) && before == Some(b));
            if is_swapped {
                least = least.min(at(two_up, column - 1).saturating_add(1));
            }
            here.push(least);
        }
        before = Some(a);
        let [_, up] = rows;
        rows = [up, here];
    }
    let [_, last] = rows;
    last.last().copied().unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_hand_is_understood_and_another_word_is_not() {
        let known = ["credential", "max_connections", "models", "per", "listen"];
        for (name, meant) in [
            ("credentail", Some("credential")),
            ("credentials", Some("credential")),
            ("max-connections", Some("max_connections")),
            ("MaxConnections", Some("max_connections")),
            ("model", Some("models")),
            ("pre", Some("per")),
            ("lsiten", Some("listen")),
            ("port", None),
            ("timeout", None),
            ("on", None),
            ("", None),
        ] {
            assert_eq!(nearest(name, known), meant, "{name}");
        }
        assert_eq!(nearest("a", []), None);
        assert_eq!(
            no_such("upstream", "opnai", &["openai", "azure"]),
            "there is no upstream \"opnai\": did you mean \"openai\"?"
        );
        assert_eq!(
            no_such("upstream", "x", &["openai", "azure"]),
            "there is no upstream \"x\", but openai, azure"
        );
    }
}
