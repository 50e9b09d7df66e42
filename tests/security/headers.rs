//! What becomes a header, and may not become two.

use serde_json::json;
use tower_relay::gateway::Config;

use crate::{
    harness::{Relay, chat},
    raw::{ANSWER, Recorder, exchange, post, response, statuses},
};

/// Names of models that would be more than a name, were they copied as they are.
const NAMES: [&str; 8] = [
    "m\r\nx-evil: 1",
    "m\nx-evil: 1",
    "m\rx-evil: 1",
    "m\r\n\r\nHTTP/1.1 200 OK\r\nx-evil: 1\r\n\r\n",
    "m\u{0}x-evil: 1",
    "m\u{2028}x-evil: 1\u{85}x-evil: 2",
    "模型 x-evil: 1",
    "\u{7f}\u{1b}[31mx-evil: 1",
];

async fn relay(upstream: &Recorder, more: &str) -> Relay {
    let config = format!(
        "[server]\naccess_log = true\n[server.headers]\nmodel = \"x-model\"\n[model_select]\nnames = [\"auto\"]\n\
         [models]\nrestore_name = true\n[models.aliases]\n\"alias-*\" = \"*\"\n[admin]\n\
         [[upstreams]]\nname = \"u\"\ncredential = {{ env = \"DEMO_KEY\" }}\nnormalize = {{}}\n{}{more}\n",
        if more.contains("template") {
            String::new()
        } else {
            format!("base_url = \"http://{}/v1\"\n", upstream.address)
        }
    );
    Relay::start(&config).await
}

/// Whether a line of the head begins as an injected header would.
fn is_injected(head: &str) -> bool {
    let lines = head.split(['\r', '\n']);
    lines
        .map(str::trim_start)
        .any(|line| line.starts_with("x-evil"))
}

fn head_of(answer: &str) -> &str {
    answer.split("\r\n\r\n").next().unwrap()
}

#[tokio::test]
async fn the_name_of_a_model_is_never_more_than_a_name() {
    let upstream = Recorder::start().await;
    let address = upstream.address;
    let template = format!("template = \"http://{address}/models/{{model}}/{{path}}\"");
    for more in ["", template.as_str()] {
        let relay = relay(&upstream, more).await;
        for name in NAMES {
            for name in [name.to_owned(), format!("alias-{name}")] {
                let body = chat(&name, &json!({})).to_string();
                let request = post("/v1/chat/completions", "", body.as_bytes());
                let answer = exchange(relay.address, &request).await;
                assert_eq!(statuses(head_of(&answer)).len(), 1, "{name:?}: {answer}");
                assert!(!answer.contains("\nHTTP/1.1"), "{name:?}: {answer}");
                assert!(!is_injected(head_of(&answer)), "{name:?}: {answer}");
                for seen in upstream.take() {
                    assert!(!is_injected(&seen.head), "{name:?}: {}", seen.head);
                    let target = seen.target();
                    assert!(
                        target.bytes().all(|byte| byte.is_ascii_graphic()),
                        "{target}"
                    );
                    assert_eq!(
                        target.split('/').count(),
                        if more.is_empty() { 4 } else { 5 }
                    );
                }
            }
        }
    }
}

#[tokio::test]
async fn an_answers_model_is_never_more_than_a_name() {
    for name in NAMES {
        let mut body: serde_json::Value = serde_json::from_str(ANSWER).unwrap();
        body["model"] = name.into();
        body["id"] = name.into();
        body["service_tier"] = name.into();
        let body = body.to_string();
        let upstream = Recorder::answering(move |_| response("200 OK", "", body.as_bytes())).await;
        let relay = relay(&upstream, "cost = { cost_header = true }").await;
        let body = chat("m", &json!({})).to_string();
        let request = post("/v1/chat/completions", "", body.as_bytes());
        let answer = exchange(relay.address, &request).await;
        assert_eq!(statuses(&answer)[0], 200, "{name:?}: {answer}");
        assert!(!is_injected(head_of(&answer)), "{name:?}: {answer}");
    }
}

