//! Whose key is wrong, and who is told.

use std::fs;

use serde_json::json;

use crate::harness::{Got, Relay, chat, demo, post, send, soon};

async fn ask(relay: &Relay, key: Option<&str>) -> Got {
    let mut request = post(
        relay.uri("/v1/chat/completions"),
        &chat("demo-small", &json!({})),
    );
    if let Some(key) = key {
        request
            .headers_mut()
            .insert("authorization", format!("Bearer {key}").parse().unwrap());
    }
    send(request).await
}

async fn relay(credential: &str) -> Relay {
    let (upstream, _) = demo().await;
    Relay::start(&format!(
        "[[upstreams]]\nname = \"demo\"\nbase_url = \"http://{upstream}/v1\"\ncredential = {credential}"
    ))
    .await
}

#[tokio::test]
async fn a_wrong_key_of_the_relay_is_not_the_callers_fault() {
    let relay = relay("{ env = \"WRONG_KEY\" }").await;
    let got = ask(&relay, Some("demo-key")).await;
    assert_eq!(got.failure(), (502, "upstream_auth".to_owned()));
    assert!(!got.text.contains("stale-key"));
}

#[tokio::test]
async fn the_callers_own_key_is_passed_on_and_so_is_its_rejection() {
    let relay = relay("{ caller = true }").await;
    assert_eq!(ask(&relay, Some("demo-key")).await.status, 200);
    assert_eq!(
        ask(&relay, Some("wrong")).await.failure(),
        (401, "invalid_api_key".to_owned())
    );
    assert_eq!(
        ask(&relay, None).await.failure(),
        (401, "missing_api_key".to_owned())
    );
}

#[tokio::test]
async fn a_key_that_changes_in_its_file_is_used_without_a_restart() {
    let file = std::env::temp_dir().join(format!("relay-gateway-key-{}", std::process::id()));
    fs::write(&file, "old-key").unwrap();
    let mut relay = relay(&format!("{{ file = {file:?} }}")).await;
    assert_eq!(ask(&relay, None).await.status, 502);

    fs::write(&file, "demo-key").unwrap();
    // The file is looked at every second.
    soon(async { while ask(&relay, None).await.status != 200 {} }).await;
    fs::remove_file(&file).unwrap();
    relay.stop();
    relay.ended().await;
}
