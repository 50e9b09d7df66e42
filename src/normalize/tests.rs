use std::{convert::Infallible, iter};

use bytes::Bytes;
use futures_util::{FutureExt, stream};
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use proptest::prelude::*;
use tower::{ServiceBuilder, ServiceExt, service_fn};

mod conforming;
mod erring;
mod policies;
mod streams;

use super::{NormalizePolicy, Repair, ResponseNormalizeLayer};
use crate::message::{RequestBody, ResponseBody};

/// What a caller gets of `sent`, which comes in pieces of `size` bytes.
fn seen(media: &'static str, sent: &[u8], size: usize, wants_usage: bool) -> (Bytes, Vec<Repair>) {
    let (_, body, repairs) = answered(NormalizePolicy::Lenient, media, sent, size, wants_usage);
    (body, repairs)
}

/// What a caller gets of `sent` who did not ask for usage, and with what status.
fn normalized(
    policy: NormalizePolicy,
    media: &'static str,
    sent: &[u8],
) -> (u16, Bytes, Vec<Repair>) {
    answered(policy, media, sent, 1 << 20, false)
}

fn answered(
    policy: NormalizePolicy,
    media: &'static str,
    sent: &[u8],
    size: usize,
    wants_usage: bool,
) -> (u16, Bytes, Vec<Repair>) {
    let layer = ResponseNormalizeLayer::builder()
        .policy(policy)
        .build()
        .unwrap();
    let handle = layer.handle();
    let pieces: Vec<_> = sent.chunks(size).map(Bytes::copy_from_slice).collect();
    let service =
        ServiceBuilder::new()
            .layer(layer)
            .service(service_fn(move |_: Request<RequestBody>| {
                let frames = pieces
                    .clone()
                    .into_iter()
                    .map(|piece| Ok::<_, Infallible>(Frame::data(piece)));
                let mut response = Response::new(StreamBody::new(stream::iter(frames)));
                response
                    .headers_mut()
                    .insert("content-type", media.parse().unwrap());
                std::future::ready(Ok::<_, Infallible>(ResponseBody::wrap(response)))
            }));
    let asks_stream = media == EVENTS;
    let asked = format!(
        r#"{{"model":"m","stream":{asks_stream},"stream_options":{{"include_usage":{wants_usage}}}}}"#
    );
    let request = Request::post("/v1/chat/completions")
        .body(RequestBody::json(asked))
        .unwrap();
    let response = service.oneshot(request).now_or_never().unwrap().unwrap();
    let status = response.status().as_u16();
    let body = response
        .into_body()
        .collect()
        .now_or_never()
        .unwrap()
        .unwrap()
        .to_bytes();
    let repairs = handle
        .repairs()
        .filter(|(_, count)| *count > 0)
        .map(|(repair, _)| repair)
        .collect();
    (status, body, repairs)
}

const JSON: &str = "application/json";
const EVENTS: &str = "text/event-stream";
const HEAD: &str = r#""id":"1","object":"chat.completion.chunk","created":1,"model":"m""#;

fn chunks(chunks: &[&str]) -> String {
    chunks.iter().fold(String::new(), |all, chunk| {
        all + &format!(
            "data: {{{HEAD},{chunk}}}

"
        )
    })
}

#[test]
fn a_body_gets_what_it_lacks_and_keeps_the_rest_byte_for_byte() {
    let sent = r#"{"id":"1","created":1,"model":"m","x": 1.0,"choices":[{"index":0,"finish_reason":"eos","logprobs":null,"message":{"role":"assistant","refusal":null,"content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}}]}"#;
    let (body, repairs) = seen(JSON, sent.as_bytes(), 7, false);
    assert_eq!(
        body,
        r#"{"id":"1","created":1,"model":"m","x": 1.0,"choices":[{"index":0,"finish_reason":"stop","logprobs":null,"message":{"role":"assistant","refusal":null,"content":"ab"}}],"object":"chat.completion"}"#
    );
    assert_eq!(
        repairs,
        [Repair::Object, Repair::Content, Repair::FinishReason]
    );
}

