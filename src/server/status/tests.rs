use std::{sync::Arc, time::Duration};

use http::{Request, StatusCode, header};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::time::Instant;
use tower::ServiceExt;

use super::*;
use crate::{
    ledger::{Record, Totals},
    message::catalog::{Cost, ModelCatalog},
    server::{Facts, admin::Access},
    stats::{Stats, Verdict},
    testing::read,
    wire::clock,
};

fn get(path: &str) -> Request<()> {
    let request = Request::get(path).header(header::HOST, "127.0.0.1:9090");
    request.body(()).unwrap()
}

async fn json_of(status: &Status) -> Value {
    let (head, text) = read(status.clone().oneshot(get("/status")).await.unwrap()).await;
    assert_eq!(head.status, StatusCode::OK);
    assert_eq!(head.headers[header::CACHE_CONTROL], "no-store");
    serde_json::from_str(&text).unwrap()
}

fn attempt(key: &str, model: &str, cost: Option<&str>) -> Record {
    let mut record = Record::new(clock::now(), "r", "openai".into());
    record.key = Some(key.into());
    record.model_served = Some(model.into());
    record.usage.input = 1_000_000;
    record.usage.output = 500_000;
    record.cost_usd = cost.and_then(Cost::parse_usd);
    record.outcome = "success".into();
    record
}

#[tokio::test(start_paused = true)]
async fn a_report_has_what_is_known_and_null_for_what_is_not() {
    let stats = Stats::default();
    let now = Instant::now();
    stats
        .series("openai", "m", now)
        .record(now, Verdict::Success);
    let replica = Replica::new("eu-1").one_of(3, ["limits"]);
    let status = Status::builder()
        .facts(&Facts::default().stats(&stats))
        .replica(replica)
        .build();
    let shown = json_of(&status).await;
    assert_eq!(
        shown["replica"],
        json!({"name": "eu-1", "replicas": 3, "shared": ["limits"]})
    );
    assert_eq!(shown["traffic"]["upstreams"][0]["outcomes"]["success"], 1);
    assert_eq!(shown["spend"], Value::Null);
    assert_eq!(shown["controls"], json!({}));
}

#[test]
fn a_report_counts_the_tasks_of_the_runtime_that_it_is_made_in() {
    let status = Status::builder().build();
    assert_eq!(status.report().tasks, None);
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.unwrap().block_on(async {
        assert_eq!(status.report().tasks, Some(0));
        let task = tokio::spawn(std::future::pending::<()>());
        assert_eq!(status.report().tasks, Some(1));
        task.abort();
        assert!(task.await.is_err());
        assert_eq!(status.report().tasks, Some(0));
    });
}

