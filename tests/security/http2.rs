//! HTTP/2 has headers that HTTP/1.1 has not, and can say in them what HTTP/1.1 cannot.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::{
    harness::{Relay, get, soon},
    raw::{Recorder, Trap},
};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const GO_AWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// Literal fields, as they are (RFC 7541, section 6.2.2). Each part has less than 127 bytes.
fn fields(pairs: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in pairs {
        block.push(0);
        for part in [name, value] {
            assert!(part.len() < 127);
            block.push(u8::try_from(part.len()).unwrap());
            block.extend(part.as_bytes());
        }
    }
    block
}

/// Sends frames on a new connection, and waits until the gateway has answered on stream 1, or has had enough: whether it answered with
/// headers.
async fn answered(relay: &Relay, frames: &[Vec<u8>]) -> bool {
    let mut stream = TcpStream::connect(relay.address).await.unwrap();
    let start = [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat();
    stream.write_all(&start).await.unwrap();
    let _ = stream.write_all(&frames.concat()).await;
    soon(async {
        loop {
            let mut head = [0; 9];
            if stream.read_exact(&mut head).await.is_err() {
                return false;
            }
            let length =
                usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
            let mut payload = vec![0; length];
            if stream.read_exact(&mut payload).await.is_err() {
                return false;
            }
            match head[3] {
                HEADERS => return true,
                RESET | GO_AWAY => return false,
                _ => {}
            }
        }
    })
    .await
}

async fn relay(upstream: &Recorder) -> Relay {
    let config = format!(
        "[server]\nheader_timeout = \"200ms\"\nidle_timeout = \"400ms\"\n[edge]\nbody_timeout = \"300ms\"\n\
         [[upstreams]]\nname = \"u\"\nbase_url = \"http://{}/v1\"\ncredential = {{ env = \"DEMO_KEY\" }}\n",
        upstream.address
    );
    Relay::start(&config).await
}

#[tokio::test]
async fn what_http1_cannot_say_is_not_said_in_it() {
    let trap = Trap::set().await;
    let evil = trap.address.to_string();
    let upstream = Recorder::start().await;
    let relay = relay(&upstream).await;
    let plain = [
        (":method", "POST"),
        (":scheme", "http"),
        (":authority", "relay"),
        (":path", "/v1/chat/completions"),
        ("content-type", "application/json"),
    ];
    let body = br#"{"model":"m","messages":[]}"#;
    let with = |changed: (usize, (&'static str, &'static str))| {
        let mut pairs = plain;
        pairs[changed.0] = changed.1;
        pairs.to_vec()
    };
    let mut cases = vec![
        with((0, (":method", "POST /v1/evil HTTP/1.1\r\nx-evil: 1"))),
        with((3, (":path", "/v1/x HTTP/1.1\r\nx-evil: 1"))),
        with((3, (":path", "/v1/x\r\n\r\nGET /v1/evil HTTP/1.1\r\n"))),
        with((3, (":path", "/v1/../evil"))),
        with((3, (":path", ""))),
        with((2, (":authority", "relay\r\nx-evil: 1"))),
    ];
    for more in [
        ("x-a", "b\r\nx-evil: 1"),
        ("x-a", "b\nx-evil: 1"),
        ("x-a", "b\0x-evil"),
        ("x-a: b\r\nx-evil", "1"),
        ("x a", "b"),
        ("X-Evil", "1"),
        ("transfer-encoding", "chunked"),
        ("connection", "authorization"),
        ("upgrade", "websocket"),
        ("content-length", "3"),
        ("content-length", "1000"),
        ("content-length", "+27"),
        (":path", "/v1/evil"),
        (":evil", "1"),
        ("te", "chunked"),
    ] {
        let mut pairs = plain.to_vec();
        pairs.push(more);
        cases.push(pairs);
    }
    for pairs in cases {
        let frames = [
            frame(HEADERS, END_HEADERS, 1, &fields(&pairs)),
            frame(DATA, END_STREAM, 1, body),
        ];
        let has_answer = answered(&relay, &frames).await;
        for seen in upstream.take() {
            assert!(has_answer, "{pairs:?}");
            let whole = seen.head.to_ascii_lowercase();
            assert!(!whole.contains("evil"), "{pairs:?}: {whole}");
            assert!(!whole.contains("chunked"), "{pairs:?}: {whole}");
            assert_eq!(seen.all("authorization"), ["Bearer demo-key"]);
            assert_eq!(seen.body, body, "{pairs:?}");
        }
    }

    // Where another host is named, the upstream's own stands instead; and a good request is answered.
    let mut pairs = plain.to_vec();
    pairs[2].1 = &evil;
    let frames = [
        frame(HEADERS, END_HEADERS, 1, &fields(&pairs)),
        frame(DATA, END_STREAM, 1, body),
    ];
    assert!(answered(&relay, &frames).await);
    assert_eq!(
        upstream.take()[0].all("host"),
        [upstream.address.to_string()]
    );
    assert_eq!(trap.reached(), 0);
}

#[tokio::test]
async fn a_head_in_endless_pieces_ends_the_connection() {
    let upstream = Recorder::start().await;
    let relay = relay(&upstream).await;
    let mut stream = TcpStream::connect(relay.address).await.unwrap();
    let start = [
        PREFACE,
        &frame(SETTINGS, 0, 0, &[]),
        &frame(HEADERS, 0, 1, &fields(&[(":method", "GET")])),
    ]
    .concat();
    stream.write_all(&start).await.unwrap();
    let value = "x".repeat(120);
    let piece = frame(CONTINUATION, 0, 1, &fields(&[("x-a", &value)]));
    let pieces: Vec<u8> = piece.repeat(1000);
    let flooding = async {
        let mut sent = 0;
        while stream.write_all(&pieces).await.is_ok() {
            sent += pieces.len();
            assert!(sent < (256 << 20), "{sent} bytes of a head were taken");
        }
    };
    soon(flooding).await;
    assert_eq!(get(relay.uri("/health")).await.status, 200);
}

#[tokio::test]
async fn streams_that_are_opened_and_reset_cost_the_caller_their_connection() {
    let upstream = Recorder::start().await;
    let relay = relay(&upstream).await;
    let mut stream = TcpStream::connect(relay.address).await.unwrap();
    let start = [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat();
    stream.write_all(&start).await.unwrap();
    let block = fields(&[
        (":method", "POST"),
        (":scheme", "http"),
        (":authority", "relay"),
        (":path", "/v1/chat/completions"),
        ("content-type", "application/json"),
    ]);
    let (mut reading, mut writing) = stream.into_split();
    let flooding = async move {
        for number in 0..10_000_u32 {
            let id = 2 * number + 1;
            let pair = [
                frame(HEADERS, END_HEADERS, id, &block),
                frame(RESET, 0, id, &8_u32.to_be_bytes()),
            ];
            if writing.write_all(&pair.concat()).await.is_err() {
                return false;
            }
        }
        true
    };
    let draining = async move {
        let mut sink = vec![0; 64 << 10];
        while matches!(reading.read(&mut sink).await, Ok(1..)) {}
    };
    let (was_taken, ()) = soon(async { tokio::join!(flooding, draining) }).await;
    assert!(!was_taken, "a flood of resets was taken to its end");
    assert!(upstream.seen().is_empty());
    let health = timeout(Duration::from_secs(2), get(relay.uri("/health"))).await;
    assert_eq!(health.unwrap().status, 200);
}
