//! What requests cost, and the file that says so.

use std::path::Path;

use serde_json::json;
use tower_relay::{
    ledger::{Record, read_files},
    message::catalog::Cost,
};

use crate::harness::{Relay, chat, demo, post, scripted, send, soon};

const PRICES: &str = "[models.demo-small.prices]\ninput = \"2.00\"\noutput = \"8.00\"\n";

async fn audited(folder: &Path, upstream: &str) -> Relay {
    let (address, _) = demo().await;
    let (prices, audit) = (folder.join("prices.toml"), folder.join("audit.jsonl"));
    std::fs::write(&prices, PRICES).unwrap();
    Relay::start(&format!(
        "[catalog]\nfiles = [\"{}\"]\n[audit]\npath = \"{}\"\n\
         [models.aliases]\n\"fast\" = \"demo-small\"\n\
         [[upstreams]]\nname = \"demo\"\nbase_url = \"http://{address}/v1\"\n\
         credential = {{ env = \"DEMO_KEY\" }}\n{upstream}",
        prices.display(),
        audit.display()
    ))
    .await
}

async fn records(mut relay: Relay, folder: &Path) -> Vec<Record> {
    relay.stop();
    relay.ended().await;
    let records = read_files([folder.join("audit.jsonl")]);
    records.map(Result::unwrap).collect()
}

#[tokio::test]
async fn every_attempt_is_a_line_of_the_audit_and_its_cost_is_exact() {
    let folder = tempfile::tempdir().unwrap();
    let relay = audited(folder.path(), "[upstreams.cost]\ncost_header = true\n").await;
    let uri = || relay.uri("/v1/chat/completions");
    let whole = send(post(uri(), &chat("fast", &json!({})))).await;
    assert_eq!(whole.status, 200);
    let shown = whole.headers["x-relay-cost-usd"]
        .to_str()
        .unwrap()
        .to_owned();
    let streamed = send(post(uri(), &chat("fast", &json!({"stream": true})))).await;
    assert!(!streamed.text.contains("usage"));

    let records = records(relay, folder.path()).await;
    assert_eq!(records.len(), 2);
    for (record, is_stream) in records.iter().zip([false, true]) {
        assert_eq!(record.model_asked.as_deref(), Some("fast"));
        assert_eq!(record.model_served.as_deref(), Some("demo-small"));
        assert_eq!((&*record.upstream, record.stream), ("demo", is_stream));
        let usage = record.usage;
        let pico = u128::from(usage.total_input()) * 2_000_000
            + u128::from(usage.total_output()) * 8_000_000;
        assert_eq!(record.cost_usd.unwrap().pico_usd(), pico);
        assert!(pico > 0 && record.request_id.len() == 32);
    }
    assert_eq!(records[0].cost_usd.unwrap().to_string(), shown);
}

#[tokio::test]
async fn a_request_that_is_tried_again_is_one_request_with_several_lines() {
    let folder = tempfile::tempdir().unwrap();
    let retry = "[upstreams.retry]\nattempts = 3\nbackoff = { base = \"1ms\", cap = \"2ms\" }\n";
    let relay = audited(folder.path(), retry).await;
    let mut request = post(relay.uri("/v1/chat/completions"), &chat("fast", &json!({})));
    let failing = "500".parse().unwrap();
    request.headers_mut().insert("x-demo-status", failing);
    assert_eq!(send(request).await.status, 500);

    let records = records(relay, folder.path()).await;
    let numbers: Vec<_> = records.iter().map(|record| record.attempt).collect();
    assert_eq!(numbers, [1, 2, 3]);
    let ids: std::collections::HashSet<_> = records.iter().map(|r| &r.request_id).collect();
    assert_eq!(ids.len(), 1);
    for record in &records {
        assert_eq!((&*record.outcome, record.status), ("server_error", 500));
        assert_eq!(record.cost_usd.unwrap().to_string(), "0");
    }
}

