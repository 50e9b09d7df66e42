//! What an upstream was sent and its errors must not say.

use bytes::Bytes;
use http::HeaderMap;
use memchr::memmem;

/// What stands in its place.
const BLOT: &[u8] = b"[redacted]";

/// What is shorter is a word like others.
const MIN: usize = 8;

/// A key, as it may stand in an error.
pub(super) struct Secret {
    /// As it is, and as JSON may write it, where that is something else.
    forms: Vec<Vec<u8>>,
}

impl Secret {
    pub(super) fn new(secret: &[u8]) -> Self {
        let secret = secret.trim_ascii();
        if secret.len() < MIN {
            return Self { forms: Vec::new() };
        }
        let escaped = |escapes: &[u8]| {
            let escape = |byte: &u8| {
                let is_escaped = escapes.contains(byte);
                is_escaped.then_some(b'\\').into_iter().chain([*byte])
            };
            secret.iter().flat_map(escape).collect::<Vec<u8>>()
        };
        let mut forms = vec![secret.to_vec(), escaped(b"\"\\"), escaped(b"\"\\/")];
        forms.dedup();
        Self { forms }
    }

    /// `text` without it; `None` where it is not there.
    pub(super) fn blot(&self, text: &Bytes) -> Option<Bytes> {
        let mut without = None;
        for form in &self.forms {
            let text = without.as_ref().unwrap_or(text);
            without = replaced(text, form).or(without);
        }
        without
    }

    /// Removes headers that have it.
    pub(super) fn drop_headers(&self, headers: &mut HeaderMap) {
        let has = |value: &[u8]| {
            let mut forms = self.forms.iter();
            forms.any(|form| memmem::find(value, form).is_some())
        };
        let names: Vec<_> = headers
            .iter()
            .filter(|(_, value)| has(value.as_bytes()))
            .map(|(name, _)| name.clone())
            .collect();
        for name in names {
            headers.remove(name);
        }
    }
}

fn replaced(text: &[u8], form: &[u8]) -> Option<Bytes> {
    let mut places = memmem::find_iter(text, form).peekable();
    places.peek()?;
    let (mut without, mut from) = (Vec::with_capacity(text.len()), 0);
    for at in places {
        without.extend_from_slice(text.get(from..at).unwrap_or_default());
        without.extend_from_slice(BLOT);
        from = at + form.len();
    }
    without.extend_from_slice(text.get(from..).unwrap_or_default());
    Some(without.into())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn blotted(secret: &str, text: &str) -> Option<String> {
        let without = Secret::new(secret.as_bytes()).blot(&Bytes::from(text.to_owned()));
        without.map(|text| String::from_utf8(text.to_vec()).unwrap())
    }

    #[test]
    fn a_key_is_blotted_out_wherever_it_stands_and_however_json_writes_it() {
        let told = blotted("sk-12345", "sk-12345: no key sk-12345, nor sk-1234").unwrap();
        assert_eq!(told, "[redacted]: no key [redacted], nor sk-1234");
        let told = blotted(
            r#"a/b"c\d/e"#,
            r#"{"a": "a/b\"c\\d/e", "b": "a\/b\"c\\d\/e"}"#,
        )
        .unwrap();
        assert_eq!(told, r#"{"a": "[redacted]", "b": "[redacted]"}"#);
    }

    #[test]
    fn what_has_no_key_in_it_stays_and_a_short_word_is_none() {
        assert_eq!(blotted("sk-12345", "sk-1234"), None);
        assert_eq!(blotted("sk", "sk-1234"), None);
        assert_eq!(blotted("", ""), None);
    }

    #[test]
    fn headers_that_have_it_are_dropped() {
        let mut headers = HeaderMap::new();
        headers.append("x-a", HeaderValue::from_static("Bearer sk-12345"));
        headers.append("x-b", HeaderValue::from_static("sk-1234"));
        Secret::new(b"sk-12345").drop_headers(&mut headers);
        assert!(!headers.contains_key("x-a") && headers.contains_key("x-b"));
    }
}
