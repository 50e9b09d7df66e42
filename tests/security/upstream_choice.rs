//! Where requests go is for the configuration to say, not for callers.

use serde_json::json;

use crate::{
    harness::{Relay, chat},
    raw::{Recorder, Seen, Trap, exchange, post, statuses},
};

const PREFIX: &str = "/tenant/v1/";

async fn relay(upstream: &Recorder) -> Relay {
    let config = format!(
        "[[routes]]\nname = \"r\"\nsplit = {{ targets = [\"u\", \"v\"] }}\n\
         [[upstreams]]\nname = \"u\"\nbase_url = \"http://{0}/tenant/v1\"\ncredential = {{ env = \"DEMO_KEY\" }}\n\
         [[upstreams]]\nname = \"v\"\nbase_url = \"http://{0}/tenant/v1\"\ncredential = {{ env = \"DEMO_KEY\" }}\n",
        upstream.address
    );
    Relay::start(&config).await
}

/// A request went where the configuration says, whatever the path is taken to mean there.
fn assert_within(seen: &Seen, upstream: &Recorder, what: &str) {
    assert_eq!(seen.all("host"), [upstream.address.to_string()], "{what}");
    let path = seen.target().split('?').next().unwrap();
    assert!(path.starts_with(PREFIX), "{what}: {path}");
    // As a server sees it that decodes before it resolves, and takes a backslash for a slash.
    let mut decoded = path.to_owned();
    for (code, text) in [("%2e", "."), ("%2f", "/"), ("%5c", "\\"), ("%3b", ";")] {
        decoded = decoded
            .replace(code, text)
            .replace(&code.to_uppercase(), text);
    }
    let mut segments = decoded.split(['/', '\\']);
    assert!(
        !segments.any(|segment| matches!(segment.split(';').next(), Some("." | ".."))),
        "{what}: {path}"
    );
}

#[tokio::test]
async fn a_caller_chooses_neither_the_upstream_nor_its_host() {
    let trap = Trap::set().await;
    let evil = trap.address;
    let upstream = Recorder::start().await;
    let relay = relay(&upstream).await;
    let body = chat(
        "m",
        &json!({"base_url": format!("http://{evil}/v1"), "api_base": evil}),
    )
    .to_string();
    for target in [
        format!("http://{evil}/v1/chat/completions"),
        format!("http://user:pass@{evil}/v1/chat/completions"),
        format!("https://{evil}/v1/chat/completions"),
        format!("//{evil}/v1/chat/completions"),
        format!("/v1/chat/completions?base_url=http://{evil}"),
        format!("/v1/@{evil}/x"),
        format!("/v1/http://{evil}/x"),
        format!("/http://{evil}/x"),
        format!("/@{evil}"),
        format!("/:80@{evil}/"),
    ] {
        for more in [
            String::new(),
            format!("host: {evil}\r\n"),
            format!(
                "x-forwarded-host: {evil}\r\nforwarded: host={evil}\r\nx-original-url: http://{evil}/\r\nx-rewrite-url: /admin\r\n"
            ),
            format!("x-relay-upstream: http://{evil}/v1\r\n"),
            format!("x-relay-upstream: {evil}\r\n"),
        ] {
            let request = post(&target, &more, body.as_bytes());
            let answer = exchange(relay.address, &request).await;
            assert_eq!(statuses(&answer).len(), 1, "{target} {more:?}: {answer}");
            for seen in upstream.take() {
                assert_within(&seen, &upstream, &target);
                assert!(seen.all("x-forwarded-host").is_empty());
                assert!(seen.all("forwarded").is_empty());
            }
        }
    }
    assert_eq!(trap.reached(), 0);
}

#[tokio::test]
async fn a_caller_stays_below_the_upstreams_path() {
    let upstream = Recorder::start().await;
    let relay = relay(&upstream).await;
    for target in [
        "/../admin",
        "/v1/../../admin",
        "/v1/..",
        "/v1/./x",
        "/v1/%2e%2e/admin",
        "/v1/%2E./admin",
        "/v1/..%2fadmin",
        "/v1/..%2Fadmin",
        "/v1/%2e%2e%2fadmin",
        "/v1/x%2f..%2f..%2fadmin",
        "/v1/..%5cadmin",
        "/v1/..\\admin",
        "/v1/x\\..\\..\\admin",
        "/v1/..;/admin",
        "/v1/..;x=y/admin",
        "/v1/..%3b/admin",
        "/v1/../",
        "http://relay/v1/../admin",
        "*",
        "admin",
        "?x=/v1/../admin",
    ] {
        for method in ["GET", "POST", "DELETE", "OPTIONS"] {
            let request = format!(
                "{method} {target} HTTP/1.1\r\nhost: relay\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            );
            let answer = exchange(relay.address, request.as_bytes()).await;
            assert!(
                statuses(&answer)
                    .iter()
                    .all(|status| *status >= 400 || target.starts_with('?')),
                "{method} {target}: {answer}"
            );
            for seen in upstream.take() {
                assert_within(&seen, &upstream, target);
            }
        }
    }
    // What only looks like it is a name like any other.
    for target in [
        "/v1/files/..hidden",
        "/v1/files/a..b",
        "/v1/models/org%2Fname",
        "/v1/files/...",
    ] {
        let request = format!("GET {target} HTTP/1.1\r\nhost: relay\r\nconnection: close\r\n\r\n");
        let answer = exchange(relay.address, request.as_bytes()).await;
        assert_eq!(statuses(&answer), [200], "{target}: {answer}");
    }
}
