//! What a caller is told of the changes to a request.

use http::{HeaderMap, HeaderName, HeaderValue};

/// Names, in an answer, the request's parameters that were dropped: `temperature, top_p`. At most 512 bytes.
pub const X_RELAY_DROPPED_PARAMS: HeaderName = HeaderName::from_static("x-relay-dropped-params");

/// Names, in an answer, the request's parameters that were lowered, and to what: `max_tokens=16384`.
pub const X_RELAY_CLAMPED_PARAMS: HeaderName = HeaderName::from_static("x-relay-clamped-params");

/// The most bytes of a header's value, beside the `...` that stands for what is left out.
const MAX_VALUE: usize = 508;

/// The most characters of one name.
const MAX_NAME: usize = 64;

/// What was dropped and lowered, as the values of headers.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Report {
    dropped: String,
    clamped: String,
}

impl Report {
    pub(super) fn is_empty(&self) -> bool {
        self.dropped.is_empty() && self.clamped.is_empty()
    }

    pub(super) fn dropped(&mut self, name: &str) {
        // The caller's own words go back in a header: of those only what a name is made of.
        let shown: String = name
            .chars()
            .take(MAX_NAME)
            .map(|char| match char {
                'a'..='z' | 'A'..='Z' | '0'..='9' | '_' | '-' => char,
                _ => '?',
            })
            .collect();
        push(&mut self.dropped, &shown);
    }

    pub(super) fn clamped(&mut self, name: &str, to: u64) {
        push(&mut self.clamped, &format!("{name}={to}"));
    }

    /// Adds to what layers further in report in `headers`.
    pub(super) fn write(&self, headers: &mut HeaderMap) {
        for (name, value) in [
            (X_RELAY_DROPPED_PARAMS, &self.dropped),
            (X_RELAY_CLAMPED_PARAMS, &self.clamped),
        ] {
            if !value.is_empty()
                && let Ok(value) = HeaderValue::from_str(value)
            {
                headers.append(name, value);
            }
        }
    }
}

/// Adds `item` to a list with commas, or says that there are more.
fn push(list: &mut String, item: &str) {
    const MORE: &str = "...";
    if list.ends_with(MORE) {
        return;
    }
    let separator = if list.is_empty() { "" } else { ", " };
    let fits = list.len() + separator.len() + item.len() <= MAX_VALUE;
    list.push_str(if fits { separator } else { "" });
    list.push_str(if fits { item } else { MORE });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_callers_send_the_header_is_short_and_plain() {
        let mut report = Report::default();
        report.dropped("a\r\nset-cookie: b,é");
        assert_eq!(report.dropped, "a??set-cookie??b??");
        for number in 0..500 {
            report.dropped(&format!("{}{number}", "x".repeat(70)));
        }
        let mut headers = HeaderMap::new();
        report.write(&mut headers);
        let value = headers[X_RELAY_DROPPED_PARAMS].to_str().unwrap();
        assert!(value.len() <= 512 && value.ends_with("..."), "{value}");
        assert!(!headers.contains_key(X_RELAY_CLAMPED_PARAMS));
    }

    #[test]
    fn two_layers_report_beside_each_other() {
        let mut headers = HeaderMap::new();
        for name in ["a", "b"] {
            let mut report = Report::default();
            report.dropped(name);
            report.clamped("max_tokens", 5);
            report.write(&mut headers);
        }
        let values: Vec<_> = headers.get_all(X_RELAY_DROPPED_PARAMS).iter().collect();
        assert_eq!(values, ["a", "b"]);
        assert_eq!(headers[X_RELAY_CLAMPED_PARAMS], "max_tokens=5");
    }
}
