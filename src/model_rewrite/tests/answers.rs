use bytes::Bytes;
use http_body::Body;
use http_body_util::{BodyExt, channel::Channel};

use super::*;
use crate::{message::BoxError, testing::read};

const CHAT: &str = "/v1/chat/completions";
const CHUNKS: &str = "data: {\"id\":\"1\",\"model\":\"real\",\"choices\":[]}\n\n: keep-alive\n\n\
    data: {\"model\": \"real\" ,\"choices\":[{\"delta\":{\"content\":\"\\\"model\\\": real é\"}}]}\r\n\r\ndata: [DONE]\n\n";
const RESPONSES: &str = "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"id\":\"r\",\"model\":\"real\"}}\n\n\
    event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"model\"}\n\n\
    event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"id\":\"r\",\"model\":\"real\",\"usage\":{}}}\n\n";
const MESSAGES: &str = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"model\":\"real\"}}\n\n\
    event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"delta\":{\"text\":\"real\"}}\n\n\
    event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";

fn restoring() -> ModelRewriteLayer {
    aliases([("fast", "real")])
        .restore_name(true)
        .build()
        .unwrap()
}

/// The answer that a caller who asked for `fast` gets.
async fn answer<B>(
    layer: &ModelRewriteLayer,
    path: &str,
    response: http::response::Builder,
    body: B,
) -> Response<ResponseBody>
where
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    let response = ResponseBody::wrap(response.body(body).unwrap());
    let response = Arc::new(Mutex::new(Some(response)));
    let inner = answering(move |_| response.lock().unwrap().take().unwrap());
    let Ok(response) = layer
        .layer(inner)
        .oneshot(post(path, r#"{"model":"fast"}"#))
        .await;
    response
}

fn of_type(content_type: &str) -> http::response::Builder {
    Response::builder().header("content-type", content_type)
}

/// A body in these two pieces.
async fn in_two(text: &str, at: usize) -> impl Body<Data = Bytes, Error = BoxError> + Send + use<> {
    let (mut sender, body) = Channel::new(2);
    let (head, tail) = text.as_bytes().split_at(at);
    for part in [head, tail] {
        sender
            .send_data(Bytes::copy_from_slice(part))
            .await
            .unwrap();
    }
    body
}

/// The text with the name that was asked for wherever the other stands as a model's.
fn restored(text: &str) -> String {
    text.replace("\"model\":\"real\"", "\"model\":\"fast\"")
        .replace("\"model\": \"real\"", "\"model\": \"fast\"")
}

#[tokio::test]
async fn a_json_answer_names_the_model_that_was_asked_for() {
    for (path, text) in [
        (CHAT, r#"{"id":"x", "model" : "real" ,"n":1.0}"#),
        (
            "/v1/embeddings",
            r#"{"data":[{"embedding":[1e-5]}],"model":"real"}"#,
        ),
        (
            "/v1/responses",
            r#"{"object":"response","model":"real","output":[{"model":"real"}]}"#,
        ),
        (
            "/v1/messages",
            r#"{"type":"message","model":"real","content":[{"text":"\"model\":\"real\""}]}"#,
        ),
    ] {
        let expected = text.replacen("\"real\"", "\"fast\"", 1);
        for at in 0..=text.len() {
            let response = answer(
                &restoring(),
                path,
                of_type("application/json"),
                in_two(text, at).await,
            )
            .await;
            assert_eq!(read(response).await.1, expected);
        }
    }
}

#[tokio::test]
async fn every_event_names_it_wherever_the_stream_is_split() {
    for (path, text) in [
        (CHAT, CHUNKS),
        ("/v1/responses", RESPONSES),
        ("/v1/messages", MESSAGES),
    ] {
        let expected = restored(text);
        assert_ne!(expected, text);
        for at in 0..=text.len() {
            let response = answer(
                &restoring(),
                path,
                of_type("text/event-stream"),
                in_two(text, at).await,
            )
            .await;
            assert_eq!(read(response).await.1, expected, "split at {at}");
        }
    }
}

#[tokio::test]
async fn a_stream_cut_into_single_bytes_comes_out_the_same() {
    let (mut sender, body) = Channel::<Bytes, BoxError>::new(CHUNKS.len());
    for byte in CHUNKS.bytes() {
        sender.send_data(vec![byte].into()).await.unwrap();
    }
    drop(sender);
    let response = answer(
        &restoring(),
        CHAT,
        of_type("text/event-stream; charset=utf-8"),
        body,
    )
    .await;
    assert_eq!(read(response).await.1, restored(CHUNKS));
}

#[tokio::test]
async fn an_event_goes_on_as_soon_as_it_is_whole() {
    let (mut sender, body) = Channel::<Bytes, BoxError>::new(1);
    let mut body = answer(&restoring(), CHAT, of_type("text/event-stream"), body)
        .await
        .into_body();
    for _ in 0..3 {
        sender
            .send_data("data: {\"model\":\"real\"}\n\n".into())
            .await
            .unwrap();
        let data = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(data, "data: {\"model\":\"fast\"}\n\n");
    }
}

#[tokio::test]
async fn headers_that_describe_the_old_bytes_go() {
    let head = || {
        of_type("application/json")
            .header("content-length", 16)
            .header("etag", "\"1\"")
            .header("x-own", "1")
    };
    let response = answer(&restoring(), CHAT, head(), r#"{"model":"real"}"#.to_owned()).await;
    assert_eq!(response.headers().len(), 2);
    assert_eq!(response.body().size_hint().exact(), None);

    // Without a name to restore nothing is looked at, and they stay.
    let plain = aliases([("fast", "real")]).build().unwrap();
    let response = answer(&plain, CHAT, head(), r#"{"model":"real"}"#.to_owned()).await;
    assert_eq!(response.headers().len(), 4);
    assert_eq!(read(response).await.1, r#"{"model":"real"}"#);
}

#[tokio::test]
async fn errors_and_what_is_compressed_or_no_json_stay_as_they_are() {
    let text = r#"{"model":"real"}"#;
    for head in [
        of_type("application/json").status(400),
        of_type("application/json").header("content-encoding", "gzip"),
        of_type("text/plain"),
        Response::builder(),
    ] {
        let head = head.header("content-length", 16);
        let response = answer(&restoring(), CHAT, head, text.to_owned()).await;
        assert_eq!(response.headers()["content-length"], "16");
        assert_eq!(read(response).await.1, text);
    }
}

#[tokio::test]
async fn an_answer_that_is_not_what_it_says_passes() {
    for text in [
        "",
        "null",
        "{\"model\":",
        "\"model\"",
        r#"{"model":"a","model":"b"}"#,
    ] {
        let response = answer(
            &restoring(),
            CHAT,
            of_type("application/json"),
            text.to_owned(),
        )
        .await;
        assert_eq!(read(response).await.1, text);
        let events = format!("data: {text}\n\n");
        let response = answer(
            &restoring(),
            CHAT,
            of_type("text/event-stream"),
            events.clone(),
        )
        .await;
        assert_eq!(read(response).await.1, events);
    }
}

#[tokio::test]
async fn a_name_of_many_lines_or_quotes_cannot_break_out_of_its_event() {
    let layer = aliases([("*", "real")]).restore_name(true).build().unwrap();
    let body = "data: {\"model\":\"real\"}\n\n".to_owned();
    let response = ResponseBody::wrap(of_type("text/event-stream").body(body).unwrap());
    let response = Arc::new(Mutex::new(Some(response)));
    let inner = answering(move |_| response.lock().unwrap().take().unwrap());
    let Ok(response) = layer
        .layer(inner)
        .oneshot(post(CHAT, r#"{"model":"a\"\n\ndata: b"}"#))
        .await;
    assert_eq!(
        read(response).await.1,
        "data: {\"model\":\"a\\\"\\n\\ndata: b\"}\n\n"
    );
}
