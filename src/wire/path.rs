//! Paths of URIs, as they are spelled.

/// Whether a segment names a version of an API: `v1`, `v1beta`.
pub(crate) fn is_version(segment: &str) -> bool {
    segment
        .strip_prefix('v')
        .is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()))
}

/// The bytes that `text` stands for. What looks like an escape and is none stays as it is.
pub(crate) fn percent_decode(text: &str) -> Vec<u8> {
    let hex = |byte: Option<u8>| char::from(byte?).to_digit(16);
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(mut byte) = bytes.next() {
        if byte == b'%' {
            let mut ahead = bytes.clone();
            if let (Some(high), Some(low)) = (hex(ahead.next()), hex(ahead.next())) {
                byte = u8::try_from(high << 4 | low).unwrap_or(byte);
                bytes = ahead;
            }
        }
        decoded.push(byte);
    }
    decoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_decoded_and_what_is_none_stays() {
        for (text, decoded) in [
            ("org%2Fmodel", "org/model"),
            ("%63hat", "chat"),
            ("100%", "100%"),
            ("%+f%zz%4", "%+f%zz%4"),
        ] {
            assert_eq!(percent_decode(text), decoded.as_bytes(), "{text}");
        }
    }
}
