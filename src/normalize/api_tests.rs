//! The layer at each of its APIs, and with thoughts in streams.

use std::convert::Infallible;

use futures_util::{FutureExt, stream};
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use proptest::prelude::*;
use serde_json::Value;
use tokio_test::block_on;
use tower::{ServiceBuilder, ServiceExt, service_fn};

use super::{Reasoning, ResponseNormalizeLayer};
use crate::message::{RequestBody, ResponseBody};

const JSON: &str = "application/json";
const EVENTS: &str = "text/event-stream";

/// What a caller of `path` gets of `sent`, in pieces of `size` bytes; `sent` breaks off where `breaks`.
fn seen(
    reasoning: Reasoning,
    (method, path): (&str, &str),
    media: &'static str,
    (sent, size, breaks): (&str, usize, bool),
) -> String {
    let layer = ResponseNormalizeLayer::builder()
        .reasoning(reasoning)
        .build()
        .unwrap();
    let pieces = sent.as_bytes().chunks(size).map(|piece| {
        let piece = bytes::Bytes::copy_from_slice(piece);
        Ok::<_, std::io::Error>(Frame::data(piece))
    });
    let broken = breaks.then(|| Err(std::io::Error::other("gone")));
    let pieces: Vec<_> = pieces.chain(broken).collect();
    let mut body = Some(StreamBody::new(stream::iter(pieces)));
    let service =
        ServiceBuilder::new()
            .layer(layer)
            .service(service_fn(move |_: Request<RequestBody>| {
                let mut response = Response::new(body.take().unwrap());
                let headers = response.headers_mut();
                headers.insert("content-type", media.parse().unwrap());
                std::future::ready(Ok::<_, Infallible>(ResponseBody::wrap(response)))
            }));
    let asked = r#"{"model":"asked","stream":true,"stream_options":{"include_usage":true}}"#;
    let request = Request::builder().method(method).uri(path);
    let request = request.body(RequestBody::json(asked)).unwrap();
    let response = service.oneshot(request).now_or_never().unwrap().unwrap();
    let mut body = response.into_body();
    let mut seen = Vec::new();
    while let Some(Ok(frame)) = block_on(body.frame()) {
        seen.extend_from_slice(&frame.into_data().unwrap());
    }
    String::from_utf8(seen).unwrap()
}

const CHAT: (&str, &str) = ("POST", "/v1/chat/completions");
const COMPLETIONS: (&str, &str) = ("POST", "/v1/completions");

fn events(chunks: &[&str]) -> String {
    chunks.iter().fold(String::new(), |events, chunk| {
        events + "data: " + chunk + "\n\n"
    })
}

#[test]
fn a_completion_is_openais_whole_and_in_chunks() {
    let whole = seen(
        Reasoning::Keep,
        COMPLETIONS,
        JSON,
        (
            r#"{"id":"1","object":"text.completion","created":1,"model":"m","prompt":[],"choices":[{"text":"a","finish_reason":"eos"},{"message":{"role":"assistant","content":"b"},"index":1,"logprobs":null,"finish_reason":"tool_calls"}]}"#,
            9,
            false,
        ),
    );
    assert_eq!(
        whole,
        r#"{"id":"1","object":"text_completion","created":1,"model":"m","prompt":[],"choices":[{"text":"a","finish_reason":"stop","index":0,"logprobs":null},{"index":1,"logprobs":null,"finish_reason":"stop","text":"b"}]}"#
    );
    let sent = events(&[
        r#"{"id":"1","created":1,"model":"m","choices":[{"text":"a"}]}"#,
        r#"{"id":"1","created":1,"model":"m","choices":[{"text":"b","finish_reason":"length"}],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}"#,
    ]);
    let streamed = seen(Reasoning::Keep, COMPLETIONS, EVENTS, (&sent, 7, false));
    let expected = events(&[
        r#"{"id":"1","created":1,"model":"m","choices":[{"text":"a","index":0,"logprobs":null,"finish_reason":null}],"object":"text_completion"}"#,
        r#"{"id":"1","created":1,"model":"m","choices":[{"text":"b","finish_reason":"length","index":0,"logprobs":null}],"usage":null,"object":"text_completion"}"#,
        r#"{"id":"1","object":"text_completion","created":1,"model":"m","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}"#,
        "[DONE]",
    ]);
    assert_eq!(streamed, expected);
}

