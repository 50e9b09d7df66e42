//! What a caller's `cache-control` asks for (RFC 9111, section 5.2.1).

use std::time::Duration;

use http::{HeaderMap, header};

/// What a request says of answers that are kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Directives {
    /// Nothing of it is to be kept, nor read from what is.
    pub(super) no_store: bool,
    /// It is to be asked anew; the answer may be kept.
    pub(super) no_cache: bool,
    /// What is not kept is not asked for.
    pub(super) only_if_cached: bool,
    /// The oldest answer that is taken.
    pub(super) max_age: Option<Duration>,
    /// How long an answer may have been stale; `Some(Duration::MAX)` for any time.
    pub(super) max_stale: Option<Duration>,
    /// How long an answer must still be fresh.
    pub(super) min_fresh: Option<Duration>,
}

impl Directives {
    /// Reads all `cache-control` headers; `pragma: no-cache` where there is none. What is not known is left out, and a span that is none
    /// counts as zero, the most careful reading.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let mut directives = Self::default();
        if let Some(pragma) = headers.get(header::PRAGMA)
            && !headers.contains_key(header::CACHE_CONTROL)
        {
            directives.no_cache = pragma.as_bytes().eq_ignore_ascii_case(b"no-cache");
        }
        let values = headers.get_all(header::CACHE_CONTROL).iter();
        for directive in values
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
        {
            let (name, argument) = match directive.split_once('=') {
                Some((name, argument)) => (name.trim(), Some(argument)),
                None => (directive.trim(), None),
            };
            let span = || seconds(argument.unwrap_or_default());
            match name.to_ascii_lowercase().as_str() {
                "no-store" => directives.no_store = true,
                "no-cache" => directives.no_cache = true,
                "only-if-cached" => directives.only_if_cached = true,
                "max-age" => directives.max_age = Some(span()),
                "min-fresh" => directives.min_fresh = Some(span()),
                "max-stale" => {
                    directives.max_stale = Some(argument.map_or(Duration::MAX, seconds));
                }
                _ => {}
            }
        }
        directives
    }
}

fn seconds(text: &str) -> Duration {
    let text = text.trim().trim_matches('"');
    Duration::from_secs(text.parse().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(headers: &[(&'static str, &'static str)]) -> Directives {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        Directives::of(&map)
    }

    #[test]
    fn directives_are_read_in_any_case_and_from_several_headers() {
        assert_eq!(of(&[]), Directives::default());
        let read = of(&[
            ("cache-control", "No-Cache , max-age = 60, x=1"),
            ("cache-control", "min-fresh=\"5\",max-stale,only-if-cached,"),
            ("pragma", "other"),
        ]);
        assert!(read.no_cache && read.only_if_cached && !read.no_store);
        assert_eq!(read.max_age, Some(Duration::from_secs(60)));
        assert_eq!(read.min_fresh, Some(Duration::from_secs(5)));
        assert_eq!(read.max_stale, Some(Duration::MAX));
        assert!(of(&[("cache-control", "NO-STORE")]).no_store);
        assert!(of(&[("pragma", "no-cache")]).no_cache);
        assert!(!of(&[("pragma", "no-cache"), ("cache-control", "max-age=1")]).no_cache);
        assert_eq!(
            of(&[("cache-control", "max-age=soon")]).max_age,
            Some(Duration::ZERO)
        );
    }
}
