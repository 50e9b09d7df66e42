//! How connections and the gateway itself end.

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::harness::{Asked, Relay, caller, chat, demo, post, receive, scripted, soon};

/// A stream through `relay` that has begun.
async fn begun(
    relay: &Relay,
    asked: &mut tokio::sync::mpsc::Receiver<Asked>,
) -> (Asked, hyper::body::Incoming) {
    let request = post(
        relay.uri("/v1/chat/completions"),
        &chat("gpt-4.1-mini", &json!({"stream": true})),
    );
    let answering = tokio::spawn(caller().request(request));
    let asked = soon(asked.recv()).await.unwrap();
    asked.say("data: one\n\n").await;
    let mut body = soon(answering).await.unwrap().unwrap().into_body();
    assert_eq!(
        soon(body.frame())
            .await
            .unwrap()
            .unwrap()
            .into_data()
            .unwrap(),
        "data: one\n\n"
    );
    (asked, body)
}

#[tokio::test]
async fn a_shutdown_takes_no_more_callers_and_lets_streams_finish() {
    let (upstream, mut asked) = scripted().await;
    let mut relay = Relay::before(upstream).await;
    let (asked, body) = begun(&relay, &mut asked).await;

    relay.stop();
    soon(async { while TcpStream::connect(relay.address).await.is_ok() {} }).await;
    asked.say("data: two\n\n").await;
    drop(asked);
    assert_eq!(
        soon(body.collect()).await.unwrap().to_bytes(),
        "data: two\n\n"
    );
    relay.ended().await;
}

#[tokio::test]
async fn a_stream_that_does_not_finish_is_cut_at_the_deadline_of_the_shutdown() {
    let (upstream, mut asked) = scripted().await;
    let mut relay = Relay::with(upstream, "[server]\nshutdown_timeout = \"50ms\"").await;
    let (asked, body) = begun(&relay, &mut asked).await;

    relay.stop();
    relay.ended().await;
    assert!(
        soon(body.collect()).await.is_err(),
        "a cut stream must not look whole"
    );
    soon(asked.answer.closed()).await;
}

#[tokio::test]
async fn idle_connections_do_not_hold_up_a_shutdown() {
    let mut relay = Relay::before(demo().await.0).await;
    let mut fresh = TcpStream::connect(relay.address).await.unwrap();
    let mut kept = TcpStream::connect(relay.address).await.unwrap();
    kept.write_all(b"GET /health HTTP/1.1\r\nhost: relay\r\n\r\n")
        .await
        .unwrap();
    let mut answer = [0; 15];
    soon(kept.read_exact(&mut answer)).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200 OK");

    relay.stop();
    relay.ended().await;
    let mut rest = Vec::new();
    soon(kept.read_to_end(&mut rest)).await.unwrap();
    // Nothing was ever asked here.
    let _ = soon(fresh.read_to_end(&mut rest)).await;
}