#[tokio::test]
async fn an_audit_that_cannot_be_kept_is_an_error_at_the_start() {
    let config = tower_relay::gateway::Config::from_toml(
        "[audit]\npath = \"/nowhere/audit.jsonl\"\n[[upstreams]]\nname = \"a\"\nbase_url = \"http://127.0.0.1:1/v1\"\n",
        "test",
    );
    let error = config.and_then(|config| config.build()).unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("audit") && text.contains("/nowhere"),
        "{text}"
    );
}

/// An upstream that says what it charges for the prompt and breaks before it says anything else.
const BREAKS: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\"}}],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":0,\"total_tokens\":9}}\n\n";
const OVERLOADED: &str = "data: {\"error\":{\"message\":\"overloaded\",\"code\":503}}\n\n";
const ANSWERS: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"Hello!\"}}]}\n\n\
                       data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n\
                       data: {\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":4,\"total_tokens\":13}}\n\n\
                       data: [DONE]\n\n";

#[tokio::test]
async fn attempts_that_broke_before_they_were_seen_are_billed_as_their_upstreams_book_them() {
    let folder = tempfile::tempdir().unwrap();
    let ((first, mut broken), (second, mut whole)) = (scripted().await, scripted().await);
    let (prices, audit) = (
        folder.path().join("prices.toml"),
        folder.path().join("audit.jsonl"),
    );
    std::fs::write(&prices, PRICES).unwrap();
    let upstream = |name: &str, address| {
        format!(
            "[[upstreams]]\nname = \"{name}\"\nbase_url = \"http://{address}/v1\"\n\
             [upstreams.retry]\nattempts = 4\nbackoff = {{ base = \"1ms\", cap = \"2ms\" }}\n\
             [upstreams.commit_guard]\n[upstreams.cost]\ncost_in_body = true\n"
        )
    };
    let relay = Relay::start(&format!(
        "[catalog]\nfiles = [\"{}\"]\n[audit]\npath = \"{}\"\n\
         [[routes]]\nname = \"steady\"\nmodels = [\"demo-small\"]\nfallback = {{ targets = [\"a\", \"b\"] }}\n{}{}",
        prices.display(),
        audit.display(),
        upstream("a", first),
        upstream("b", second)
    ))
    .await;
    let request = chat(
        "demo-small",
        &json!({"stream": true, "stream_options": {"include_usage": true}}),
    );
    let answering = tokio::spawn(send(post(relay.uri("/v1/chat/completions"), &request)));
    // The upstreams' own books: upstream, input and output.
    let mut books = Vec::new();
    // An overload is tried again there, and a connection that breaks is left to the other one.
    for error in [Some(OVERLOADED), None] {
        let asked = soon(broken.recv()).await.unwrap();
        asked.say(BREAKS).await;
        if let Some(error) = error {
            asked.say(error).await;
        }
        books.push(("a", 9, 0));
    }
    let asked = soon(whole.recv()).await.unwrap();
    asked.say(ANSWERS).await;
    books.push(("b", 9, 4));
    drop(asked);
    let answered = soon(answering).await.unwrap();
    assert_eq!(answered.status, 200, "{}", answered.text);

    let records = records(relay, folder.path()).await;
    let billed: Vec<_> = records
        .iter()
        .map(|record| {
            let usage = record.usage;
            (&*record.upstream, usage.total_input(), usage.total_output())
        })
        .collect();
    assert_eq!(billed, books);
    let numbers: Vec<_> = records.iter().map(|record| record.attempt).collect();
    assert_eq!(numbers, [1, 2, 3]);
    assert!(
        records
            .iter()
            .all(|record| record.request_id == records[0].request_id)
    );
    let sum: u128 = records
        .iter()
        .map(|record| record.cost_usd.unwrap().pico_usd())
        .sum();
    assert_eq!(sum, 27 * 2_000_000 + 4 * 8_000_000);
    // The request's bill, as the answer states it.
    let shown = Cost::from_pico_usd(sum).to_string();
    assert!(
        answered.text.contains(&format!("\"cost\":{shown}")),
        "{}",
        answered.text
    );
}