#[test]
fn completions_of_openai_pass() {
    let chunk = r#"{"id":"1","object":"text_completion","created":1,"choices":[{"text":"a","index":0,"logprobs":null,"finish_reason":"stop"}],"model":"m","usage":null}"#;
    let sent = events(&[chunk, "[DONE]"]);
    assert_eq!(
        seen(Reasoning::Split, COMPLETIONS, EVENTS, (&sent, 7, false)),
        sent
    );
}

#[test]
fn embeddings_and_models_are_repaired_at_their_paths_and_nowhere_else() {
    for (method, path, sent, expected) in [
        (
            "POST",
            "/v1/embeddings",
            r#"{"data":[]}"#,
            r#"{"data":[],"object":"list","model":"asked","usage":{"prompt_tokens":0,"total_tokens":0}}"#,
        ),
        ("GET", "/v1/models", "[]", r#"{"object":"list","data":[]}"#),
        (
            "GET",
            "/v1/models/a",
            r#"{"id":"a"}"#,
            r#"{"id":"a","object":"model","created":0,"owned_by":"unknown"}"#,
        ),
        ("POST", "/v1/rerank", r#"{"data":[]}"#, r#"{"data":[]}"#),
        ("POST", "/v1/files", r#"{"id":"a"}"#, r#"{"id":"a"}"#),
    ] {
        let got = seen(Reasoning::Keep, (method, path), JSON, (sent, 100, false));
        assert_eq!(got, expected);
    }
}

/// A stream that says `words`, one a chunk, and ends as `end`.
fn saying(words: &[&str], end: &str) -> String {
    let chunk = |word: &&str| {
        let choices =
            serde_json::json!([{"index": 0, "delta": {"content": word}, "finish_reason": null}]);
        format!(
            "data: {{\"id\":\"1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":{choices}}}\n\n"
        )
    };
    words.iter().map(chunk).collect::<String>() + end
}

/// Text and thoughts of a stream.
fn said(stream: &str) -> [String; 2] {
    let mut said = [String::new(), String::new()];
    for data in stream
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
    {
        let chunk: Value = serde_json::from_str(data).unwrap_or_default();
        let delta = &chunk["choices"][0]["delta"];
        for (all, name) in said.iter_mut().zip(["content", "reasoning_content"]) {
            *all += delta[name].as_str().unwrap_or_default();
        }
    }
    said
}

const FINISH: &str = "data: {\"id\":\"1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
const NO_DELTA: &str = "data: {\"id\":\"1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,\"finish_reason\":\"stop\"}]}\n\n";
const ERROR: &str = "data: {\"error\":{\"message\":\"x\",\"type\":\"server_error\",\"param\":null,\"code\":\"x\"}}\n\n";
const DONE: &str = "data: [DONE]\n\n";

#[test]
fn what_was_held_back_comes_before_the_end_whatever_that_is() {
    for (words, expected) in [
        (&["<think>", "a</th"], ["", "a</th"]),
        (&["a", "b <thi"], ["ab <thi", ""]),
    ] {
        for (end, breaks) in [
            (FINISH, false),
            (NO_DELTA, false),
            (ERROR, false),
            (DONE, false),
            ("", false),
            ("data: {", true),
        ] {
            let sent = saying(words, end);
            let got = seen(Reasoning::Split, CHAT, EVENTS, (&sent, 11, breaks));
            assert_eq!(said(&got), expected, "{end}");
            // The finishing chunks are changed to hold it; all else comes after.
            assert!([FINISH, NO_DELTA].contains(&end) || got.ends_with(end));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn thoughts_are_the_same_however_they_are_cut_into_chunks_and_bytes(
        words in prop::collection::vec(
            prop::sample::select(vec!["<think>", "</think>", "<thi", "nk>", "</", "think>", "a", "é"]),
            0..10,
        ),
        size in 1_usize..200,
        ends in any::<bool>(),
    ) {
        let end = if ends { FINISH } else { "" };
        let text = words.concat();
        let whole = seen(Reasoning::Split, CHAT, EVENTS, (&saying(&[&text], end), 1 << 20, false));
        let cut = seen(Reasoning::Split, CHAT, EVENTS, (&saying(&words, end), size, false));
        prop_assert_eq!(said(&cut), said(&whole));
        let kept = seen(Reasoning::Keep, CHAT, EVENTS, (&saying(&words, end), size, false));
        prop_assert_eq!(said(&kept), [text, String::new()]);
    }
}
