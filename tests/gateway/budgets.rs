//! What callers may spend, and what is left of it after a restart.

use std::path::Path;

use serde_json::{Value, json};
use tower_relay::ledger::read_files;

use crate::harness::{Got, Relay, chat, demo, post, send};

/// 2 USD a million tokens of input and 8 of output; a tenth of that for the cheaper one.
const PRICES: &str = "[models.demo-small.prices]\ninput = \"2.00\"\noutput = \"8.00\"\n\
                      [models.demo-cheap.prices]\ninput = \"0.20\"\noutput = \"0.80\"\n";

async fn relay(folder: &Path, budgets: &str) -> Relay {
    let (address, _) = demo().await;
    let (prices, audit) = (folder.join("prices.toml"), folder.join("audit.jsonl"));
    std::fs::write(&prices, PRICES).unwrap();
    Relay::start(&format!(
        "[catalog]\nfiles = [\"{}\"]\n[audit]\npath = \"{}\"\n{budgets}\
         [models.aliases]\n\"fast\" = \"demo-small\"\n\
         [[upstreams]]\nname = \"demo\"\nbase_url = \"http://{address}/v1\"\n\
         credential = {{ env = \"DEMO_KEY\" }}\n",
        prices.display(),
        audit.display()
    ))
    .await
}

async fn ask(relay: &Relay, team: &'static str, more: &Value) -> Got {
    let mut request = post(relay.uri("/v1/chat/completions"), &chat("fast", more));
    let headers = request.headers_mut();
    headers.insert("x-team", team.parse().unwrap());
    send(request).await
}

#[tokio::test]
async fn what_a_team_has_spent_is_refused_and_still_spent_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let budget = "[[budgets]]\nname = \"team\"\nby = { header = \"x-team\" }\nper = \"month\"\n\
                  hard = \"0.000500\"\nsoft = \"0.000001\"\n";
    let cap = json!({"max_tokens": 50});
    let mut first = relay(folder.path(), budget).await;
    assert_eq!(ask(&first, "growth", &cap).await.status, 200);
    let warned = ask(&first, "growth", &cap).await;
    assert_eq!(warned.status, 200);
    let warning = warned.headers["x-relay-budget-warning"].to_str().unwrap();
    assert!(warning.starts_with("team; spent=0.0000"), "{warning}");
    // More than what is left, and too much in all.
    let refused = ask(&first, "growth", &json!({"max_tokens": 60})).await;
    assert_eq!(refused.failure(), (429, "budget_exceeded".to_owned()));
    assert_eq!(refused.headers["x-should-retry"], "false");
    assert_eq!(refused.json()["error"]["type"], "insufficient_quota");
    assert_eq!(ask(&first, "search", &cap).await.status, 200);
    first.stop();
    first.ended().await;

    let audit = folder.path().join("audit.jsonl");
    let records: Vec<_> = read_files([&audit]).map(Result::unwrap).collect();
    assert_eq!(records.len(), 3);
    assert_eq!(records[0].budgets.get("team"), Some("header:growth"));

    let second = relay(folder.path(), budget).await;
    let refused = ask(&second, "growth", &json!({"max_tokens": 60})).await;
    assert_eq!(refused.failure(), (429, "budget_exceeded".to_owned()));
    let answered = ask(&second, "growth", &json!({"max_tokens": 1})).await;
    assert_eq!(answered.status, 200);
    assert_eq!(
        answered.headers["x-relay-budget-warning"],
        *warning_after(&records)
    );
}

/// What the header says once these were spent.
fn warning_after(records: &[tower_relay::ledger::Record]) -> String {
    let growth = records
        .iter()
        .filter(|record| record.budgets.get("team") == Some("header:growth"));
    let spent: tower_relay::message::catalog::Cost =
        growth.filter_map(|record| record.cost_usd).sum();
    format!("team; spent={spent}; limit=0.0005")
}

#[tokio::test]
async fn a_cheaper_model_is_asked_once_a_budget_is_spent() {
    let folder = tempfile::tempdir().unwrap();
    let budget = "[[budgets]]\nname = \"all\"\nby = \"global\"\nper = \"total\"\nhard = \"0.0000001\"\n\
                  on_exceeded = { model = \"demo-cheap\" }\n";
    let mut relay = relay(folder.path(), budget).await;
    let answered = ask(&relay, "any", &json!({})).await;
    assert_eq!(answered.headers["x-relay-budget-model"], "demo-cheap");
    relay.stop();
    relay.ended().await;
    let records = read_files([folder.path().join("audit.jsonl")]);
    let asked: Vec<_> = records.map(|record| record.unwrap().model_asked).collect();
    assert_eq!(asked, [Some("fast".into())]);
}
