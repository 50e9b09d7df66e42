use http::{HeaderName, HeaderValue, Version};

use super::*;
use crate::client::Style;

/// The names of the headers, sorted.
fn names(headers: &http::HeaderMap) -> Vec<&str> {
    let mut names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
    names.sort_unstable();
    names
}

#[tokio::test]
async fn what_the_caller_says_of_themselves_and_their_connection_stays_here() {
    let mut request = chat();
    for name in [
        "host",
        "expect",
        "content-length",
        "connection",
        "keep-alive",
        "proxy-connection",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "cookie",
        "origin",
        "referer",
        "forwarded",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-proto",
        "x-real-ip",
        "x-api-key",
        "api-key",
        "x-goog-api-key",
        "openai-organization",
        "openai-project",
        "anthropic-organization-id",
    ] {
        request = request.header(name, "of-the-caller");
    }
    let parts = sent(&keyed().build().unwrap(), request).await;
    assert_eq!(
        names(&parts.headers),
        ["accept-encoding", "authorization", "content-type", "host"]
    );
    assert_eq!(parts.headers["authorization"], "Bearer sk-own");
    assert_eq!(parts.headers["accept-encoding"], "identity");
}

#[tokio::test]
async fn headers_to_strip_stay_here_too_but_not_what_the_layer_sets() {
    let layer = keyed()
        .strip_header("X-Acme-*")
        .strip_header("user-agent")
        .header(
            HeaderName::from_static("x-acme-team"),
            HeaderValue::from_static("relay"),
        )
        .build()
        .unwrap();
    let request = chat()
        .header("x-acme-user", "a")
        .header("x-acme-team", "a")
        .header("x-acme", "a")
        .header("user-agent", "a");
    let parts = sent(&layer, request).await;
    assert_eq!(
        names(&parts.headers),
        [
            "accept-encoding",
            "authorization",
            "content-type",
            "host",
            "x-acme",
            "x-acme-team"
        ]
    );
    assert_eq!(parts.headers["x-acme-team"], "relay");
}

#[test]
fn a_header_to_strip_that_is_no_pattern_or_needed_is_refused() {
    for text in ["", " x", "a*b*", "*", "Content-*"] {
        let error = keyed().strip_header(text).build().unwrap_err();
        assert_eq!(error.field(), "strip_headers", "{text:?}");
    }
}

#[tokio::test]
async fn what_the_caller_says_of_the_request_passes() {
    let request = chat()
        .header("anthropic-beta", "a")
        .header("anthropic-beta", "b")
        .header("user-agent", "x/1");
    let parts = sent(&keyed().build().unwrap(), request).await;
    assert_eq!(
        parts
            .headers
            .get_all("anthropic-beta")
            .iter()
            .collect::<Vec<_>>(),
        ["a", "b"]
    );
    assert_eq!(parts.headers["user-agent"], "x/1");
}

#[tokio::test]
async fn headers_that_connection_names_stay_here_but_not_the_content_type() {
    let request = chat()
        .header("connection", "close, X-Hop ,, content-type")
        .header("connection", "x-other")
        .header("x-hop", "1")
        .header("x-other", "1")
        .header("x-kept", "1");
    let parts = sent(&keyed().build().unwrap(), request).await;
    assert_eq!(
        names(&parts.headers),
        [
            "accept-encoding",
            "authorization",
            "content-type",
            "host",
            "x-kept"
        ]
    );
}

#[tokio::test]
async fn a_caller_cannot_have_the_relays_own_headers_removed() {
    let layer = keyed()
        .header(
            HeaderName::from_static("x-tenant"),
            HeaderValue::from_static("relay"),
        )
        .build()
        .unwrap();
    let request = chat()
        .header("connection", "authorization, x-tenant, accept-encoding")
        .header("x-tenant", "forged")
        .header("accept-encoding", "gzip");
    let parts = sent(&layer, request).await;
    assert_eq!(parts.headers["x-tenant"], "relay");
    assert_eq!(parts.headers["authorization"], "Bearer sk-own");
    assert_eq!(parts.headers["accept-encoding"], "identity");
}

