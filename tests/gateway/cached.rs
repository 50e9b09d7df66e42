//! Answers that are given again, and what they cost then.

use std::path::Path;

use serde_json::{Value, json};
use tower_relay::{cache::Purge, ledger::read_files, message::catalog::Cost};

use crate::harness::{Got, Relay, chat, demo, post, send};

const PRICES: &str = "[models.demo-small.prices]\ninput = \"2.00\"\noutput = \"8.00\"\n";

async fn relay(folder: &Path, more: &str) -> Relay {
    let (address, _) = demo().await;
    let (prices, audit) = (folder.join("prices.toml"), folder.join("audit.jsonl"));
    std::fs::write(&prices, PRICES).unwrap();
    Relay::start(&format!(
        "[catalog]\nfiles = [\"{}\"]\n[audit]\npath = \"{}\"\n{more}\
         [[upstreams]]\nname = \"demo\"\nbase_url = \"http://{address}/v1\"\n\
         credential = {{ env = \"DEMO_KEY\" }}\n",
        prices.display(),
        audit.display()
    ))
    .await
}

async fn ask(relay: &Relay, key: &str, body: &Value) -> Got {
    let mut request = post(relay.uri("/v1/chat/completions"), body);
    let key = format!("Bearer {key}").parse().unwrap();
    request.headers_mut().insert("authorization", key);
    send(request).await
}

#[tokio::test]
async fn a_hit_is_the_same_answer_and_costs_nothing_anywhere() {
    let folder = tempfile::tempdir().unwrap();
    let more = "[cache]\n[rate_limit]\nlimits = [{ requests = 100, per = \"1m\" }]\n\
                [[budgets]]\nname = \"all\"\nby = \"global\"\nper = \"total\"\nhard = \"1\"\nsoft = \"0\"\n";
    let mut relay = relay(folder.path(), more).await;
    for stream in [false, true] {
        let body = chat("demo-small", &json!({"temperature": 0, "stream": stream}));
        let first = ask(&relay, "one", &body).await;
        assert_eq!(
            (first.status.as_u16(), &first.headers["x-relay-cache"]),
            (200, &"miss".parse().unwrap())
        );
        let spent = first.headers.get("x-relay-budget-warning").cloned();
        let again = ask(&relay, "one", &body).await;
        assert_eq!(again.headers["x-relay-cache"], "hit", "{stream}");
        assert_eq!(again.text, first.text);
        let saved = again.headers["x-relay-cache-saved-usd"].to_str().unwrap();
        assert!(Cost::parse_usd(saved).unwrap() > Cost::ZERO);
        let third = ask(&relay, "one", &body).await;
        if let (Some(_), Some(after)) = (spent, third.headers.get("x-relay-budget-warning")) {
            assert_eq!(
                again.headers["x-relay-budget-warning"], after,
                "a hit was charged"
            );
        }
        assert_eq!(
            ask(&relay, "two", &body).await.headers["x-relay-cache"],
            "miss"
        );
    }
    let cache = relay.handles.cache().unwrap();
    let counts = cache.counts();
    assert_eq!((counts.hits, counts.misses, counts.kept), (4, 4, 4));
    cache.purge(Purge::Model("demo-small".into())).await;
    let body = chat("demo-small", &json!({"temperature": 0}));
    assert_eq!(
        ask(&relay, "one", &body).await.headers["x-relay-cache"],
        "miss"
    );
    relay.stop();
    relay.ended().await;

    let records = read_files([folder.path().join("audit.jsonl")]);
    assert_eq!(records.map(Result::unwrap).count(), 5);
}

#[tokio::test]
async fn two_tenants_never_see_each_others_answers_and_all_keys_of_one_do() {
    let folder = tempfile::tempdir().unwrap();
    let hash = |key: &str| tower_relay::server::tenants::KeyHash::of(key).to_string();
    let tenants = format!(
        "[cache]\nrequests = \"all\"\n\
         [[tenants]]\nname = \"red\"\nkeys = [{{ id = \"a\", sha256 = {:?} }}, {{ id = \"b\", sha256 = {:?} }}]\n\
         [[tenants]]\nname = \"blue\"\nkeys = [{{ id = \"a\", sha256 = {:?} }}]\n",
        hash("red-a"),
        hash("red-b"),
        hash("blue-a")
    );
    let relay = relay(folder.path(), &tenants).await;
    let body = chat("demo-small", &json!({}));
    for (key, status) in [
        ("red-a", "miss"),
        ("red-b", "hit"),
        ("blue-a", "miss"),
        ("red-a", "hit"),
    ] {
        assert_eq!(
            ask(&relay, key, &body).await.headers["x-relay-cache"],
            status,
            "{key}"
        );
    }
    assert_eq!(ask(&relay, "nobody", &body).await.status, 401);
}