#[tokio::test(start_paused = true)]
async fn spend_is_summed_by_day_model_and_tenant_to_the_last_digit() {
    let totals = Totals::default();
    for (key, model, cost) in [
        ("key:acme/2026", "gpt-4.1-mini", Some("0.1")),
        ("key:acme/2027", "gpt-4.1-mini", Some("0.2")),
        ("key:beta/1", "gpt-4.1", Some("0.000000000001")),
        ("api_key:00", "mystery", None),
    ] {
        totals.add(&attempt(key, model, cost));
    }
    let catalog = ModelCatalog::builtin();
    let status = Status::builder()
        .facts(&Facts::default().ledger(Arc::new(totals)))
        .catalog(&catalog);
    let shown = json_of(&status.baselines(["gpt-4.1", "nobody-knows"]).build()).await;
    let spend = &shown["spend"];
    assert_eq!(spend["total"]["cost_usd"], "0.300000000001");
    assert_eq!(spend["today"]["requests"], 4);
    let names = |of: &str| {
        let groups = spend[of].as_array().unwrap().iter();
        groups
            .map(|group| group["name"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(names("tenants"), ["acme", "beta", "api_key:00"]);
    assert_eq!(names("models"), ["gpt-4.1-mini", "gpt-4.1", "mystery"]);
    assert_eq!(spend["models"][2]["unpriced"], 1);
    // 3 M tokens of input and 1.5 M of output, at the price of the one baseline that has any.
    let savings = spend["savings"].as_array().unwrap();
    assert_eq!(savings.len(), 1);
    let rates = catalog
        .get("gpt-4.1")
        .unwrap()
        .prices
        .as_ref()
        .unwrap()
        .base;
    let usage = attempt("", "", None).usage;
    let would = rates.cost(&(usage + usage + usage)).unwrap();
    assert_eq!(savings[0]["would_cost_usd"], would.to_string());
    assert_eq!(savings[0]["left_out"], 1);
}

#[tokio::test(start_paused = true)]
async fn shadow_copies_are_spend_of_nobody_and_shown_apart() {
    let totals = Totals::default();
    let mut copy = attempt("api_key:00", "gpt-4.1", Some("0.5"));
    copy.shadow = true;
    totals.add(&attempt("key:acme/2026", "gpt-4.1-mini", Some("0.1")));
    totals.add(&copy);
    let status = Status::builder()
        .facts(&Facts::default().ledger(Arc::new(totals)))
        .baselines(["gpt-4.1-mini"]);
    let shown = json_of(&status.build()).await;
    let spend = &shown["spend"];
    for of in ["total", "today"] {
        assert_eq!(
            (&spend[of]["requests"], &spend[of]["cost_usd"]),
            (&json!(1), &json!("0.1"))
        );
    }
    for of in ["days", "models", "tenants", "upstreams"] {
        let groups = spend[of].as_array().unwrap();
        assert_eq!(
            (groups.len(), &groups[0]["requests"]),
            (1, &json!(1)),
            "{of}"
        );
    }
    assert_eq!(spend["savings"][0]["cost_usd"], "0.1");
    let copies = (&spend["copies"]["requests"], &spend["copies"]["cost_usd"]);
    assert_eq!(copies, (&json!(1), &json!("0.5")));
}

#[tokio::test(start_paused = true)]
async fn a_model_that_would_have_been_cheaper_saved_nothing() {
    let totals = Totals::default();
    totals.add(&attempt("a", "dear", Some("1000")));
    let status = Status::builder()
        .facts(&Facts::default().ledger(Arc::new(totals)))
        .baselines(["gpt-4.1-mini"]);
    let shown = json_of(&status.build()).await;
    let saved = shown["spend"]["savings"][0]["saved_usd"].as_str().unwrap();
    assert!(saved.starts_with('-'), "{saved}");
}

#[tokio::test(start_paused = true)]
async fn readers_within_half_a_second_share_a_report() {
    let stats = Stats::default();
    let status = Status::builder()
        .facts(&Facts::default().stats(&stats))
        .build();
    let first = status.json();
    let now = Instant::now();
    stats
        .series("openai", "m", now)
        .record(now, Verdict::Success);
    assert_eq!(status.json(), first);
    status.refresh();
    let second = status.json();
    assert_ne!(second, first);
    tokio::time::advance(Duration::from_millis(600)).await;
    stats
        .series("openai", "m", now)
        .record(now, Verdict::Success);
    assert_ne!(status.json(), second);
}

#[tokio::test(start_paused = true)]
async fn listeners_hear_a_report_a_second_and_are_only_so_many() {
    let status = Status::builder().build();
    let stream = StatusStream::builder().max_listeners(2).build(&status);
    let listen = async || stream.clone().oneshot(get("/status/stream")).await.unwrap();
    let (mut one, two) = (listen().await, listen().await);
    assert_eq!(one.headers()[header::CONTENT_TYPE], "text/event-stream");
    let started = Instant::now();
    for _ in 0..3 {
        let frame = one.body_mut().frame().await.unwrap().unwrap();
        let event = frame.into_data().unwrap();
        assert!(event.starts_with(b"event: status\ndata: {") && event.ends_with(b"}\n\n"));
    }
    assert_eq!(started.elapsed(), Duration::from_secs(2));
    assert_eq!(listen().await.status(), StatusCode::SERVICE_UNAVAILABLE);
    drop(two);
    assert_eq!(listen().await.status(), StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn who_may_not_read_is_told_so() {
    let access = Access::builder().token("ops", "0123456789abcdef").unwrap();
    let status = Status::builder()
        .access(&access.token_to_read(true).build())
        .build();
    let stream = StatusStream::new(&status);
    let refused = status.clone().oneshot(get("/status")).await.unwrap();
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    let refused = stream.oneshot(get("/status/stream")).await.unwrap();
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    let rebound = Request::get("/status").header(header::HOST, "evil.test");
    let refused = status
        .clone()
        .oneshot(rebound.body(()).unwrap())
        .await
        .unwrap();
    assert_eq!(refused.status(), StatusCode::FORBIDDEN);
    let post = Request::post("/status").body(()).unwrap();
    assert_eq!(
        status.oneshot(post).await.unwrap().status(),
        StatusCode::METHOD_NOT_ALLOWED
    );
}
