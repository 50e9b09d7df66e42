//! Where one request ends and the next begins is not for two to see differently.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    harness::{Relay, soon},
    raw::{Recorder, Trap, exchange, rest, statuses},
};

const CHAT: &str = r#"{"model":"m","messages":[]}"#;
/// What must never be taken for a request.
const HIDDEN: &str = "POST /v1/smuggled HTTP/1.1\r\nhost: relay\r\ncontent-length: 0\r\n\r\n";

async fn relay(upstream: &Recorder) -> Relay {
    let config = format!(
        "[[upstreams]]\nname = \"u\"\nbase_url = \"http://{}/v1\"\ncredential = {{ env = \"DEMO_KEY\" }}\n",
        upstream.address
    );
    Relay::start(&config).await
}

fn head(more: &str) -> String {
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: relay\r\ncontent-type: application/json\r\n{more}\r\n"
    )
}

fn chunked(body: &str) -> String {
    format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len())
}

fn hidden_reached(upstream: &Recorder) -> bool {
    let seen = upstream.seen();
    seen.iter()
        .any(|request| request.target().contains("smuggled"))
}

#[tokio::test]
async fn a_request_whose_length_is_in_doubt_is_refused_and_nothing_of_it_sent_on() {
    let upstream = Recorder::start().await;
    let relay = relay(&upstream).await;
    let length = CHAT.len();
    for more in [
        format!("content-length: {length}\r\ncontent-length: 0\r\n"),
        format!("content-length: {length}, {length}\r\n"),
        format!("content-length: +{length}\r\n"),
        format!("content-length: {length} 0\r\n"),
        "content-length: -1\r\n".to_owned(),
        "content-length: 0x1b\r\n".to_owned(),
        "content-length: 99999999999999999999999\r\n".to_owned(),
        "content-length:\r\n".to_owned(),
        format!("content-length : {length}\r\n"),
        format!(" content-length: {length}\r\n"),
        format!("content-length: {length}\r\n transfer-encoding: chunked\r\n"),
        "transfer-encoding: gzip\r\n".to_owned(),
        "transfer-encoding: identity\r\n".to_owned(),
        "transfer-encoding: xchunked\r\n".to_owned(),
        "transfer-encoding: chunked, identity\r\n".to_owned(),
        "transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n".to_owned(),
        "transfer-encoding:\x0bchunked\r\n".to_owned(),
        "transfer-encoding:\r\n chunked\r\n".to_owned(),
        "transfer-encoding : chunked\r\n".to_owned(),
        "transfer encoding: chunked\r\n".to_owned(),
        "x-a: b\0c\r\n".to_owned(),
        "x-a: b\rc: d\r\n".to_owned(),
        "no colon\r\n".to_owned(),
        ": no name\r\n".to_owned(),
    ] {
        let request = head(&more) + CHAT + HIDDEN;
        let answer = exchange(relay.address, request.as_bytes()).await;
        assert!(
            !statuses(&answer).iter().any(|status| *status < 400),
            "{more:?}: {answer}"
        );
        assert!(statuses(&answer).len() <= 1, "{more:?}: {answer}");
        assert!(upstream.take().is_empty(), "{more:?}");
    }
}

#[tokio::test]
async fn of_two_lengths_the_chunks_count_and_the_connection_ends_there() {
    let upstream = Recorder::start().await;
    let relay = relay(&upstream).await;
    for more in [
        "content-length: 4\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: chunked\r\ncontent-length: 4\r\n",
        "transfer-encoding: chunked\r\ncontent-length: 4\r\nconnection: keep-alive\r\n",
        "content-length: 4\r\ntransfer-encoding: gzip, chunked\r\n",
    ] {
        let request = head(more) + &chunked(CHAT) + HIDDEN;
        let answer = exchange(relay.address, request.as_bytes()).await;
        assert!(statuses(&answer).len() <= 1, "{more:?}: {answer}");
        assert!(!hidden_reached(&upstream), "{more:?}");
        for seen in upstream.take() {
            assert_eq!(seen.all("content-length"), [CHAT.len().to_string()]);
            assert!(seen.all("transfer-encoding").is_empty(), "{}", seen.head);
            assert_eq!(seen.body, CHAT.as_bytes());
        }
    }
}

