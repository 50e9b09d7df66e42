//! Requests split by weight, shifted in stages, and taken back.

use std::{fs, net::SocketAddr};

use serde_json::{Value, json};
use tower_relay::gateway::Config;

use crate::harness::{Got, Relay, chat, demo, nobody, post, send};

/// The target that is shifted to, before `new`, where it is another route.
const BEHIND_A_FALLBACK: &str =
    "[[routes]]\nname = \"safe\"\nfallback = { targets = [\"new\", \"old\"] }\n";

/// A relay that splits requests between two upstreams as `split` says, with more routes before it.
fn config(old: SocketAddr, new: SocketAddr, split: &str, more: &str) -> String {
    format!(
        "[[routes]]\nname = \"moving\"\n{split}\n{more}\
         [[upstreams]]\nname = \"old\"\nbase_url = \"http://{old}/v1\"\ncredential = {{ env = \"DEMO_KEY\" }}\n\
         aliases = {{ \"fast\" = \"demo-small\" }}\nmodels = [\"fast\"]\n\
         [[upstreams]]\nname = \"new\"\nbase_url = \"http://{new}/v1\"\ncredential = {{ env = \"DEMO_KEY\" }}\n\
         aliases = {{ \"fast\" = \"demo-small\" }}\nmodels = [\"fast\"]\n"
    )
}

async fn ask(relay: &Relay, id: &str, upstream: Option<&str>) -> Got {
    let mut request = post(relay.uri("/v1/chat/completions"), &chat("fast", &json!({})));
    let headers = request.headers_mut();
    headers.insert("x-relay-request-id", id.parse().unwrap());
    if let Some(upstream) = upstream {
        headers.insert("x-relay-upstream", upstream.parse().unwrap());
    }
    send(request).await
}

#[tokio::test]
async fn requests_are_split_by_weight_and_each_says_who_answered() {
    let ((old, _), (new, _)) = (demo().await, demo().await);
    let split =
        "split = { targets = [\"old\", \"new\"], weights = [50, 50], allow_override = true }";
    let relay = Relay::start(&config(old, new, split, "")).await;
    let mut shares = [0; 2];
    for number in 0..40 {
        let got = ask(&relay, &format!("req-{number}"), None).await;
        assert_eq!(got.status, 200, "{}", got.text);
        let upstream = got.headers["x-relay-upstream"].clone();
        let again = ask(&relay, &format!("req-{number}"), None).await;
        assert_eq!(again.headers["x-relay-upstream"], upstream);
        shares[usize::from(upstream == "new")] += 1;
    }
    assert!(shares.iter().all(|share| *share >= 8), "{shares:?}");
    for name in ["old", "new"] {
        assert_eq!(
            ask(&relay, "a", Some(name)).await.headers["x-relay-upstream"],
            name
        );
    }
    let unknown = ask(&relay, "a", Some("newer")).await;
    assert_eq!(unknown.failure(), (400, "unknown_upstream".to_owned()));
}

#[tokio::test]
async fn a_target_that_always_fails_is_rolled_back_and_no_caller_sees_an_error() {
    let (old, _) = demo().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rollout.json");
    let split = format!(
        "split = {{ targets = [\"old\", \"safe\"] }}\nrollout = {{ stages = [[50, 50], [0, 100]], file = {file:?} }}\n"
    );
    let mut relay = Relay::start(&config(old, nobody().await, &split, BEHIND_A_FALLBACK)).await;
    let mut tried = 0;
    for number in 0..60 {
        let got = ask(&relay, &format!("req-{number}"), None).await;
        assert_eq!(got.status, 200, "{}", got.text);
        tried += usize::from(got.headers.contains_key("x-relay-failed-attempts"));
    }
    assert!((3..=10).contains(&tried), "{tried} of 60 were tried there");
    relay.stop();
    relay.ended().await;
    let saved: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    assert_eq!(saved["state"], "rolled_back");
    assert_eq!(saved["targets"], json!(["old", "safe"]));
}

#[tokio::test]
async fn switches_in_the_environment_force_every_split() {
    let ((old, _), (new, _)) = (demo().await, demo().await);
    let split = "split = { targets = [\"old\", \"new\"] }\nrollout = { stages = [[50, 50]], file = \"/nowhere/rollout.json\" }";
    let text = config(old, new, split, "");
    let built = |switch: &'static str, value: &'static str| {
        let env = move |name: &str| match name {
            "DEMO_KEY" => Some("demo-key".to_owned()),
            name => (name == switch).then(|| value.to_owned()),
        };
        Config::from_toml(&text, "test")?.build_upstreams(&env)
    };
    for (switch, value, workers) in [
        ("FORCE_MODEL", "new", 0),
        ("FORCE_MODEL", "fast", 0),
        ("USE_ROUTING", "false", 0),
        ("USE_ROUTING", "true", 1),
        ("FORCE_MODEL", "", 1),
    ] {
        // A rollout that stands still has no worker, and leaves its file alone.
        let (_, running) = built(switch, value).unwrap();
        assert_eq!(running.len(), workers, "{switch}={value}");
    }
    for (switch, value, reason) in [
        (
            "FORCE_MODEL",
            "newer",
            "FORCE_MODEL: \"newer\", which the environment says, is neither a target of a split nor a model",
        ),
        (
            "USE_ROUTING",
            "perhaps",
            "USE_ROUTING: must be true or false in the environment",
        ),
    ] {
        let error = built(switch, value).unwrap_err().to_string();
        assert!(error.starts_with(reason), "{error}");
    }
}