#[tokio::test]
async fn the_account_that_goes_with_a_callers_own_key_passes() {
    let layer = upstream(Credential::caller()).build().unwrap();
    let request = chat()
        .header("authorization", "Bearer sk-theirs")
        .header("openai-organization", "org-theirs");
    assert_eq!(
        sent(&layer, request).await.headers["openai-organization"],
        "org-theirs"
    );
}

#[tokio::test]
async fn any_version_becomes_one_that_every_connection_takes() {
    for version in [Version::HTTP_10, Version::HTTP_11, Version::HTTP_2] {
        let parts = sent(&keyed().build().unwrap(), chat().version(version)).await;
        assert_eq!(parts.version, Version::HTTP_11);
    }
}

#[tokio::test]
async fn the_version_of_the_upstreams_answer_is_not_the_callers() {
    for answer in [
        || {
            Response::builder()
                .version(Version::HTTP_10)
                .body(ResponseBody::empty())
                .unwrap()
        },
        || {
            Response::builder()
                .version(Version::HTTP_3)
                .body(ResponseBody::empty())
                .unwrap()
        },
    ] {
        let response = answered(&keyed().build().unwrap(), chat(), answer).await;
        assert_eq!(response.version(), Version::HTTP_11);
    }
}

#[tokio::test]
async fn what_the_upstream_says_to_the_relay_stays_here() {
    let response = answered(&keyed().build().unwrap(), chat(), || {
        let mut response = Response::builder()
            .header("connection", "x-hop, close")
            .header("x-hop", "1");
        for name in [
            "keep-alive",
            "proxy-authenticate",
            "transfer-encoding",
            "upgrade",
            "trailer",
            "set-cookie",
            "alt-svc",
            "strict-transport-security",
            "openai-organization",
            "openai-project",
            "anthropic-organization-id",
            "www-authenticate",
            "authentication-info",
        ] {
            response = response.header(name, "of-the-upstream");
        }
        for name in [
            "content-type",
            "retry-after",
            "x-ratelimit-remaining-requests",
            "x-request-id",
        ] {
            response = response.header(name, "1");
        }
        response.body(ResponseBody::empty()).unwrap()
    })
    .await;
    let kept = [
        "content-type",
        "retry-after",
        "x-ratelimit-remaining-requests",
        "x-request-id",
    ];
    assert_eq!(names(response.headers()), kept);
}

#[tokio::test]
async fn a_callers_key_never_leaks_whatever_header_it_and_the_relays_own_stand_in() {
    let own = HeaderName::from_static("x-own-key");
    let styles = [
        Style::Bearer,
        Style::XApiKey,
        Style::ApiKey,
        Style::Header {
            name: own,
            prefix: "Token ".into(),
        },
    ];
    for style in styles {
        for credential in [
            Credential::none(),
            Credential::key("sk-own").unwrap(),
            Credential::per_request(|_| async { Ok("sk-own".to_owned()) }),
        ] {
            let has_key = !format!("{credential:?}").contains("none");
            let layer = upstream(credential.style(style.clone())).build().unwrap();
            let request = Request::post("/v1/chat/completions?key=sk-theirs&api_key=sk-theirs&a=1")
                .header("authorization", "Bearer sk-theirs")
                .header("authorization", "Basic sk-theirs")
                .header("x-api-key", "sk-theirs")
                .header("api-key", "sk-theirs")
                .header("x-goog-api-key", "sk-theirs")
                .header("cookie", "session=sk-theirs");
            let parts = sent(&layer, request).await;
            let all = format!(
                "{} {:?}",
                parts.uri,
                parts
                    .headers
                    .iter()
                    .map(|(_, value)| value.as_bytes())
                    .collect::<Vec<_>>()
            );
            let theirs = format!("{:?}", b"sk-theirs");
            assert!(!all.contains("sk-theirs"), "{style:?}");
            assert!(!all.contains(theirs.trim_matches(['[', ']'])), "{style:?}");
            let keys = parts
                .headers
                .values()
                .filter(|value| value.as_bytes().ends_with(b"sk-own"))
                .count();
            assert_eq!(keys, usize::from(has_key), "{style:?}");
        }
    }
}
