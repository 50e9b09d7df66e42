//! Whose key it is does not depend on how it is written.

use serde_json::json;
use tower_relay::server::tenants::KeyHash;

use crate::{
    harness::{Relay, chat},
    raw::{Recorder, exchange, post, statuses},
};

/// The ways in which one key may be written.
fn spellings(key: &str) -> Vec<String> {
    vec![
        format!("authorization: Bearer {key}\r\n"),
        format!("Authorization: Bearer {key}\r\n"),
        format!("AUTHORIZATION: BEARER {key}\r\n"),
        format!("authorization: bearer {key}\r\n"),
        format!("authorization: Bearer  {key}  \r\n"),
        format!("authorization:Bearer {key}\t\r\n"),
        format!("authorization: Bearer \t{key}\r\n"),
        format!("x-api-key: {key}\r\n"),
        format!("X-API-Key:  {key} \r\n"),
        format!("api-key: {key}\r\n"),
    ]
}

async fn ask(relay: &Relay, target: &str, more: &str) -> (u16, String) {
    let body = chat("m", &json!({})).to_string();
    let answer = exchange(relay.address, &post(target, more, body.as_bytes())).await;
    let got = statuses(&answer);
    assert_eq!(got.len(), 1, "{more:?}: {answer}");
    (got[0], answer)
}

async fn chats(relay: &Relay, more: &str) -> u16 {
    ask(relay, "/v1/chat/completions", more).await.0
}

fn tenant(name: &str, more: &str) -> String {
    let hash = KeyHash::of(&format!("sk-{name}"));
    format!(
        "[[tenants]]\nname = \"{name}\"\nkeys = [{{ id = \"one\", sha256 = \"{hash}\" }}]\n{more}\n"
    )
}

fn upstream(at: &Recorder) -> String {
    format!(
        "[[upstreams]]\nname = \"u\"\nbase_url = \"http://{}/v1\"\ncredential = {{ env = \"DEMO_KEY\" }}\n",
        at.address
    )
}

#[tokio::test]
async fn a_key_spelled_otherwise_has_no_limit_of_its_own() {
    let recorder = Recorder::start().await;
    let config = "[rate_limit]\nlimits = [{ requests = 1, per = \"1h\" }]\n".to_owned();
    let relay = Relay::start(&(config + &upstream(&recorder))).await;
    let spellings = spellings("sk-one");
    assert_eq!(chats(&relay, &spellings[0]).await, 200);
    for more in &spellings {
        assert_eq!(chats(&relay, more).await, 429, "{more:?}");
    }
    // A second key beside the first is not another caller.
    for more in [
        "authorization: Bearer sk-one\r\nauthorization: Bearer sk-two\r\n",
        "authorization: Bearer sk-one\r\nx-api-key: sk-two\r\n",
        "x-api-key: sk-two\r\nauthorization: Bearer sk-one\r\n",
        "x-api-key: sk-one\r\nx-api-key: sk-two\r\napi-key: sk-three\r\n",
    ] {
        assert_eq!(chats(&relay, more).await, 429, "{more:?}");
    }
    // Those who present none that can be read are one caller.
    assert_eq!(chats(&relay, "").await, 200);
    for more in [
        "",
        "authorization: Bearer\r\n",
        "authorization: Bearer \r\n",
        "authorization: \r\n",
        "authorization: Basic c2s6b25l\r\n",
        "authorization: Basic c2s6dHdv\r\n",
        "x-api-key: \r\n",
        "cookie: authorization=sk-three\r\n",
    ] {
        assert_eq!(chats(&relay, more).await, 429, "{more:?}");
    }
}

