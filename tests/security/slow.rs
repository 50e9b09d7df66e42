//! Callers who take their time, and the gateway's.

use std::time::Duration;

use serde_json::json;
use tokio::{io::AsyncWriteExt, net::TcpStream, time::sleep};
use tower_relay::server::tenants::KeyHash;

use crate::{
    harness::{Relay, chat, get, scripted, soon},
    raw::{Recorder, rest, statuses},
};

const HEAD: &str =
    "POST /v1/chat/completions HTTP/1.1\r\nhost: relay\r\ncontent-type: application/json\r\n";
/// A little of a request, and then a little more, for as long as it is listened to.
const DRIP: Duration = Duration::from_millis(20);

async fn relay(upstream: std::net::SocketAddr, more: &str) -> Relay {
    let config = format!(
        "[server]\nheader_timeout = \"150ms\"\nidle_timeout = \"300ms\"\n\
         [edge]\nbody_timeout = \"150ms\"\ndeadline = \"400ms\"\n{more}\n\
         [[upstreams]]\nname = \"u\"\nbase_url = \"http://{upstream}/v1\"\ncredential = {{ env = \"DEMO_KEY\" }}\n"
    );
    Relay::start(&config).await
}

/// Sends `start`, and then one of `piece` after the other until the gateway has had enough; what it answered.
async fn drip(relay: &Relay, start: &str, piece: &'static str) -> String {
    let stream = TcpStream::connect(relay.address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let (mut reading, mut writing) = stream.into_split();
    writing.write_all(start.as_bytes()).await.unwrap();
    let dripping = tokio::spawn(async move {
        while writing.write_all(piece.as_bytes()).await.is_ok() {
            sleep(DRIP).await;
        }
    });
    let mut answer = Vec::new();
    let _ = soon(tokio::io::AsyncReadExt::read_to_end(
        &mut reading,
        &mut answer,
    ))
    .await;
    dripping.abort();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn a_head_that_drips_is_not_waited_for() {
    let upstream = Recorder::start().await;
    let relay = relay(upstream.address, "").await;
    let started = tokio::time::Instant::now();
    for (start, piece) in [("", "G"), (HEAD, "x"), (HEAD, "x-a: b\r\n")] {
        let answer = drip(&relay, start, piece).await;
        assert!(!statuses(&answer).contains(&200), "{answer}");
    }
    assert!(started.elapsed() < Duration::from_secs(5));
    assert!(upstream.seen().is_empty());
}

#[tokio::test]
async fn a_body_that_drips_is_answered_408() {
    let upstream = Recorder::start().await;
    let relay = relay(upstream.address, "").await;
    for (more, piece) in [
        ("content-length: 1000000\r\n\r\n{", " "),
        ("transfer-encoding: chunked\r\n\r\n", "1\r\n \r\n"),
        ("transfer-encoding: chunked\r\n\r\n1", ";"),
    ] {
        let start = format!("{HEAD}{more}");
        let stream = drip(&relay, &start, piece);
        let answer = stream.await;
        assert_eq!(statuses(&answer), [408], "{answer}");
        assert!(answer.contains("\"error\""), "{answer}");
    }
    assert!(upstream.seen().is_empty());
}

#[tokio::test]
async fn an_upload_that_drips_ends_at_the_deadline_and_lets_the_upstream_go() {
    let (upstream, mut asked) = scripted().await;
    let relay = relay(upstream, "").await;
    let start = "POST /v1/files HTTP/1.1\r\nhost: relay\r\ncontent-type: multipart/form-data; boundary=x\r\n\
                 content-length: 1000000\r\n\r\n";
    let answering = drip(&relay, start, "x");
    let reading = async {
        let mut request = soon(asked.recv()).await.unwrap();
        // It ends, and not as if it were whole.
        loop {
            match soon(http_body_util::BodyExt::frame(&mut request.body)).await {
                Some(Ok(_)) => {}
                Some(Err(_)) => return,
                None => panic!("a body that was cut looks whole"),
            }
        }
    };
    let (answer, ()) = tokio::join!(answering, reading);
    assert!(!answer.contains("\"object\""), "{answer}");
}

#[tokio::test]
async fn who_may_not_call_is_not_listened_to() {
    let upstream = Recorder::start().await;
    let tenant = format!(
        "[[tenants]]\nname = \"a\"\nkeys = [{{ id = \"one\", sha256 = \"{}\" }}]\n",
        KeyHash::of("sk-a")
    );
    let relay = relay(upstream.address, &tenant).await;
    let mut stream = TcpStream::connect(relay.address).await.unwrap();
    let start = format!("{HEAD}authorization: Bearer sk-b\r\ncontent-length: 1000000\r\n\r\n{{");
    stream.write_all(start.as_bytes()).await.unwrap();
    let answer = rest(stream).await;
    assert_eq!(statuses(&answer), [401], "{answer}");
    assert!(upstream.seen().is_empty());
}

#[tokio::test]
async fn those_who_wait_for_ever_keep_nobody_else_out() {
    let upstream = Recorder::start().await;
    let relay = relay(upstream.address, "").await;
    let mut silent = Vec::new();
    for number in 0..200 {
        let mut stream = TcpStream::connect(relay.address).await.unwrap();
        let start = ["", "P", HEAD, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"][number % 4];
        stream.write_all(start.as_bytes()).await.unwrap();
        silent.push(stream);
    }
    let body = chat("m", &json!({}));
    let uri = relay.uri("/v1/chat/completions");
    let got = crate::harness::send(crate::harness::post(uri, &body)).await;
    assert_eq!(got.status, 200);
    assert_eq!(get(relay.uri("/health")).await.status, 200);
    // All of them are let go.
    for stream in silent {
        let answer = rest(stream).await;
        assert!(!statuses(&answer).contains(&200), "{answer}");
    }
}
