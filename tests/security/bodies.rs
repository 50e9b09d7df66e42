//! Bodies that are more than they seem.

use crate::{
    harness::Relay,
    raw::{Recorder, exchange, post, response, statuses},
};

/// `{"model":"demo-small","pad":"…"}` with 64 KiB of spaces, as gzip makes it: 129 bytes.
const BOMB: &str = "1f8b0800000000000203edc8b10980301000c055e46b5dc06d029fee43044b71f76490bbf2be18337bc51dd9c7bcded1aae28ca7e5ae03000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000b6f8177f7dfda81f000100";

fn bomb() -> Vec<u8> {
    let digits = BOMB.as_bytes().chunks(2);
    let text = digits.map(|pair| std::str::from_utf8(pair).unwrap());
    text.map(|pair| u8::from_str_radix(pair, 16).unwrap())
        .collect()
}

/// With all that reads requests and answers.
async fn relay(upstream: &Recorder) -> Relay {
    let audit = tempfile::tempdir().unwrap().keep().join("audit.jsonl");
    let config = format!(
        "[edge]\nmax_body = \"4kB\"\n[rate_limit]\n[model_select]\n[models]\nrestore_name = true\n\
         [cache]\nscope = \"shared\"\nrequests = \"all\"\n[audit]\npath = {audit:?}\n\
         [[upstreams]]\nname = \"u\"\nbase_url = \"http://{}/v1\"\ncredential = {{ env = \"DEMO_KEY\" }}\n\
         normalize = {{}}\ncommit_guard = {{}}\n",
        upstream.address
    );
    Relay::start(&config).await
}

#[tokio::test]
async fn a_compressed_body_is_never_inflated() {
    let upstream = Recorder::start().await;
    let relay = relay(&upstream).await;
    for encoding in [
        "gzip",
        "GZIP",
        "deflate",
        "br",
        "zstd",
        "identity, gzip",
        "gzip, gzip",
        "x",
    ] {
        let more = format!("content-encoding: {encoding}\r\n");
        let request = post("/v1/chat/completions", &more, &bomb());
        let answer = exchange(relay.address, &request).await;
        match statuses(&answer)[..] {
            [200] => {
                let seen = upstream.take().remove(0);
                assert_eq!(seen.body, bomb(), "{encoding}");
                assert_eq!(seen.all("content-encoding"), [encoding]);
            }
            [400..500] => assert!(upstream.take().is_empty()),
            _ => panic!("{encoding}: {answer}"),
        }
    }
    // One that says it is none is no JSON.
    let request = post(
        "/v1/chat/completions",
        "content-encoding: identity\r\n",
        &bomb(),
    );
    let answer = exchange(relay.address, &request).await;
    assert_eq!(statuses(&answer), [400], "{answer}");
}

#[tokio::test]
async fn a_compressed_answer_is_never_inflated() {
    for (status, media) in [
        ("200 OK", "application/json"),
        ("200 OK", "text/event-stream"),
        ("500 Oh", "application/json"),
        ("400 Bad", "application/json"),
    ] {
        let upstream = Recorder::answering(move |_| {
            let answer = response(status, "content-encoding: gzip\r\n", &bomb());
            let text = String::from_utf8_lossy(&answer[..60]).into_owned();
            assert!(text.contains("application/json"));
            let at = text.find("application/json").unwrap();
            let rest = &answer[at + "application/json".len()..];
            [&answer[..at], media.as_bytes(), rest].concat()
        })
        .await;
        let relay = relay(&upstream).await;
        let body = br#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#;
        let answer = exchange(relay.address, &post("/v1/chat/completions", "", body)).await;
        assert_eq!(statuses(&answer).len(), 1, "{answer}");
        assert!(answer.len() < 4096, "{} bytes", answer.len());
        assert!(!answer.contains("      "), "{answer}");
    }
}

#[tokio::test]
async fn a_body_over_the_cap_is_refused_however_its_length_is_said() {
    let upstream = Recorder::start().await;
    let relay = relay(&upstream).await;
    let large = format!("{{\"model\":\"m\",\"pad\":\"{}\"}}", "x".repeat(64 << 10));
    let answer = exchange(
        relay.address,
        &post("/v1/chat/completions", "", large.as_bytes()),
    )
    .await;
    assert_eq!(statuses(&answer), [413], "{answer}");
    let chunked = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: relay\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n\
         {:x}\r\n{large}\r\n0\r\n\r\n",
        large.len()
    );
    let answer = exchange(relay.address, chunked.as_bytes()).await;
    assert_eq!(statuses(&answer), [413], "{answer}");
    // Whoever only says that it will be large is not asked for it.
    let promised = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: relay\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        u64::MAX / 4
    );
    let answer = exchange(relay.address, promised.as_bytes()).await;
    assert_eq!(statuses(&answer), [413], "{answer}");
    assert!(upstream.seen().is_empty());
}
