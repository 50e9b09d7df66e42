use std::sync::{Arc, Mutex};

use http::{Request, Response, StatusCode};
use tower::{Layer, ServiceExt};

use super::*;
use crate::{
    ledger::Feedback,
    message::{RequestBody, ResponseBody, Served},
    testing::{answering, read},
};

fn answers(upstream: Option<&'static str>) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::from("{}"));
    if let Some(upstream) = upstream {
        response
            .extensions_mut()
            .insert(Served::by(upstream.into()));
    }
    response
}

/// Asks through `layer` with this id and key, and is answered by `upstream`.
async fn ask(layer: &FeedbackLayer, id: &str, key: &str, upstream: Option<&'static str>) {
    let request = Request::post("/v1/chat/completions")
        .header("x-relay-request-id", id)
        .header("authorization", format!("Bearer {key}"))
        .body(RequestBody::json("{}"))
        .unwrap();
    let service = layer.layer(answering(move |_| answers(upstream)));
    service.oneshot(request).await.unwrap();
}

async fn post(layer: &FeedbackLayer, key: &str, body: String) -> (StatusCode, String) {
    let request = Request::post("/v1/feedback")
        .header("authorization", format!("Bearer {key}"))
        .body(RequestBody::bytes(body))
        .unwrap();
    let service = layer.layer(answering(|_| panic!("it is for the layer")));
    let (head, text) = read::<ResponseBody>(service.oneshot(request).await.unwrap()).await;
    (head.status, text)
}

fn score(id: &str, score: f64) -> String {
    format!(r#"{{"request_id": "{id}", "score": {score}}}"#)
}

#[tokio::test]
async fn a_score_counts_for_whoever_answered_and_is_written_down() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("feedback.jsonl");
    let told = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&told);
    let (layer, worker) = FeedbackLayer::builder()
        .file(&file)
        .on_feedback(move |feedback| log.lock().unwrap().push(feedback.clone()))
        .build()
        .unwrap();
    let (end, worker) = (worker.shutdown_handle(), tokio::spawn(worker));
    ask(&layer, "a", "k", Some("old")).await;
    ask(&layer, "b", "k", Some("new")).await;
    let (status, text) = post(&layer, "k", score("a", 0.25)).await;
    assert_eq!(status, 200);
    assert_eq!(text, r#"{"request_id":"a","upstream":"old","score":0.25}"#);
    post(&layer, "k", score("b", 1.0)).await;
    post(&layer, "k", score("b", 0.5)).await;
    let scores = layer.handle().scores();
    let scores: Vec<_> = scores
        .iter()
        .map(|one| (&*one.upstream, one.scores.count(), one.scores.mean()))
        .collect();
    assert_eq!(scores, [("new", 1, Some(0.5)), ("old", 1, Some(0.25))]);
    end.shutdown();
    worker.await.unwrap();
    let written = std::fs::read_to_string(file).unwrap();
    let written: Vec<Feedback> = written
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(written.len(), 3);
    assert_eq!(written, *told.lock().unwrap());
}

#[tokio::test]
async fn only_who_asked_may_say_what_came_of_it() {
    let (layer, _worker) = FeedbackLayer::builder().build().unwrap();
    ask(&layer, "a", "k", Some("old")).await;
    ask(&layer, "refused", "k", None).await;
    for (key, id) in [("other", "a"), ("k", "unheard"), ("k", "refused")] {
        let (status, text) = post(&layer, key, score(id, 1.0)).await;
        assert_eq!(status, 404, "{key} {id}");
        assert!(text.contains("request_not_found"), "{text}");
    }
    assert!(layer.handle().scores().is_empty());
    assert!(
        layer.handle().post("a", 1.0).is_none(),
        "it came with a key"
    );
}

#[tokio::test]
async fn what_is_no_score_is_refused_with_the_reason() {
    let (layer, _worker) = FeedbackLayer::builder().build().unwrap();
    ask(&layer, "a", "k", Some("old")).await;
    for (body, reason, param) in [
        (String::new(), "EOF", None),
        ("[]".to_owned(), "invalid length", None),
        (score("a", 1.5), "from 0 to 1", Some("score")),
        (score("a", -0.1), "from 0 to 1", Some("score")),
        (
            r#"{"request_id":"a","score":null}"#.to_owned(),
            "null",
            Some("score"),
        ),
        (
            r#"{"request_id":7,"score":1}"#.to_owned(),
            "a string",
            Some("request_id"),
        ),
        (
            r#"{"request_id":"a","score":1,"stars":5}"#.to_owned(),
            "stars",
            Some("stars"),
        ),
        (
            r#"{"score":1}"#.to_owned(),
            "request_id",
            Some("request_id"),
        ),
        (" ".repeat(20_000), "at most", None),
    ] {
        let (status, text) = post(&layer, "k", body).await;
        assert_eq!(status, 400, "{text}");
        assert!(text.contains(reason), "{text}");
        let error: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(error["error"]["param"].as_str(), param, "{text}");
    }
    let request = Request::get("/v1/feedback").body(RequestBody::empty());
    let service = layer.layer(answering(|_| answers(None)));
    let response = service.oneshot(request.unwrap()).await.unwrap();
    assert_eq!(response.status(), 405);
}

#[test]
fn what_cannot_work_says_why() {
    for (builder, field) in [
        (FeedbackLayer::builder().path("feedback"), "path"),
        (FeedbackLayer::builder().remember(0), "remember"),
        (FeedbackLayer::builder().file("/nowhere/at/all"), "file"),
    ] {
        assert_eq!(builder.build().unwrap_err().field(), field);
    }
}
