//! Bytes that pass while they come.

use bytes::Bytes;
use http::Request;
use http_body_util::BodyExt;
use serde_json::json;
use tokio::sync::mpsc;

use crate::harness::{Events, Relay, caller, chat, demo, post, scripted, send, soon};

#[tokio::test]
async fn a_stream_is_the_upstreams_to_the_byte() {
    let (upstream, _) = demo().await;
    let relay = Relay::before(upstream).await;
    let more = json!({"stream": true, "stream_options": {"include_usage": true}});
    let through = send(post(
        relay.uri("/v1/chat/completions"),
        &chat("gpt-4.1-mini", &more),
    ))
    .await;

    let mut request = post(
        format!("http://{upstream}/v1/chat/completions"),
        &chat("demo-small", &more),
    );
    request
        .headers_mut()
        .insert("authorization", "Bearer demo-key".parse().unwrap());
    let direct = send(request).await;
    assert!(
        through.text.ends_with("data: [DONE]\n\n"),
        "{}",
        through.text
    );
    assert_eq!(through.text, direct.text);
}

#[tokio::test]
async fn each_event_passes_before_the_next_one_is_there() {
    let (upstream, mut asked) = scripted().await;
    let relay = Relay::before(upstream).await;
    let request = post(
        relay.uri("/v1/chat/completions"),
        &chat("gpt-4.1-mini", &json!({"stream": true})),
    );
    let answering = tokio::spawn(caller().request(request));
    let asked = soon(asked.recv()).await.unwrap();
    assert_eq!(asked.head.headers["authorization"], "Bearer demo-key");

    let first = "data: {\"choices\":[]}\n\n";
    asked.say(first).await;
    let mut body = soon(answering).await.unwrap().unwrap().into_body();
    assert_eq!(
        soon(body.frame())
            .await
            .unwrap()
            .unwrap()
            .into_data()
            .unwrap(),
        first
    );
    for event in ["data: {\"choices\":[{}]}\n\n", "data: [DONE]\n\n"] {
        asked.say(event).await;
        assert_eq!(
            soon(body.frame())
                .await
                .unwrap()
                .unwrap()
                .into_data()
                .unwrap(),
            event
        );
    }
    drop(asked);
    assert!(soon(body.frame()).await.is_none());
}

#[tokio::test]
async fn an_upload_reaches_the_upstream_piece_by_piece() {
    let (upstream, mut asked) = scripted().await;
    let relay = Relay::before(upstream).await;
    let (pieces, body) = mpsc::channel(1);
    let request = Request::post(relay.uri("/v1/files"))
        .header("content-type", "multipart/form-data; boundary=b");
    let answering = tokio::spawn(caller().request(request.body(Events(body)).unwrap()));

    pieces.send(Bytes::from_static(b"one")).await.unwrap();
    let mut asked = soon(asked.recv()).await.unwrap();
    for (sent, next) in [("one", "two"), ("two", "three")] {
        let piece = soon(asked.body.frame())
            .await
            .unwrap()
            .unwrap()
            .into_data()
            .unwrap();
        assert_eq!(piece, sent);
        pieces
            .send(Bytes::from_static(next.as_bytes()))
            .await
            .unwrap();
    }
    drop(pieces);
    assert_eq!(
        soon(asked.body.collect()).await.unwrap().to_bytes(),
        "three"
    );
    drop(asked.answer);
    assert_eq!(soon(answering).await.unwrap().unwrap().status(), 200);
}

#[tokio::test]
async fn a_caller_who_leaves_mid_stream_ends_the_upstreams_work() {
    let (upstream, mut asked) = scripted().await;
    let relay = Relay::before(upstream).await;
    let caller = caller();
    let request = post(
        relay.uri("/v1/chat/completions"),
        &chat("gpt-4.1-mini", &json!({"stream": true})),
    );
    let answering = tokio::spawn(caller.request(request));
    let asked = soon(asked.recv()).await.unwrap();
    asked.say("data: {}\n\n").await;
    let mut response = soon(answering).await.unwrap().unwrap();
    soon(response.body_mut().frame()).await.unwrap().unwrap();
    assert!(!asked.answer.is_closed());

    drop((response, caller));
    soon(asked.answer.closed()).await;
}

#[tokio::test]
async fn a_caller_who_leaves_before_the_answer_ends_the_upstreams_work_too() {
    let (upstream, mut asked) = scripted().await;
    let relay = Relay::before(upstream).await;
    let caller = caller();
    let request = post(
        relay.uri("/v1/chat/completions"),
        &chat("gpt-4.1-mini", &json!({"stream": true})),
    );
    let answering = tokio::spawn(caller.request(request));
    let asked = soon(asked.recv()).await.unwrap();
    answering.abort();
    drop(caller);
    soon(asked.answer.closed()).await;
}
