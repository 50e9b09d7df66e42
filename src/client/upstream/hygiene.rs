//! Which headers cross the edge, in either direction.

use http::{HeaderMap, HeaderName, HeaderValue, Method, header};

/// Headers that speak of one connection only (RFC 9110, section 7.6.1), besides those that `connection` names.
const HOP_BY_HOP: [HeaderName; 9] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// What the caller said to the relay, not to the upstream: who they are, where they come from, and what the client
/// states anew about the request that it sends.
const CALLERS: [HeaderName; 16] = [
    header::HOST,
    header::EXPECT,
    header::CONTENT_LENGTH,
    header::AUTHORIZATION,
    header::COOKIE,
    header::ORIGIN,
    header::REFERER,
    header::FORWARDED,
    HeaderName::from_static("x-api-key"),
    HeaderName::from_static("api-key"),
    HeaderName::from_static("x-goog-api-key"),
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("x-forwarded-host"),
    HeaderName::from_static("x-forwarded-proto"),
    HeaderName::from_static("x-real-ip"),
    HeaderName::from_static("http2-settings"),
];

/// Which account of the provider to use: it belongs to the key.
const CALLERS_ACCOUNT: [HeaderName; 2] = [
    HeaderName::from_static("openai-organization"),
    HeaderName::from_static("openai-project"),
];

/// What the upstream said to the relay, not to the caller: hops, cookies, its own host's policies, the relay's account.
const UPSTREAMS: [HeaderName; 6] = [
    header::SET_COOKIE,
    header::ALT_SVC,
    header::STRICT_TRANSPORT_SECURITY,
    HeaderName::from_static("openai-organization"),
    HeaderName::from_static("openai-project"),
    HeaderName::from_static("anthropic-organization-id"),
];

/// Whether the request asks to speak another protocol on its connection.
///
/// An offer of HTTP/2 (`h2c`), which some clients make with every request in clear text, does not ask for it: it may be
/// ignored (RFC 7540, section 3.2).
pub(super) fn is_upgrade(method: &Method, headers: &HeaderMap) -> bool {
    let is = |expected: &'static str| move |token: &str| token.eq_ignore_ascii_case(expected);
    *method == Method::CONNECT
        || (tokens(headers, &header::CONNECTION).any(is("upgrade"))
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

/// Removes what must not reach the upstream.
pub(super) fn clean_request(headers: &mut HeaderMap, is_callers_key: bool) {
    remove_hop_by_hop(headers);
    remove_all(headers, &CALLERS);
    if !is_callers_key {
        remove_all(headers, &CALLERS_ACCOUNT);
    }
    // Layers read answers; none of them decompresses.
    headers.insert(
        header::ACCEPT_ENCODING,
        HeaderValue::from_static("identity"),
    );
}

/// Removes what must not reach the caller.
pub(super) fn clean_response(headers: &mut HeaderMap) {
    remove_hop_by_hop(headers);
    remove_all(headers, &UPSTREAMS);
}

fn remove_hop_by_hop(headers: &mut HeaderMap) {
    if headers.contains_key(header::CONNECTION) {
        let named: Vec<HeaderName> = tokens(headers, &header::CONNECTION)
            .filter_map(|name| name.parse().ok())
            // Naming a header here is how a caller could have a needed one removed.
            .filter(|name| *name != header::CONTENT_TYPE)
            .collect();
        remove_all(headers, &named);
    }
    remove_all(headers, &HOP_BY_HOP);
}

fn remove_all(headers: &mut HeaderMap, names: &[HeaderName]) {
    for name in names {
        headers.remove(name);
    }
}