#[tokio::test]
async fn a_caller_who_is_slow_with_a_head_is_cut_off() {
    let relay = Relay::with(demo().await.0, "[server]\nheader_timeout = \"50ms\"").await;
    for start in [
        "POST /v1/chat/completions HTTP/1.1\r\nx-slow: ",
        "P",
        "PRI * HTTP/2.0\r\n\r\n",
    ] {
        let mut slow = TcpStream::connect(relay.address).await.unwrap();
        slow.write_all(start.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        // The end comes as one, or as a reset.
        let _ = soon(slow.read_to_end(&mut answer)).await;
        assert!(!answer.starts_with(b"HTTP/1.1 200"), "{start:?}");
    }
}

#[tokio::test]
async fn a_connection_without_a_request_is_closed_after_a_while() {
    let limits = "[server]\nheader_timeout = \"50ms\"\nidle_timeout = \"50ms\"";
    let relay = Relay::with(demo().await.0, limits).await;
    let mut silent = TcpStream::connect(relay.address).await.unwrap();
    let mut kept = TcpStream::connect(relay.address).await.unwrap();
    kept.write_all(b"GET /health HTTP/1.1\r\nhost: relay\r\n\r\n")
        .await
        .unwrap();
    let mut http2 = TcpStream::connect(relay.address).await.unwrap();
    http2
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
        .await
        .unwrap();
    for connection in [&mut silent, &mut kept, &mut http2] {
        let mut answer = Vec::new();
        let _ = soon(connection.read_to_end(&mut answer)).await;
    }
}

#[tokio::test]
async fn a_request_may_take_longer_than_a_head_and_an_idle_connection() {
    let (upstream, mut asked) = scripted().await;
    let limits = "[server]\nheader_timeout = \"20ms\"\nidle_timeout = \"20ms\"";
    let relay = Relay::with(upstream, limits).await;
    let (asked, body) = begun(&relay, &mut asked).await;
    // Another connection lives and ends meanwhile, by the same limits.
    let mut silent = TcpStream::connect(relay.address).await.unwrap();
    let _ = soon(silent.read_to_end(&mut Vec::new())).await;
    asked.say("data: two\n\n").await;
    drop(asked);
    assert_eq!(
        soon(body.collect()).await.unwrap().to_bytes(),
        "data: two\n\n"
    );
}

#[tokio::test]
async fn a_caller_who_takes_nothing_of_an_answer_is_cut_off_and_the_upstream_let_go() {
    for limit in [
        "[server]\nidle_timeout = \"50ms\"",
        "[edge]\ndeadline = \"100ms\"",
    ] {
        let (upstream, mut asked) = scripted().await;
        let relay = Relay::with(upstream, limit).await;
        let mut stuck = TcpStream::connect(relay.address).await.unwrap();
        let body = chat("gpt-4.1-mini", &json!({"stream": true})).to_string();
        let head = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: relay\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        stuck.write_all(head.as_bytes()).await.unwrap();
        stuck.write_all(body.as_bytes()).await.unwrap();
        let asked = soon(asked.recv()).await.unwrap();
        // Fills every buffer on the way, until the relay lets go.
        let text = Bytes::from(vec![b'x'; 1 << 18]);
        soon(async { while asked.answer.send(text.clone()).await.is_ok() {} }).await;
        drop(stuck);
    }
}

#[tokio::test]
async fn an_http2_caller_who_opens_no_window_loses_the_stream_at_its_deadline_and_no_other() {
    let (upstream, mut asked) = scripted().await;
    let relay = Relay::with(upstream, "[edge]\ndeadline = \"100ms\"").await;
    let socket = TcpStream::connect(relay.address).await.unwrap();
    let (mut caller, connection) = http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(1 << 10)
        .handshake::<_, Full<Bytes>>(TokioIo::new(socket))
        .await
        .unwrap();
    tokio::spawn(connection);
    let request = post(
        relay.uri("/v1/chat/completions"),
        &chat("gpt-4.1-mini", &json!({"stream": true})),
    );
    let answering = tokio::spawn(caller.send_request(request));
    let asked = soon(asked.recv()).await.unwrap();
    let more_than_fits = Bytes::from(vec![b'x'; 1 << 12]);
    asked.answer.send(more_than_fits).await.unwrap();
    let answer = soon(answering).await.unwrap().unwrap();

    soon(asked.answer.closed()).await;
    assert!(
        soon(answer.into_body().collect()).await.is_err(),
        "a cut stream must not look whole"
    );
    let health = Request::get(relay.uri("/health")).body(Full::default());
    let health = soon(caller.send_request(health.unwrap())).await.unwrap();
    assert_eq!(receive(health).await.status, 200);
}

#[tokio::test]
async fn callers_over_the_limit_wait_until_another_has_gone() {
    let relay = Relay::with(demo().await.0, "[server]\nmax_connections = 1").await;
    let head = b"GET /health HTTP/1.1\r\nhost: relay\r\nconnection: close\r\n\r\n";
    let first = TcpStream::connect(relay.address).await.unwrap();
    let mut second = TcpStream::connect(relay.address).await.unwrap();
    second.write_all(head).await.unwrap();
    drop(first);
    let mut answer = String::new();
    soon(second.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
}
