//! Numbers in the heads of messages.

use http::HeaderValue;

/// As many digits as any number has.
const DIGITS: usize = u64::MAX.ilog10() as usize + 1;
/// As many letters as a unit may have.
const LETTERS: usize = 2;

/// The header's value that states `number`. `HeaderValue::from` does the same by way of a buffer that it formats into and cuts up: some
/// 500 instructions, and answers that state limits have half a dozen numbers.
pub(crate) fn header(number: u64) -> HeaderValue {
    with_unit(number, b"")
}

/// The same with `unit` behind it, the letters of it that are not more than two.
pub(crate) fn with_unit(number: u64, unit: &[u8]) -> HeaderValue {
    let unit = unit.get(..LETTERS).unwrap_or(unit);
    let mut text = [b'0'; DIGITS + LETTERS];
    let mut start = text.len() - unit.len();
    if let Some(end) = text.get_mut(start..) {
        end.copy_from_slice(unit);
    }
    let mut rest = number;
    for digit in text.iter_mut().take(start).rev() {
        *digit = b'0' + u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
        start -= 1;
        if rest == 0 {
            break;
        }
    }
    let text = text.get(start..).unwrap_or_default();
    // Digits always are one.
    HeaderValue::from_bytes(text).unwrap_or(HeaderValue::from_static("0"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_they_always_are() {
        for number in [0, 7, 10, 99, 1_000_000, u64::MAX - 1, u64::MAX] {
            assert_eq!(header(number), HeaderValue::from(number));
            assert_eq!(with_unit(number, b"ms"), format!("{number}ms"));
        }
    }
}
