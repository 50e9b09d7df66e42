//! `traceparent`: which trace a request belongs to (W3C Trace Context, Level 1).

use std::fmt;

use super::digits;

/// A trace, and the span in it that is the parent of what follows.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceContext {
    /// The trace. Never all zeros.
    pub trace_id: [u8; 16],
    /// The span that sent the request. Never all zeros.
    pub span_id: [u8; 8],
    /// Whether the sender may have recorded the trace.
    pub sampled: bool,
}

/// The length of version 00.
const LEN: usize = 55;

impl TraceContext {
    /// Reads the value of a `traceparent`, and nothing that is not one: lower-case digits, no version `ff`, no ids of zeros. Of a version
    /// above 00 the parts that 00 has are read.
    ///
    /// ```
    /// use tower_relay::wire::trace_context::TraceContext;
    ///
    /// let text = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    /// let context = TraceContext::parse(text).unwrap();
    /// assert!(context.sampled);
    /// assert_eq!(context.to_string().as_bytes(), text);
    /// assert_eq!(TraceContext::parse(b"00-0-0-0"), None);
    /// ```
    pub fn parse(text: &[u8]) -> Option<Self> {
        let (known, rest) = text.split_at_checked(LEN)?;
        let mut parts = known.split(|byte| *byte == b'-');
        let [version] = hex(parts.next()?)?;
        let trace_id = hex(parts.next()?)?;
        let span_id = hex(parts.next()?)?;
        let [flags] = hex(parts.next()?)?;
        let is_whole = match version {
            0 => rest.is_empty(),
            0xff => false,
            _ => rest.first().is_none_or(|byte| *byte == b'-'),
        };
        let is_one = is_whole && parts.next().is_none() && trace_id != [0; 16] && span_id != [0; 8];
        is_one.then_some(Self {
            trace_id,
            span_id,
            sampled: flags & 1 == 1,
        })
    }

    /// The same trace, with `span_id` as the parent of what follows.
    pub fn child(self, span_id: [u8; 8]) -> Self {
        Self { span_id, ..self }
    }

    /// The value of a `traceparent`, version 00.
    pub fn to_bytes(self) -> [u8; LEN] {
        let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
        let mut put = |at: usize, bytes: &[u8]| {
            let rest = text.get_mut(at..).unwrap_or_default();
            let (pairs, _) = rest.as_chunks_mut();
            for (pair, byte) in pairs.iter_mut().zip(bytes) {
                *pair = digits::hex(*byte);
            }
        };
        put(3, &self.trace_id);
        put(36, &self.span_id);
        put(53, &[u8::from(self.sampled)]);
        text
    }

    /// The trace's id as hexadecimal digits.
    pub fn trace_id(&self) -> impl fmt::Display + use<> {
        Part(self.to_bytes(), 3, 35)
    }

    /// The span's id as hexadecimal digits.
    pub fn span_id(&self) -> impl fmt::Display + use<> {
        Part(self.to_bytes(), 36, 52)
    }
}

/// A part of a header's text.
struct Part([u8; LEN], usize, usize);

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = self.0.get(self.1..self.2).unwrap_or_default();
        f.write_str(str::from_utf8(part).unwrap_or_default())
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Part(self.to_bytes(), 0, LEN).fmt(f)
    }
}

impl fmt::Debug for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TraceContext({self})")
    }
}

/// Exactly `N` bytes as lower-case hexadecimal digits.
fn hex<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    let (pairs, rest) = digits.as_chunks::<2>();
    if pairs.len() != N || !rest.is_empty() {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = nibble(*high)? << 4 | nibble(*low)?;
    }
    Some(bytes)
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7";

    #[test]
    fn what_is_malformed_is_none() {
        let upper = ID.to_ascii_uppercase();
        let zeros = "0".repeat(32);
        for text in [
            String::new(),
            format!("00-{ID}"),
            format!("00-{ID}-"),
            format!("00-{ID}-1"),
            format!("00-{ID}-0g"),
            format!("00-{ID}-01-"),
            format!("00-{ID}-01-more"),
            format!("00-{ID}-011"),
            format!("ff-{ID}-01"),
            format!("0-{ID}-001"),
            format!("00-{upper}-01"),
            format!("00-{zeros}-00f067aa0ba902b7-01"),
            format!("00-4bf92f3577b34da6a3ce929d0e0e4736-{}-01", "0".repeat(16)),
            format!("00_{ID}-01"),
            format!(" 00-{ID}-01"),
            format!("01-{ID}-01more"),
        ] {
            assert_eq!(TraceContext::parse(text.as_bytes()), None, "{text:?}");
        }
    }

    #[test]
    fn a_later_version_is_read_as_far_as_it_is_known() {
        for text in [format!("01-{ID}-03"), format!("cc-{ID}-01-more-of-it")] {
            let context = TraceContext::parse(text.as_bytes()).unwrap();
            assert_eq!(context.to_string(), format!("00-{ID}-01"), "{text}");
        }
    }

    #[test]
    fn a_child_stays_in_the_trace() {
        let context = TraceContext::parse(format!("00-{ID}-00").as_bytes()).unwrap();
        let child = context.child([0xab; 8]);
        assert_eq!(
            child.trace_id().to_string(),
            "4bf92f3577b34da6a3ce929d0e0e4736"
        );
        assert_eq!(child.span_id().to_string(), "abababababababab");
        assert!(!child.sampled);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(trace_id: [u8; 16], span_id: [u8; 8], sampled: bool) {
            prop_assume!(trace_id != [0; 16] && span_id != [0; 8]);
            let context = TraceContext { trace_id, span_id, sampled };
            prop_assert_eq!(TraceContext::parse(&context.to_bytes()), Some(context));
        }

        #[test]
        fn whatever_is_read_is_written_as_a_prefix_of_it(text in "[0-9a-f]{2}-[0-9a-f]{31,33}-[0-9a-f]{15,17}-[0-9a-f]{1,3}") {
            if let Some(context) = TraceContext::parse(text.as_bytes()) {
                prop_assert_eq!(&context.to_bytes()[3..52], &text.as_bytes()[3..52]);
            }
        }
    }
}