#[tokio::test]
async fn an_id_that_is_none_is_replaced() {
    let upstream = Recorder::start().await;
    let relay = relay(&upstream, "").await;
    let long = "x".repeat(4096);
    for id in ["", " ", "a b", "\u{e9}", "a\tb", long.as_str()] {
        let body = chat("m", &json!({})).to_string();
        let more = format!("x-relay-request-id: {id}\r\n");
        let request = post("/v1/chat/completions", &more, body.as_bytes());
        let answer = exchange(relay.address, &request).await;
        assert_eq!(statuses(&answer), [200], "{id:?}");
        let stated: Vec<_> = head_of(&answer)
            .lines()
            .filter_map(|line| line.strip_prefix("x-relay-request-id: "))
            .collect();
        assert_eq!(stated.len(), 1, "{answer}");
        assert_eq!(stated[0].len(), 32, "{answer}");
    }
}

#[tokio::test]
async fn connection_removes_nothing_that_is_needed() {
    let upstream = Recorder::start().await;
    let relay = relay(&upstream, "headers = { x-team = \"platform\" }").await;
    let body = chat("m", &json!({})).to_string();
    let more = "connection: authorization, content-length, content-type, host, x-team\r\nproxy-authorization: Basic x\r\n";
    let request = post("/v1/chat/completions", more, body.as_bytes());
    let answer = exchange(relay.address, &request).await;
    assert_eq!(statuses(&answer), [200], "{answer}");
    let seen = upstream.take().remove(0);
    assert_eq!(seen.all("authorization"), ["Bearer demo-key"]);
    assert_eq!(seen.all("content-length"), [body.len().to_string()]);
    assert_eq!(seen.all("content-type"), ["application/json"]);
    assert_eq!(seen.all("x-team"), ["platform"]);
    assert_eq!(seen.all("host"), [upstream.address.to_string()]);
    assert!(seen.all("proxy-authorization").is_empty());
}

#[test]
fn a_configuration_cannot_write_two_headers_in_one() {
    let upstream = "[[upstreams]]\nname = \"u\"\nbase_url = \"http://127.0.0.1:1/v1\"\n";
    for (more, field) in [
        ("headers = { \"x-a\" = \"b\\r\\nx-evil: 1\" }", "headers"),
        ("headers = { \"x-a: b\" = \"c\" }", "headers"),
        ("headers = { \"x-a\\r\\nx-evil\" = \"c\" }", "headers"),
        (
            "style = { header = \"x-a\\r\\nx-evil\", prefix = \"\" }",
            "style",
        ),
        (
            "style = { header = \"x-a\", prefix = \"b\\r\\nx-evil: 1\" }\ncredential = { env = \"KEY\" }",
            "style",
        ),
    ] {
        let text = format!("{upstream}{more}\n");
        let env = |name: &str| (name == "KEY").then(|| "canary-key".to_owned());
        let built = Config::from_toml(&text, "test").and_then(|config| config.build_with_env(&env));
        let error = built.err().unwrap_or_else(|| panic!("{more} was taken"));
        let error = error.to_string();
        assert!(error.contains(field), "{error}");
        assert!(!error.contains("canary"), "{error}");
    }
    let text = format!("{upstream}credential = {{ env = \"KEY\" }}\n");
    for key in [
        "canary\r\nx-evil: 1",
        "canary\nkey",
        "canary\u{0}key",
        "canary é",
    ] {
        let env = |name: &str| (name == "KEY").then(|| key.to_owned());
        let built = Config::from_toml(&text, "test").and_then(|config| config.build_with_env(&env));
        let error = built.err().unwrap_or_else(|| panic!("{key:?} was taken"));
        assert!(error.to_string().contains("credential"), "{error}");
        assert!(!error.to_string().contains("canary"), "{error}");
    }
}
