//! A gateway that only looks.

use std::{fs, net::SocketAddr, path::Path};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::mpsc,
};
use tower_relay::gateway::Config;

use crate::harness::{Relay, post, send, soon};

/// An upstream that answers everything the same, and tells what it was sent, to the byte.
async fn overheard() -> (SocketAddr, mpsc::Receiver<(String, String)>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, told) = mpsc::channel(16);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut bytes = Vec::new();
            let (head, body) = loop {
                let mut more = [0; 4096];
                let read = stream.read(&mut more).await.unwrap();
                bytes.extend_from_slice(&more[..read]);
                let text = String::from_utf8(bytes.clone()).unwrap();
                let Some((head, body)) = text.split_once("\r\n\r\n") else {
                    continue;
                };
                let head = head.to_ascii_lowercase();
                let length = head.split("content-length: ").nth(1).unwrap();
                let length: usize = length.lines().next().unwrap().parse().unwrap();
                if body.len() == length {
                    break (head, body.to_owned());
                }
            };
            tell.send((head, body)).await.unwrap();
            let answer = r#"{"id":"x","choices":[{"message":{"content":"a"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":4}}"#;
            let head = "HTTP/1.1 429 Too Many Requests\r\ncontent-type: application/json\r\nconnection: close\r\n";
            let text = format!("{head}content-length: {}\r\n\r\n{answer}", answer.len());
            stream.write_all(text.as_bytes()).await.unwrap();
        }
    });
    (address, told)
}

#[tokio::test]
async fn a_request_is_sent_on_as_it_came_once_and_written_down() {
    let (address, mut told) = overheard().await;
    let folder = tempfile::tempdir().unwrap();
    let audit = folder.path().join("audit.jsonl").display().to_string();
    let feedback = folder.path().join("feedback.jsonl").display().to_string();
    let text = format!(
        "audit = {{ path = {audit:?} }}\n\
         [rate_limit]\nlimits = [{{ requests = 1, per = \"1h\" }}]\n\
         [cache]\n[feedback]\nfile = {feedback:?}\n\
         [models]\nunknown = \"reject\"\n[models.aliases]\n\"fast\" = \"gpt\"\n\
         [[budgets]]\nname = \"all\"\nhard = \"0.000001\"\nper = \"day\"\nunknown_price = \"refuse\"\n\
         [[routes]]\nname = \"safe\"\nfallback = {{ targets = [\"a\", \"b\"] }}\n\
         [[routes]]\nname = \"moving\"\nsplit = {{ targets = [\"safe\", \"b\"], weights = [1, 1000] }}\nrollout = {{}}\n\
         [[routes]]\nname = \"pool\"\nmodels = [\"fast\"]\nbalance = {{ targets = [\"moving\", \"b\"], weights = [1, 100] }}\n\
         [[routes]]\nname = \"quick\"\nhedge = {{ targets = [\"pool\"], delay = \"1ms\" }}\n\
         [[upstreams]]\nname = \"a\"\nbase_url = \"http://{address}/v1\"\naliases = {{ \"gpt\" = \"other\" }}\n\
         rules = [{{ models = [\"*\"], drop = [\"top_p\"], set = {{ store = false }} }}]\n\
         retry = {{ attempts = 5 }}\nnormalize = {{}}\ncircuit_breaker = {{ consecutive_failures = 1 }}\ncommit_guard = {{}}\n\
         [[upstreams]]\nname = \"b\"\nbase_url = \"http://{address}/v1\"\n"
    );
    let config = Config::from_toml(&text, "test").unwrap().observing();
    let relay = Relay::serve(config.build().unwrap()).await;
    let body = r#"{ "top_p" : 1.0, "stream":true,   "model":"fast", "max_tokens": 99999999, "messages":[] }"#;
    for (header, value) in [("authorization", "Bearer sk-mine"), ("x-api-key", "mine")] {
        let mut request = post(relay.uri("/v1/chat/completions"), &Value::Null);
        *request.body_mut() = body.into();
        request.headers_mut().insert(header, value.parse().unwrap());
        let got = send(request).await;
        assert_eq!(got.status, 429);
        assert!(got.text.starts_with(r#"{"id":"x","#), "{}", got.text);
        let (head, sent) = soon(told.recv()).await.unwrap();
        assert_eq!(sent, body);
        assert!(
            head.contains(&format!("{header}: {value}").to_ascii_lowercase()),
            "{head}"
        );
        assert!(told.try_recv().is_err(), "it is sent once");
    }
    assert!(!Path::new(&feedback).exists());
    soon(async {
        while fs::read_to_string(&audit)
            .unwrap_or_default()
            .lines()
            .count()
            < 2
        {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn who_may_call_is_still_asked_and_their_keys_are_not_passed_on() {
    let (address, mut told) = overheard().await;
    let folder = tempfile::tempdir().unwrap();
    let audit = folder.path().join("audit.jsonl").display().to_string();
    let hash = tower_relay::server::tenants::KeyHash::of("sk-acme");
    let text = format!(
        "audit = {{ path = {audit:?} }}\n[[tenants]]\nname = \"acme\"\nkeys = [{{ id = \"one\", sha256 = \"{hash}\" }}]\n\
         limits = [{{ requests = 1, per = \"1h\" }}]\n\
         [[upstreams]]\nname = \"a\"\nbase_url = \"http://{address}/v1\"\n"
    );
    let config = Config::from_toml(&text, "test").unwrap().observing();
    let relay = Relay::serve(config.build().unwrap()).await;
    let ask = |key: &str| {
        let mut request = post(
            relay.uri("/v1/chat/completions"),
            &json!({"model": "m", "messages": []}),
        );
        let key = format!("Bearer {key}").parse().unwrap();
        request.headers_mut().insert("authorization", key);
        request
    };
    assert_eq!(send(ask("sk-other")).await.status, 401);
    for _ in 0..2 {
        assert_eq!(send(ask("sk-acme")).await.status, 429);
        let (head, _) = soon(told.recv()).await.unwrap();
        assert!(
            !head.contains("sk-acme") && !head.contains("x-relay-limit"),
            "{head}"
        );
    }
}
