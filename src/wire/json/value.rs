use std::{borrow::Cow, fmt};

use memchr::memchr;
use serde::Deserialize;

/// One JSON value as it stands in the text, with no whitespace around it.
#[derive(Clone, Copy)]
pub struct Value<'a> {
    raw: &'a [u8],
}

/// The six kinds of JSON value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `null`
    Null,
    /// `true` or `false`
    Bool,
    /// Any number
    Number,
    /// Any string
    String,
    /// An array
    Array,
    /// An object
    Object,
}

impl<'a> Value<'a> {
    /// `raw` is one valid JSON value, as an index found it.
    pub(super) fn new(raw: &'a [u8]) -> Self {
        Self { raw }
    }

    /// The bytes of the value, quotes and escapes included.
    pub fn raw(self) -> &'a [u8] {
        self.raw
    }

    /// What kind of value this is.
    pub fn kind(self) -> Kind {
        match self.raw.first() {
            Some(b'n') | None => Kind::Null,
            Some(b't' | b'f') => Kind::Bool,
            Some(b'"') => Kind::String,
            Some(b'[') => Kind::Array,
            Some(b'{') => Kind::Object,
            Some(_) => Kind::Number,
        }
    }

    /// Whether this is `null`, which most APIs take for an absent member.
    pub fn is_null(self) -> bool {
        self.kind() == Kind::Null
    }

    /// The text of a string, borrowed unless it has escapes. `None` for any other kind, and for a string with an
    /// escaped lone surrogate, which no Rust string can hold.
    pub fn as_str(self) -> Option<Cow<'a, str>> {
        unescape(self.raw)
    }

    /// Whether this is the string `text`, however it is escaped.
    #[cfg(feature = "normalize")]
    pub(crate) fn is_text(self, text: &str) -> bool {
        name_is(self.raw, text)
    }

    /// Whether this is a string that is not empty.
    #[cfg(feature = "normalize")]
    pub(crate) fn says_something(self) -> bool {
        unquote(self.raw).is_some_and(|inner| {
            !inner.is_empty() && (memchr(b'\\', inner).is_none() || self.as_str().is_some())
        })
    }

    /// `true` or `false`; `None` for any other kind.
    pub fn as_bool(self) -> Option<bool> {
        match self.raw {
            b"true" => Some(true),
            b"false" => Some(false),
            _ => None,
        }
    }

    /// A whole number from 0 to `u64::MAX` in any spelling: `10`, `10.0` and `1e1` are all 10, as they are to the
    /// servers that read the request after us. Exact: no float is involved. `None` for anything else.
    pub fn as_u64(self) -> Option<u64> {
        /// As many digits as cannot exceed what fits.
        const SURE: usize = 19;
        if self.raw.len() <= SURE && self.raw.iter().all(u8::is_ascii_digit) {
            let digits = self.raw.iter().map(|digit| u64::from(digit & 0xf));
            return (!self.raw.is_empty())
                .then(|| digits.fold(0, |number, digit| number * 10 + digit));
        }
        if self.kind() != Kind::Number {
            return None;
        }
        let number = std::str::from_utf8(self.raw).ok()?;
        number.parse().ok().or_else(|| whole_number(number))
    }

    /// Decodes the value.
    ///
    /// # Errors
    ///
    /// When the value does not have the shape of `T`; positions in the error count from the start of the value.
    pub fn deserialize<T: Deserialize<'a>>(self) -> Result<T, serde_json::Error> {
        serde_json::from_slice(self.raw)
    }
}

impl fmt::Debug for Value<'_> {
    /// Kind and length only: the value is the caller's words.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Value")
            .field("kind", &self.kind())
            .field("bytes", &self.raw.len())
            .finish()
    }
}

/// The text of a JSON string with its quotes; `None` when it is no string or has a lone surrogate.
pub(super) fn unescape(quoted: &[u8]) -> Option<Cow<'_, str>> {
    let inner = unquote(quoted)?;
    match memchr(b'\\', inner) {
        None => std::str::from_utf8(inner).ok().map(Cow::Borrowed),
        Some(_) => serde_json::from_slice(quoted).ok().map(Cow::Owned),
    }
}

/// Whether a JSON string with its quotes spells `name`.
pub(super) fn name_is(quoted: &[u8], name: &str) -> bool {
    let Some(inner) = unquote(quoted) else {
        return false;
    };
    // An escape is longer than what it stands for.
    if inner.len() <= name.len() {
        return inner == name.as_bytes() && memchr(b'\\', inner).is_none();
    }
    let plain = inner
        .iter()
        .zip(name.as_bytes())
        .take_while(|(found, wanted)| found == wanted && **found != b'\\')
        .count();
    // Up to six times as long: the bound keeps a look-up from decoding megabytes of somebody's escaped name over and over.
    inner.get(plain) == Some(&b'\\')
        && inner.len() <= name.len().saturating_mul(6)
        && unescape(quoted).is_some_and(|text| text == name)
}

fn unquote(quoted: &[u8]) -> Option<&[u8]> {
    match quoted {
        [b'"', inner @ .., b'"'] => Some(inner),
        _ => None,
    }
}

/// A JSON number with a fraction, an exponent or a sign, if its value is a whole number that fits.
fn whole_number(number: &str) -> Option<u64> {
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let (negative, whole) = whole
        .strip_prefix('-')
        .map_or((false, whole), |digits| (true, digits));
    let digits = [whole, fraction].concat();
    let significant = digits.trim_end_matches('0');
    if significant.is_empty() {
        return Some(0);
    }
    // The value is `significant` followed by this many zeros.
    let zeros = exponent
        .parse::<i64>()
        .ok()?
        .checked_add(i64::try_from(whole.len()).ok()?)?
        .checked_sub(i64::try_from(significant.len()).ok()?)?;
    let scale = 10_u64.checked_pow(u32::try_from(zeros).ok()?)?;
    if negative {
        None
    } else {
        significant.parse::<u64>().ok()?.checked_mul(scale)
    }
}
