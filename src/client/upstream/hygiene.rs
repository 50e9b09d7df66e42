//! Which headers cross the edge, in either direction.

use http::{HeaderMap, HeaderName, HeaderValue, Method, header};

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
/// states anew about the request that it sends.
fn is_callers(name: &str) -> bool {
    matches!(
        name,
        "host"
            | "expect"
            | "content-length"
            | "authorization"
            | "cookie"
            | "origin"
            | "referer"
            | "forwarded"
            | "x-api-key"
            | "api-key"
            | "x-goog-api-key"
            | "x-forwarded-for"
            | "x-forwarded-host"
            | "x-forwarded-proto"
            | "x-real-ip"
            | "http2-settings"
    )
}

/// Which account of the provider to use: it belongs to the key.
fn is_account(name: &str) -> bool {
    matches!(name, "openai-organization" | "openai-project" | "anthropic-organization-id")
}

/// What the upstream said to the relay, not to the caller: cookies, and its own host's policies.
fn is_upstreams(name: &str) -> bool {
    matches!(name, "set-cookie" | "alt-svc" | "strict-transport-security")
}

/// Whether the request asks to speak another protocol on its connection.
pub(super) fn is_upgrade(method: &Method, headers: &HeaderMap) -> bool {
    *method == Method::CONNECT
        || (headers.contains_key(header::UPGRADE)
            && headers.get_all(header::CONNECTION).iter().any(|value| {
                let value = value.to_str().unwrap_or_default();
                value.split(',').any(|token| token.trim().eq_ignore_ascii_case("upgrade"))
            }))
}

/// Removes what must not reach the upstream.
pub(super) fn clean_request(headers: &mut HeaderMap, is_callers_key: bool) {
    remove(headers, |name| is_callers(name) || (!is_callers_key && is_account(name)));
    // Layers read answers; none of them decompresses.
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
}

/// Removes what must not reach the caller.
pub(super) fn clean_response(headers: &mut HeaderMap) {
    remove(headers, |name| is_upstreams(name) || is_account(name));
}

/// Removes what speaks of one hop only, and what `also` names.
///
/// Looks at the few headers that are there, rather than for the many that might be.
fn remove(headers: &mut HeaderMap, also: impl Fn(&str) -> bool) {
    let mut unwanted: Vec<HeaderName> = Vec::new();
    for name in headers.keys() {
        if is_hop_by_hop(name.as_str()) || also(name.as_str()) {
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

fn named_by_connection(headers: &HeaderMap) -> impl Iterator<Item = HeaderName> {
    headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        // Naming a header here is how a caller could have a needed one removed.
        .filter(|name| *name != header::CONTENT_TYPE)
}