#[tokio::test]
async fn the_same_length_twice_is_sent_on_once() {
    let upstream = Recorder::start().await;
    let relay = relay(&upstream).await;
    let length = CHAT.len();
    let more =
        format!("content-length: {length}\r\ncontent-length: {length}\r\nconnection: close\r\n");
    let answer = exchange(relay.address, (head(&more) + CHAT).as_bytes()).await;
    assert_eq!(statuses(&answer), [200]);
    assert_eq!(
        upstream.take()[0].all("content-length"),
        [length.to_string()]
    );
}

#[tokio::test]
async fn chunks_that_are_none_end_the_request() {
    let upstream = Recorder::start().await;
    let relay = relay(&upstream).await;
    let long = format!("1b;{}\r\n{CHAT}\r\n0\r\n\r\n", "x".repeat(1 << 20));
    for body in [
        format!("FFFFFFFFFFFFFFFFF\r\n{CHAT}\r\n0\r\n\r\n"),
        format!("-1\r\n{CHAT}\r\n0\r\n\r\n"),
        format!("0x1b\r\n{CHAT}\r\n0\r\n\r\n"),
        format!("1b;a\nb\r\n{CHAT}\r\n0\r\n\r\n"),
        format!("1b\n{CHAT}\n0\n\n"),
        format!("1bX\r\n{CHAT}\r\n0\r\n\r\n"),
        format!("1a\r\n{CHAT}\r\n0\r\n\r\n"),
        long,
    ] {
        let request = head("transfer-encoding: chunked\r\n") + &body + HIDDEN;
        let answer = exchange(relay.address, request.as_bytes()).await;
        let shown = &body[..body.len().min(40)];
        assert!(
            !statuses(&answer).iter().any(|status| *status < 400),
            "{shown:?}: {answer}"
        );
        assert!(upstream.take().is_empty(), "{shown:?}");
    }
}

#[tokio::test]
async fn extensions_and_trailers_of_chunks_go_no_further() {
    let upstream = Recorder::start().await;
    let relay = relay(&upstream).await;
    for target in ["/v1/chat/completions", "/v1/files"] {
        let request = format!(
            "POST {target} HTTP/1.1\r\nhost: relay\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\
             trailer: x-evil\r\nconnection: close\r\n\r\n1b;name=x-evil\r\n{CHAT}\r\n0\r\nx-evil: 1\r\ncontent-length: 3\r\n\
             authorization: Bearer x-evil\r\n\r\n"
        );
        let answer = exchange(relay.address, request.as_bytes()).await;
        assert_eq!(statuses(&answer), [200], "{answer}");
        let seen = upstream.take();
        assert_eq!(seen.len(), 1);
        let whole = seen[0].head.clone() + &String::from_utf8_lossy(&seen[0].body);
        assert!(!whole.contains("x-evil"), "{whole}");
        assert!(whole.contains(CHAT));
    }
}

#[tokio::test]
async fn the_body_of_a_request_that_is_answered_without_it_is_no_request() {
    let upstream = Recorder::start().await;
    let relay = relay(&upstream).await;
    for line in [
        "GET /health",
        "DELETE /health",
        "POST /../x",
        "CONNECT relay:80",
    ] {
        let request = format!(
            "{line} HTTP/1.1\r\nhost: relay\r\ncontent-length: {}\r\n\r\n{HIDDEN}",
            HIDDEN.len()
        );
        let answer = exchange(relay.address, request.as_bytes()).await;
        assert!(statuses(&answer).len() <= 1, "{line}: {answer}");
        assert!(!hidden_reached(&upstream), "{line}");
    }
    // One that is sent on takes its body with it.
    let request = format!(
        "GET /v1/files HTTP/1.1\r\nhost: relay\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{HIDDEN}",
        HIDDEN.len()
    );
    exchange(relay.address, request.as_bytes()).await;
    let seen = upstream.take();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].target(), "/v1/files");
    assert_eq!(seen[0].body, HIDDEN.as_bytes());
}

