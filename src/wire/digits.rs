//! Numbers and ids in the heads of messages.

use http::HeaderValue;

/// As many digits as any number has.
const MAX: usize = u64::MAX.ilog10() as usize + 1;

/// The header's value that states `number`. `HeaderValue::from` does the same by way of a buffer that it formats into and cuts up: some
/// 500 instructions, and answers that state limits have half a dozen numbers.
pub(crate) fn header(number: u64) -> HeaderValue {
    let mut digits = [b'0'; MAX];
    let mut rest = number;
    let mut start = MAX;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
        start -= 1;
        if rest == 0 {
            break;
        }
    }
    let digits = digits.get(start..).unwrap_or_default();
    // Digits always are one.
    HeaderValue::from_bytes(digits).unwrap_or(HeaderValue::from_static("0"))
}

/// A byte as two lower-case hexadecimal digits.
pub(crate) fn hex(byte: u8) -> [u8; 2] {
    [byte >> 4, byte & 0xf].map(|nibble| match nibble {
        0..10 => b'0' + nibble,
        _ => b'a' + nibble - 10,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_they_always_are() {
        for number in [0, 7, 10, 99, 1_000_000, u64::MAX - 1, u64::MAX] {
            assert_eq!(header(number), HeaderValue::from(number));
        }
    }

    #[test]
    fn bytes_are_written_as_they_always_are() {
        for byte in 0..=u8::MAX {
            assert_eq!(hex(byte), format!("{byte:02x}").as_bytes());
        }
    }
}
