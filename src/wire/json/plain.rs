//! Where a run of plain text ends, found some bytes at a time.

/// How many bytes come before the next quote, backslash or control character of a string.
///
/// Names and other short strings end within a few words; long text goes by in blocks until the one in which it ends.
pub(super) fn plain(text: &[u8]) -> usize {
    let mut at = 0;
    for word in text.as_chunks().0.iter().take(WORDS) {
        if let Some(found) = special_in(*word) {
            return at + found;
        }
        at += word.len();
    }
    while let Some(block) = text.get(at..).and_then(<[u8]>::first_chunk)
        && is_plain(block)
    {
        at += block.len();
    }
    plain_to_end(text, at)
}

/// Words that are looked at one by one before blocks are: as many as a block has.
const WORDS: usize = 4;

/// The same from `at` on, word by word and then byte by byte.
fn plain_to_end(text: &[u8], mut at: usize) -> usize {
    while let Some(word) = text.get(at..).and_then(<[u8]>::first_chunk) {
        if let Some(found) = special_in(*word) {
            return at + found;
        }
        at += word.len();
    }
    let rest = text.get(at..).unwrap_or_default();
    at + rest
        .iter()
        .position(|byte| is_special(*byte))
        .unwrap_or(rest.len())
}

fn is_special(byte: u8) -> bool {
    matches!(byte, b'"' | b'\\' | 0..0x20)
}

/// Whether no byte of a block is special. Written as the least of numbers that are zero for special bytes only, which compilers do
/// for sixteen bytes or more at once.
fn is_plain(block: &[u8; 32]) -> bool {
    let zero_if_special = |byte: u8| (byte ^ b'"').min(byte ^ b'\\').min(byte & 0xE0);
    let bytes = block.iter().map(|byte| zero_if_special(*byte));
    bytes.fold(u8::MAX, u8::min) != 0
}

/// The place of the first special byte, found in all eight at once.
fn special_in(word: [u8; 8]) -> Option<usize> {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGHS: u64 = u64::from_ne_bytes([0x80; 8]);
    // The lowest byte that borrows is the first that is less; those above it may borrow from it.
    let less = |word: u64, than: u64| word.wrapping_sub(ONES * than) & !word;
    let word = u64::from_le_bytes(word);
    let quote = word ^ (ONES * u64::from(b'"'));
    let backslash = word ^ (ONES * u64::from(b'\\'));
    let found = (less(word, 0x20) | less(quote, 1) | less(backslash, 1)) & HIGHS;
    (found != 0).then(|| found.trailing_zeros() as usize / 8)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn what_ends_a_run_of_plain_text_is_found_wherever_it_is(text in prop::collection::vec(any::<u8>(), 0..40)) {
            let naive = text.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20));
            prop_assert_eq!(plain(&text), naive.unwrap_or(text.len()));
        }
    }
}
