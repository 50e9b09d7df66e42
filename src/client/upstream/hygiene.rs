//! Which headers cross the edge, in either direction.

use http::{HeaderMap, HeaderName, HeaderValue, Method, header};

use crate::message::ModelPattern;

/// Headers that speak of one connection only (RFC 9110, section 7.6.1), besides those that `connection` names.
fn is_hop_by_hop(name: &str) -> bool {
    matches!(
        name,
        "connection"
            | "keep-alive"
            | "proxy-connection"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
    )
}

/// What the caller said to the relay, not to the upstream: who they are, where they come from, and what the client
/// states anew about the request that it sends. `host` is not among them: it is always replaced.
fn is_callers(name: &str) -> bool {
    matches!(
        name,
        "expect"
            | "content-length"
            | "authorization"
            | "cookie"
            | "origin"
            | "referer"
            | "forwarded"
            | "x-api-key"
            | "api-key"
            | "x-goog-api-key"
            | "x-real-ip"
            | "http2-settings"
    ) || BY_PROXIES.iter().any(|prefix| name.starts_with(prefix))
}

/// What proxies and their sign-on before the relay say of the caller.
const BY_PROXIES: [&str; 3] = ["x-forwarded-", "x-auth-request-", "cf-"];

/// Which account of the provider to use: it belongs to the key.
fn is_account(name: &str) -> bool {
    matches!(
        name,
        "openai-organization" | "openai-project" | "anthropic-organization-id"
    )
}

/// What the upstream said to the relay, not to the caller: cookies, and its own host's policies.
fn is_upstreams(name: &str) -> bool {
    matches!(name, "set-cookie" | "alt-svc" | "strict-transport-security")
}

/// Whether the request asks to speak another protocol on its connection.
///
/// An offer of HTTP/2 (`h2c`), which some clients make with every request in clear text, does not ask for it: it may be
/// ignored (RFC 7540, section 3.2).
pub(super) fn is_upgrade(method: &Method, headers: &HeaderMap) -> bool {
    let is = |expected: &'static str| move |token: &str| token.eq_ignore_ascii_case(expected);
    *method == Method::CONNECT
        || (headers.keys().any(|name| *name == header::UPGRADE)
            && tokens(headers, &header::CONNECTION).any(is("upgrade"))
            && tokens(headers, &header::UPGRADE).any(|protocol| !is("h2c")(protocol)))
}

/// The members of a list that may be spread over several headers of one name.
fn tokens<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> impl Iterator<Item = &'a str> + use<'a> {
    let values = headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok());
    values
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|token| !token.is_empty())
}

/// What stays of the caller's own, so that it need not be removed only to be put back.
pub(super) struct Keeps {
    /// The `content-length`: it is what the client would state anew.
    pub(super) length: bool,
    /// The header that the credential will replace.
    pub(super) replaced: Option<HeaderName>,
}

impl Keeps {
    fn keeps(&self, name: &HeaderName) -> bool {
        self.replaced.as_ref() == Some(name) || (self.length && *name == header::CONTENT_LENGTH)
    }
}

/// Whether there is one `content-length`, and it is that of a body of `length` bytes.
pub(super) fn states_length(headers: &HeaderMap, length: Option<u64>) -> bool {
    let mut stated = headers.get_all(header::CONTENT_LENGTH).iter();
    let (Some(value), None, Some(length)) = (stated.next(), stated.next(), length) else {
        return false;
    };
    let mut digits = value
        .as_bytes()
        .iter()
        .map(|byte| byte.is_ascii_digit().then_some(u64::from(byte & 0xf)));
    let number = digits.try_fold(0_u64, |number, digit| {
        number.checked_mul(10)?.checked_add(digit?)
    });
    !value.is_empty() && number == Some(length)
}

/// Removes what must not reach the upstream, and what `strip` names.
pub(super) fn clean_request(
    headers: &mut HeaderMap,
    is_callers_key: bool,
    strip: &[ModelPattern],
    keeps: &Keeps,
) {
    remove(headers, |name| {
        let text = name.as_str();
        (is_callers(text) && !keeps.keeps(name))
            || (!is_callers_key && is_account(text))
            || strip.iter().any(|pattern| pattern.matches(text))
    });
    // Layers read answers; none of them decompresses.
    headers.insert(
        header::ACCEPT_ENCODING,
        HeaderValue::from_static("identity"),
    );
}

/// Removes what must not reach the caller.
pub(super) fn clean_response(headers: &mut HeaderMap, is_callers_key: bool) {
    remove(headers, |name| {
        let text = name.as_str();
        is_upstreams(text) || is_account(text) || (!is_callers_key && is_about_the_key(text))
    });
}

/// What is said of the key that was presented, which some servers repeat.
fn is_about_the_key(name: &str) -> bool {
    matches!(name, "www-authenticate" | "authentication-info")
}

/// Removes what speaks of one hop only, and what `also` names.
///
/// Looks at the few headers that are there, rather than for the many that might be.
fn remove(headers: &mut HeaderMap, also: impl Fn(&HeaderName) -> bool) {
    let mut unwanted: Vec<HeaderName> = Vec::new();
    for name in headers.keys() {
        if is_hop_by_hop(name.as_str()) || also(name) {
            unwanted.push(name.clone());
        }
    }
    if unwanted.contains(&header::CONNECTION) {
        unwanted.extend(named_by_connection(headers));
    }
    for name in unwanted {
        headers.remove(name);
    }
}

fn named_by_connection(headers: &HeaderMap) -> Vec<HeaderName> {
    tokens(headers, &header::CONNECTION)
        .filter_map(|name| name.parse().ok())
        // Naming a header here is how a caller could have a needed one removed.
        .filter(|name| *name != header::CONTENT_TYPE)
        .collect()
}
