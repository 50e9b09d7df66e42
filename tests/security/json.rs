//! JSON that is deep, wide, or says a thing twice.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::time::Instant;
use tower_relay::server::tenants::KeyHash;

use crate::{
    harness::{Relay, get},
    raw::{Recorder, exchange, post, response, statuses},
};

/// With all that looks into a request: names, checks, rules, choice, limits, budgets, cache, meters.
async fn relay(upstream: &Recorder) -> Relay {
    let audit = tempfile::tempdir().unwrap().keep().join("audit.jsonl");
    let tenant = format!(
        "[[tenants]]\nname = \"a\"\nkeys = [{{ id = \"one\", sha256 = \"{}\" }}]\nmodels = [\"m\"]\n",
        KeyHash::of("sk-a")
    );
    let config = format!(
        "{tenant}[rate_limit]\n[model_select]\nscorer = {{ weighted = {{ tool_use = 1, size = 1, keywords = 2, medium = 25, high = 60 }} }}\n\
         sticky = \"1m\"\n[models]\nrestore_name = true\nclamp_output = true\n[models.checks]\ncapabilities = true\nwindow = \"prompt\"\n\
         [[models.rules]]\nmodels = [\"*\"]\ndefault = {{ seed = 1 }}\nrename = {{ max_tokens = \"max_completion_tokens\" }}\n\
         [cache]\n[[budgets]]\nname = \"b\"\nhard = \"100\"\nper = \"month\"\n[audit]\npath = {audit:?}\n\
         [[upstreams]]\nname = \"u\"\nbase_url = \"http://{}/v1\"\ncredential = {{ env = \"DEMO_KEY\" }}\nnormalize = {{ reasoning = \"split\" }}\n\
         commit_guard = {{}}\ncost = {{ cost_header = true }}\n",
        upstream.address
    );
    Relay::start(&config).await
}

fn hostile() -> Vec<(&'static str, Vec<u8>)> {
    let deep =
        |open: &str, close: &str, times: usize| open.repeat(times) + "1" + &close.repeat(times);
    let within =
        |member: &str, value: &str| format!(r#"{{"model":"m","{member}":{value}}}"#).into_bytes();
    let arrays = deep("[", "]", 20_000);
    let objects = deep(r#"{"a":"#, "}", 20_000);
    let members: Vec<_> = (0..100_000).map(|n| format!(",\"k{n}\":1")).collect();
    let members = members.concat();
    let mut cases = vec![
        ("an array in arrays", arrays.clone().into_bytes()),
        ("an object in objects", objects.clone().into_bytes()),
        ("arrays that never close", "[".repeat(100_000).into_bytes()),
        (
            "many members",
            format!("{{\"model\":\"m\"{members}}}").into_bytes(),
        ),
        (
            "many members in a member",
            within("metadata", &format!("{{\"a\":1{members}}}")),
        ),
        (
            "two models",
            br#"{"model":"m","model":"other","messages":[]}"#.to_vec(),
        ),
        (
            "two models, one of them escaped",
            br#"{"model":"m","\u006dodel":"other","messages":[]}"#.to_vec(),
        ),
        (
            "a number of a million digits",
            within("seed", &"9".repeat(1 << 18)),
        ),
        (
            "a number beyond numbers",
            within("max_tokens", "1e999999999"),
        ),
        ("a negative cap", within("max_tokens", "-1")),
        (
            "a cap beyond all",
            within("max_tokens", "18446744073709551616"),
        ),
        ("many choices", within("n", "4294967295")),
        ("half a character", within("user", r#""\ud800""#)),
        (
            "a text that is none",
            [
                br#"{"model":"m","user":""#.as_slice(),
                &[0xff, 0xfe],
                b"\"}",
            ]
            .concat(),
        ),
        (
            "a control in a text",
            b"{\"model\":\"m\",\"user\":\"\0\"}".to_vec(),
        ),
        (
            "a name of a model that is long",
            format!(r#"{{"model":"{}"}}"#, "m".repeat(1 << 18)).into_bytes(),
        ),
        ("a model that is none", br#"{"model":{"m":1}}"#.to_vec()),
        (
            "many messages",
            within(
                "messages",
                &format!("[{}1]", r#"{"role":"user","content":"a"},"#.repeat(10_000)),
            ),
        ),
        ("nothing", Vec::new()),
        ("zeros", vec![0; 1 << 16]),
        ("two objects", br#"{"model":"m"}{"model":"other"}"#.to_vec()),
    ];
    for member in [
        "messages",
        "tools",
        "metadata",
        "response_format",
        "stream_options",
        "input",
        "stop",
    ] {
        cases.push((member, within(member, &arrays)));
        cases.push((member, within(member, &objects)));
    }
    cases
}

#[tokio::test]
async fn a_hostile_body_gets_an_answer_soon_and_no_second_meaning() {
    let upstream = Recorder::start().await;
    let relay = relay(&upstream).await;
    for (what, body) in hostile() {
        for path in ["/v1/chat/completions", "/v1/responses"] {
            let started = Instant::now();
            let request = post(path, "authorization: Bearer sk-a\r\n", &body);
            let answer = exchange(relay.address, &request).await;
            let got = statuses(&answer);
            let shown: String = answer.chars().take(400).collect();
            assert_eq!(got.len(), 1, "{what} to {path}: {shown}");
            assert!(got[0] < 500, "{what} to {path}: {shown}");
            assert!(
                got[0] == 200 || answer.contains("\"message\":\""),
                "{what} to {path}: {shown}"
            );
            // A refusal does not say back all that it was told.
            assert!(
                answer.len() < 16 << 10,
                "{what} to {path}: {} bytes",
                answer.len()
            );
            assert!(
                started.elapsed() < Duration::from_secs(5),
                "{what} to {path}"
            );
            for seen in upstream.take() {
                // What is sent on means the same to whoever takes the first and who takes the last of two members.
                let text = String::from_utf8_lossy(&seen.body);
                assert!(!text.contains("other"), "{what}");
            }
        }
    }
    assert_eq!(get(relay.uri("/health")).await.status, 200);
}

#[tokio::test]
async fn a_hostile_answer_is_no_end_of_the_gateway() {
    let said = Arc::new(Mutex::new(Vec::new()));
    let next = Arc::clone(&said);
    let upstream = Recorder::answering(move |_| next.lock().unwrap().clone()).await;
    let relay = relay(&upstream).await;
    for (seed, (what, body)) in hostile().into_iter().enumerate() {
        for status in ["200 OK", "400 Bad"] {
            // None is answered as the one before.
            let asked = format!(
                r#"{{"model":"m","messages":[{{"role":"user","content":"{status}"}}],"seed":{seed}}}"#
            );
            *said.lock().unwrap() = response(status, "", &body);
            let request = post(
                "/v1/chat/completions",
                "authorization: Bearer sk-a\r\n",
                asked.as_bytes(),
            );
            let answer = exchange(relay.address, &request).await;
            assert_eq!(statuses(&answer).len(), 1, "{what} with {status}");
        }
    }
    assert_eq!(get(relay.uri("/health")).await.status, 200);
}
