//! The page, put together once.

use std::sync::LazyLock;

use bytes::Bytes;
use http::HeaderValue;
use sha2::{Digest, Sha256};

const HTML: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

pub(super) static PAGE: LazyLock<Page> = LazyLock::new(Page::new);

pub(super) struct Page {
    pub(super) html: Bytes,
    /// What the browser may do with it: run this one script, use this one style, and ask this one origin.
    pub(super) policy: HeaderValue,
}

impl Page {
    fn new() -> Self {
        let html = HTML.replace("{style}", STYLE).replace("{script}", SCRIPT);
        let policy = format!(
            "default-src 'none'; script-src '{}'; style-src '{}'; connect-src 'self'; img-src data:; base-uri 'none'; \
             form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'",
            source(SCRIPT),
            source(STYLE)
        );
        // Of ASCII alone.
        let none = HeaderValue::from_static("default-src 'none'");
        Self {
            html: html.into(),
            policy: HeaderValue::try_from(policy).unwrap_or(none),
        }
    }
}

/// A source expression for what has this very text.
fn source(text: &str) -> String {
    format!("sha256-{}", base64(&Sha256::digest(text.as_bytes())))
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..4 {
            let index = usize::try_from(bits >> (18 - 6 * place) & 63).unwrap_or(0);
            let digit = DIGITS.get(index).filter(|_| place <= chunk.len());
            text.push(digit.map_or('=', |digit| char::from(*digit)));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_rfc_4648() {
        for (text, encoded) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foobar", "Zm9vYmFy"),
            ("\u{fbff}\u{fbff}", "76+/76+/"),
        ] {
            assert_eq!(base64(text.as_bytes()), encoded);
        }
    }

    #[test]
    fn the_page_is_whole_and_asks_nobody_else() {
        let html = std::str::from_utf8(&PAGE.html).unwrap();
        assert!(!html.contains("{style}") && !html.contains("{script}"));
        for foreign in ["src=", "@import", "url(", "https://", "innerHTML", "eval("] {
            assert!(!html.contains(foreign), "{foreign}");
        }
        assert!(
            PAGE.policy
                .to_str()
                .unwrap()
                .contains("script-src 'sha256-")
        );
        assert!(PAGE.html.len() < 64 << 10, "{} bytes", PAGE.html.len());
    }
}