#[tokio::test]
async fn nothing_is_tunnelled() {
    let trap = Trap::set().await;
    let upstream = Recorder::start().await;
    let relay = relay(&upstream).await;
    for request in [
        format!(
            "CONNECT {0} HTTP/1.1\r\nhost: {0}\r\n\r\n{HIDDEN}",
            trap.address
        ),
        format!(
            "GET /v1/realtime HTTP/1.1\r\nhost: relay\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n\r\n{HIDDEN}"
        ),
    ] {
        let answer = exchange(relay.address, request.as_bytes()).await;
        let first = statuses(&answer)[0];
        assert!(first >= 400, "{answer}");
        assert_eq!(trap.reached(), 0);
        let targets: Vec<_> = upstream.take();
        assert!(
            targets.iter().all(|seen| seen.target() == "/v1/smuggled"),
            "{targets:?}"
        );
    }
}

#[tokio::test]
async fn heads_are_bounded() {
    let upstream = Recorder::start().await;
    let relay = relay(&upstream).await;
    let many: Vec<_> = (0..20_000)
        .map(|number| format!("x-{number}: 1\r\n"))
        .collect();
    let name = format!("{}: 1\r\n", "x".repeat(1 << 20));
    let value = format!("x-long: {}\r\n", "x".repeat(1 << 20));
    for more in [many.concat(), name, value] {
        let answer = exchange(relay.address, head(&more).as_bytes()).await;
        assert!(
            statuses(&answer).iter().all(|status| *status >= 400),
            "{answer}"
        );
    }
    let target = format!(
        "GET /v1/{} HTTP/1.1\r\nhost: relay\r\n\r\n",
        "x".repeat(1 << 20)
    );
    let answer = exchange(relay.address, target.as_bytes()).await;
    assert!(
        statuses(&answer).iter().all(|status| *status >= 400),
        "{answer}"
    );
    assert!(upstream.take().is_empty());

    // A head that never ends is cut off long before it fills the memory.
    let mut stream = TcpStream::connect(relay.address).await.unwrap();
    stream
        .write_all(b"GET /v1/models HTTP/1.1\r\nx-endless: ")
        .await
        .unwrap();
    let piece = vec![b'x'; 64 << 10];
    let mut sent = 0;
    while sent < (64 << 20) && soon(stream.write_all(&piece)).await.is_ok() {
        sent += piece.len();
    }
    assert!(sent < (64 << 20), "{sent} bytes of a head were taken");
}

#[tokio::test]
async fn an_upstreams_answer_that_is_in_doubt_is_no_answer() {
    for answer in [
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}x",
        "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n{}",
        "HTTP/1.1 200 OK\r\nx-a: b\0c\r\ncontent-length: 2\r\n\r\n{}",
        "HTTP/1.1 200 OK\r\nx-evil : b\r\ncontent-length: 2\r\n\r\n{}",
        "HTTP/1.1 2000 OK\r\ncontent-length: 2\r\n\r\n{}",
        "SSH-2.0-OpenSSH_9.6\r\n\r\n",
    ] {
        let upstream = Recorder::answering(move |_| answer.as_bytes().to_vec()).await;
        let relay = relay(&upstream).await;
        let request = head(&format!(
            "content-length: {}\r\nconnection: close\r\n",
            CHAT.len()
        )) + CHAT;
        let got = exchange(relay.address, request.as_bytes()).await;
        assert_eq!(statuses(&got), [502], "{answer:?}: {got}");
        assert!(got.contains("\"error\""), "{got}");
        assert!(!got.contains("x-evil"), "{got}");
    }
}

#[tokio::test]
async fn what_an_upstream_sends_after_its_answer_is_not_the_next_callers() {
    let both = [
        crate::raw::response("200 OK", "", br#"{"first":1}"#),
        crate::raw::response("200 OK", "", br#"{"poison":1}"#),
    ]
    .concat();
    let upstream = Recorder::answering(move |_| both.clone()).await;
    let relay = relay(&upstream).await;
    for _ in 0..4 {
        let mut stream = TcpStream::connect(relay.address).await.unwrap();
        let more = format!("content-length: {}\r\nconnection: close\r\n", CHAT.len());
        let request = head(&more) + CHAT;
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut first = [0; 12];
        soon(stream.read_exact(&mut first)).await.unwrap();
        let got = rest(stream).await;
        assert!(!got.contains("poison"), "{got}");
    }
}