#[tokio::test]
async fn a_tenant_is_who_its_key_says_however_it_is_written() {
    let recorder = Recorder::start().await;
    let limited = tenant(
        "one",
        "limits = [{ requests = 1, per = \"1h\" }]\nmodels = [\"m\"]",
    );
    let config = limited + &tenant("two", "") + &upstream(&recorder);
    let relay = Relay::start(&config).await;
    let spellings = spellings("sk-one");
    assert_eq!(chats(&relay, &spellings[0]).await, 200);
    for more in &spellings {
        assert_eq!(chats(&relay, more).await, 429, "{more:?}");
    }
    for seen in recorder.take() {
        assert_eq!(seen.all("authorization"), ["Bearer demo-key"]);
        assert!(!seen.head.contains("sk-"), "{}", seen.head);
    }
    // Names of the gateway's own in headers make nobody of anyone.
    for name in [
        "x-relay-tenant",
        "x-tenant",
        "x-relay-key",
        "x-forwarded-user",
        "x-auth-request-user",
    ] {
        let more = format!("{name}: two\r\n");
        assert_eq!(chats(&relay, &more).await, 401, "{name}");
        let more = format!("authorization: Bearer sk-one\r\n{name}: two\r\n");
        assert_eq!(chats(&relay, &more).await, 429, "{name}");
    }
    assert_eq!(chats(&relay, "authorization: Bearer sk-two\r\n").await, 200);
}

#[tokio::test]
async fn what_is_almost_a_key_is_none() {
    let recorder = Recorder::start().await;
    let config = tenant("one", "") + &upstream(&recorder);
    let relay = Relay::start(&config).await;
    let hash = KeyHash::of("sk-one").to_string();
    let wrong = [
        "",
        " ",
        "sk-on",
        "sk-onee",
        "SK-ONE",
        "sk-one\u{0}",
        "sk-one,sk-one",
        "\"sk-one\"",
        "sk_one",
        "*",
        "%73k-one",
        "sk-one#",
        "sk-\u{f6}ne",
        "../sk-one",
        "one",
        hash.as_str(),
    ];
    for key in wrong {
        for more in [
            format!("authorization: Bearer {key}\r\n"),
            format!("x-api-key: {key}\r\n"),
            format!("authorization: Basic {key}\r\n"),
            format!("authorization: {key}\r\n"),
            format!("proxy-authorization: Bearer {key}\r\n"),
        ] {
            let got = chats(&relay, &more).await;
            assert!(matches!(got, 400 | 401), "{more:?}: {got}");
        }
    }
    for target in [
        "/v1/chat/completions?key=sk-one",
        "/v1/chat/completions?api_key=sk-one",
        "/v1/chat/completions?api-key=sk-one&access_token=sk-one",
    ] {
        assert_eq!(ask(&relay, target, "").await.0, 401, "{target}");
    }
    let long = format!("authorization: Bearer {}\r\n", "k".repeat(60_000));
    let (status, answer) = ask(&relay, "/v1/chat/completions", &long).await;
    assert!(matches!(status, 401 | 431), "{status}");
    assert!(answer.len() < 2048);
    assert!(recorder.take().is_empty());
}

#[tokio::test]
async fn how_a_path_is_written_opens_no_other_way_in() {
    let recorder = Recorder::start().await;
    let config =
        tenant("one", "models = [\"m\"]\nendpoints = [\"embeddings\"]") + &upstream(&recorder);
    let relay = Relay::start(&config).await;
    let key = "authorization: Bearer sk-one\r\n";
    for target in [
        "/v1/chat/completions",
        "/chat/completions",
        "//v1/chat/completions",
        "/v1//chat/completions",
        "/v1/chat//completions",
        "/v1/chat/completions/",
        "/v1/chat/completions?x=/v1/embeddings",
        "/v1/%63hat/completions",
        "/v1/chat%2fcompletions",
        "/v1/Chat/Completions",
        "/V1/chat/completions",
        "/v1/embeddings/../chat/completions",
        "/v1/embeddings;/chat/completions",
        "/v1/chat/completions#/v1/embeddings",
        "/v2/chat/completions",
        "/v1/engines/m/chat/completions",
        "/openai/deployments/m/chat/completions",
        "http://relay/v1/chat/completions",
    ] {
        let (status, answer) = ask(&relay, target, key).await;
        assert!(status >= 400, "{target}: {answer}");
        assert!(recorder.take().is_empty(), "{target}");
        // Nor without a key.
        assert!(
            matches!(ask(&relay, target, "").await.0, 400 | 401),
            "{target}"
        );
    }
}