#[test]
fn a_stream_gets_its_reason_its_usage_chunk_and_its_end() {
    let sent = chunks(&[
        r#""choices":[{"index":0,"delta":{"tool_calls":[{"function":{"name":"f","arguments":{"a":1}}}]},"finish_reason":null}]"#,
        r#""choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}"#,
    ]);
    let call = r#""choices":[{"index":0,"delta":{"tool_calls":[{"function":{"name":"f","arguments":"{\"a\":1}"},"id":"call_1_0","type":"function","index":0}]},"finish_reason":null}]"#;
    let end = r#""choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]"#;
    let usage =
        r#""choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}"#;
    let asked = chunks(&[call, &format!("{end},\"usage\":null"), usage]) + "data: [DONE]\n\n";
    assert_eq!(seen(EVENTS, sent.as_bytes(), 1 << 20, true).0, asked);
    let unasked = chunks(&[call, end]) + "data: [DONE]\n\n";
    assert_eq!(seen(EVENTS, sent.as_bytes(), 1 << 20, false).0, unasked);
}

#[test]
fn what_conforms_passes_and_a_truncated_stream_gets_no_end() {
    for sent in [
        chunks(&[r#""choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}]"#])
            + ": ping\n\n",
        chunks(&[r#""choices":[{"index":0,"delta":{},"finish_reason":"stop"}]"#])
            + "data: {\"error\":{\"message\":\"x\",\"type\":\"t\",\"param\":null,\"code\":null}}\n\n",
        "data: [DONE]\n\n".to_owned(),
    ] {
        assert_eq!(
            seen(EVENTS, sent.as_bytes(), 1 << 20, true),
            (Bytes::from(sent), Vec::new())
        );
    }
}

/// What Azure says first.
const UNNAMED: &str =
    "data: {\"choices\":[],\"created\":0,\"id\":\"\",\"model\":\"\",\"object\":\"\"}\n\n";

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_split_gives_the_same_and_a_second_time_changes_nothing(
        parts in prop::collection::vec(prop::sample::select(vec![
            r#""choices":[{"delta":{"content":[{"text":"a"},{"thinking":"b"}]}}]"#,
            r#""choices":[{"index":0,"message":{},"delta":{"role":null}}]"#,
            r#""choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"","function":{"name":null,"arguments":"{"}}]}}]"#,
            r#""choices":[{"index":0,"delta":{"tool_calls":[{"function":{"name":"f","arguments":{}}}]}}]"#,
            r#""choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":5,"completion_tokens":1,"total_tokens":9}"#,
            r#""choices":[],"usage":{"prompt_tokens":5,"completion_tokens":1,"total_tokens":6}"#,
            r#""choices":[{"index":1,"delta":{"content":"a"},"finish_reason":""}]"#,
            r#""choices":[{"index":0,"delta":{"content":"a"},"finish_reason":"abort"}]"#,
            r#""choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}]"#,
            r#""error":{"message":"m","code":429}"#,
        ]), 1..6),
        begins_unnamed in any::<bool>(),
        tail in prop::sample::select(vec!["", "data: [DONE]\n\n", "data: [DONE]", ": ping\n\n", "error: {\"message\":\"m\"}\n\n"]),
        wants in any::<bool>(),
        size in 1_usize..90,
    ) {
        let unnamed = if begins_unnamed { UNNAMED } else { "" };
        let sent = unnamed.to_owned() + &chunks(&parts) + tail;
        let (whole, _) = seen(EVENTS, sent.as_bytes(), 1 << 20, wants);
        prop_assert_eq!(&seen(EVENTS, sent.as_bytes(), size, wants).0, &whole);
        prop_assert_eq!(&seen(EVENTS, &whole, 1 << 20, wants).0, &whole);
    }

    #[test]
    fn no_bytes_make_it_panic_or_say_much_more_than_they_are(
        cuts in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        end in any::<prop::sample::Index>(),
        noise in prop::collection::vec(any::<u8>(), 0..20),
        media in prop::sample::select(vec![JSON, EVENTS]),
        policy in prop::sample::select(vec![NormalizePolicy::Lenient, NormalizePolicy::Strict, NormalizePolicy::Observe]),
    ) {
        let chunk = r#""choices":[{"delta":{"tool_calls":[{"function":null}]},"finish_reason":7}],"usage":{"prompt_tokens":1}"#;
        let mut sent = if media == EVENTS {
            chunks(&[chunk, chunk]).into_bytes()
        } else {
            format!("{{{HEAD},{chunk}}}").into_bytes()
        };
        for (at, byte) in cuts {
            let at = at.index(sent.len());
            sent[at] = byte;
        }
        sent.splice(end.index(sent.len()).., noise.iter().copied().chain(iter::once(b'\n')));
        let (_, body, _) = answered(policy, media, &sent, 9, true);
        prop_assert!(body.len() <= 2 * sent.len() + 1024, "{} of {}", body.len(), sent.len());
    }
}
