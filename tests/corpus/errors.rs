//! Every recorded error reads to a message and an outcome, and no recorded answer is taken for an error.

use std::collections::BTreeMap;

use http::StatusCode;
use serde_json::Value;
use tower_relay::message::{ApiError, Dialect, Outcome, classify_error};

use super::{records, sent::headers};

/// What known answers of status 200 mean that are errors, as a person read them.
const INSIDE_200: &[(&str, &str)] = &[
    ("openai/2808", "quota_exhausted"),
    ("openrouter/18", "invalid_request"),
    ("openrouter/626", "server_error"),
    ("openrouter/665", "server_error"),
    ("openrouter/708", "server_error"),
    ("openrouter/754", "server_error"),
];

#[test]
fn every_recorded_error_reads_to_a_message_and_an_outcome() {
    let Some(records) = records() else { return };
    let mut table = BTreeMap::<_, usize>::new();
    let mut wrong = Vec::new();
    let mut unexplained = 0;
    for record in records.iter().filter(|record| record.status >= 400) {
        let (status, headers) = (
            StatusCode::from_u16(record.status).unwrap(),
            headers(record),
        );
        let error = ApiError::read(status, &headers, record.body().as_bytes());
        let outcome = classify_error(status, &headers, &error).as_str();
        *table
            .entry((record.provider.as_str(), outcome))
            .or_default() += 1;
        unexplained += usize::from(error.message().starts_with("the upstream answered"));
        if error.message().is_empty() || !is_plausible(record.status, outcome) {
            wrong.push(format!(
                "{}: {} {outcome}: {error}",
                record.id, record.status
            ));
        }
        check_written(&error);
    }
    println!("{:<18} {:<18} {:>5}", "errors", "outcome", "count");
    for ((provider, outcome), count) in &table {
        println!("{provider:<18} {outcome:<18} {count:>5}");
    }
    println!(
        "{:<18} {:<18} {:>5}",
        "all",
        "",
        table.values().sum::<usize>()
    );
    println!("{:<18} {:<18} {:>5}", "without message", "", unexplained);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn an_error_inside_a_200_is_recognised_and_nothing_else_is() {
    let Some(records) = records() else { return };
    let mut found = BTreeMap::new();
    let (mut answers, mut looked_at) = (0, 0);
    for record in records.iter().filter(|record| record.is_success()) {
        answers += 1;
        let events = if record.is_events() {
            record.events()
        } else {
            vec![record.body().to_owned()]
        };
        looked_at += events.len();
        let error = events
            .iter()
            .find_map(|event| ApiError::in_answer(event.as_bytes()));
        let expected = events.iter().any(|event| is_error(event));
        assert_eq!(error.is_some(), expected, "{}: {error:?}", record.id);
        let Some(error) = error else { continue };
        let outcome = classify_error(error.status(), &headers(record), &error).as_str();
        println!("{}: {outcome}: {error}", record.id);
        check_written(&error);
        found.insert(record.id.as_str(), outcome);
    }
    println!(
        "errors inside 200: {} of {answers} answers, {looked_at} bodies and events looked at",
        found.len()
    );
    for record in &records {
        if let Some((id, outcome)) = INSIDE_200.iter().find(|(id, _)| *id == record.id) {
            assert_eq!(found.get(id), Some(outcome), "{id}");
        }
    }
}

/// Whether a body or event is an error: a second reader, for the places that recordings show.
fn is_error(event: &str) -> bool {
    let Ok(json) = serde_json::from_str::<Value>(event) else {
        return false;
    };
    let failed = matches!(json["type"].as_str(), Some("error" | "response.failed"));
    let in_choice = |choice: &Value| !choice["error"].is_null();
    failed
        || !json["error"].is_null()
        || json["choices"]
            .as_array()
            .is_some_and(|choices| choices.iter().any(in_choice))
}

/// What an outcome may be by status alone: a second opinion, so coarse that only a blunder contradicts it.
fn is_plausible(status: u16, outcome: &str) -> bool {
    match status {
        401 => outcome == Outcome::UpstreamAuth.as_str(),
        404 => matches!(outcome, "model_not_found" | "invalid_request"),
        429 => matches!(
            outcome,
            "rate_limited" | "quota_exhausted" | "overloaded" | "context_too_long"
        ),
        400..=499 => !matches!(
            outcome,
            "success" | "server_error" | "transport" | "refused" | "cancelled"
        ),
        _ => matches!(outcome, "server_error" | "overloaded" | "timeout"),
    }
}

/// Each dialect's body has the members that its callers' SDKs read, as strings.
fn check_written(error: &ApiError) {
    let json = |dialect| serde_json::from_str::<Value>(&error.to_json(dialect)).unwrap();
    let openai = json(Dialect::OpenAi);
    let member = |name: &str| &openai["error"][name];
    assert!(
        member("message").is_string() && member("type").is_string(),
        "{openai}"
    );
    assert!(
        member("param").is_null() || member("param").is_string(),
        "{openai}"
    );
    assert!(
        member("code").is_null() || member("code").is_string(),
        "{openai}"
    );
    let anthropic = json(Dialect::Anthropic);
    assert!(
        anthropic["error"]["type"].is_string() && anthropic["type"] == "error",
        "{anthropic}"
    );
}
