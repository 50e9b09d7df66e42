use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use futures_util::stream;
use http::{Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::StreamBody;
use serde_json::{Value, json};
use tower::service_fn;

use super::{Events, Relay, RelayErrorKind};
use crate::{
    message::{ApiError, Dialect, Outcome, Reason, Rejection, RequestBody, ResponseBody},
    testing::answering,
};

const CHUNK: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"Hi\"}}]}\n\n";
const LAST: &str = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";

fn relay(
    answer: impl Fn(Request<RequestBody>) -> Response<ResponseBody> + Clone + Send + Sync + 'static,
) -> Relay {
    Relay::new(answering(answer))
}

fn of_type(media: &str, body: impl Into<ResponseBody>) -> Response<ResponseBody> {
    let response = Response::builder().header("content-type", media);
    ResponseBody::wrap(response.body(body.into()).unwrap())
}

fn chat() -> Value {
    json!({"model": "m", "messages": []})
}

async fn events(chunks: &'static [&'static str]) -> Events {
    let relay = relay(move |_| {
        let frames = chunks
            .iter()
            .map(|chunk| Ok::<_, Infallible>(Frame::data(Bytes::from(*chunk))));
        let body = ResponseBody::new(StreamBody::new(stream::iter(frames)));
        of_type("text/event-stream", body)
    });
    relay.chat(&chat()).await.unwrap().events()
}

/// The data of all events, and what ended them.
async fn all(mut events: Events) -> (Vec<String>, Option<RelayErrorKind>) {
    let mut data = Vec::new();
    loop {
        match events.next().await {
            Some(Ok(event)) => data.push(String::from_utf8(event.data().to_vec()).unwrap()),
            Some(Err(error)) => {
                assert!(events.next().await.is_none(), "nothing follows an error");
                return (data, Some(error.kind()));
            }
            None => {
                assert!(events.next().await.is_none(), "the end stays");
                return (data, None);
            }
        }
    }
}

#[tokio::test]
async fn a_value_goes_out_and_a_value_comes_back() {
    let relay = relay(|request| {
        assert_eq!(request.method(), "POST");
        assert_eq!(request.headers()["content-type"], "application/json");
        assert_eq!(request.headers()["x-team"], "web");
        let path = request.uri().path().to_owned();
        let model = request.body().model().unwrap().into_owned();
        of_type("application/json", json!([path, model]).to_string())
    });
    let answer = relay.post("/v1/embeddings").header("x-team", "web");
    let answer = answer.json(&chat()).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let told: [String; 2] = answer.json().await.unwrap();
    assert_eq!(told, ["/v1/embeddings", "m"]);
}

#[tokio::test]
async fn what_cannot_be_a_request_is_never_sent() {
    let relay = relay(|_| unreachable!("it was sent"));
    for call in [
        relay.post("not a path"),
        relay.get("/v1/models").header("two words", "x"),
        relay.get("/v1/models").header("x-y", "line\nbreak"),
        relay.post("/v1/chat/completions").json(&NoJson),
    ] {
        let shown = format!("{call:?}");
        let error = call.send().await.unwrap_err();
        assert_eq!(error.kind(), RelayErrorKind::Request, "{shown}");
        assert!(std::error::Error::source(&error).is_some(), "{shown}");
    }
}

struct NoJson;

impl serde::Serialize for NoJson {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("no JSON"))
    }
}

#[tokio::test]
async fn an_upstreams_error_is_read_whatever_its_shape() {
    let relay = relay(|_| {
        let mut response = of_type(
            "application/json",
            r#"{"error":{"code":429,"message":"Quota exceeded. Please retry in 2s.","status":"RESOURCE_EXHAUSTED"}}"#,
        );
        *response.status_mut() = StatusCode::TOO_MANY_REQUESTS;
        response
            .headers_mut()
            .insert("x-relay-request-id", "req-7".parse().unwrap());
        response
    });
    let error = relay.chat(&chat()).await.unwrap_err();
    assert_eq!(error.kind(), RelayErrorKind::Refused);
    assert_eq!(error.status(), Some(StatusCode::TOO_MANY_REQUESTS));
    let stated = error.api_error().unwrap();
    assert_eq!(stated.kind(), "RESOURCE_EXHAUSTED");
    assert_eq!(stated.retry_after().unwrap().as_secs(), 2);
    assert!(matches!(error.outcome(), Some(Outcome::RateLimited { .. })));
    assert_eq!(error.request_id().unwrap().as_str(), "req-7");
    assert!(error.rejection().is_none());
    assert!(error.to_string().contains("Quota exceeded"));
}

#[tokio::test]
async fn a_layers_refusal_names_the_layer() {
    let relay = relay(|_| {
        let status = StatusCode::TOO_MANY_REQUESTS;
        let error = ApiError::new(status, "rate_limit_error", "too many");
        Rejection::new("rate_limit", Reason::RateLimited).into_response(&error, Dialect::OpenAi)
    });
    let error = relay.chat(&chat()).await.unwrap_err();
    let rejection = error.rejection().unwrap();
    assert_eq!(rejection.layer, "rate_limit");
    assert_eq!(rejection.reason, Reason::RateLimited);
}

#[tokio::test]
async fn an_error_inside_of_a_success_is_an_error() {
    let relay = relay(|_| of_type("application/json", r#"{"error":{"message":"no GPU"}}"#));
    let answer = relay.chat(&chat()).await.unwrap();
    let error = answer.json::<Value>().await.unwrap_err();
    assert_eq!(error.api_error().unwrap().message(), "no GPU");
}

#[tokio::test]
async fn an_answer_beyond_the_bound_and_one_that_is_no_json_are_told_apart() {
    let relay = relay(|_| of_type("application/json", "[1, 2, 3, 4]")).max_answer(8);
    let answer = relay.chat(&chat()).await.unwrap();
    let error = answer.json::<Value>().await.unwrap_err();
    assert_eq!(error.kind(), RelayErrorKind::TooLarge);
    let relay = relay.max_answer(100);
    let answer = relay.chat(&chat()).await.unwrap();
    let error = answer.json::<Vec<String>>().await.unwrap_err();
    assert_eq!(error.kind(), RelayErrorKind::Decode);
}

#[tokio::test]
async fn a_stack_that_fails_is_no_refusal() {
    let relay = Relay::new(service_fn(|_: Request<RequestBody>| async {
        Err::<Response<ResponseBody>, _>(std::io::Error::other("no route"))
    }));
    let error = relay.chat(&chat()).await.unwrap_err();
    assert_eq!(error.kind(), RelayErrorKind::Stack);
    assert!(error.api_error().is_none());
}

#[tokio::test]
async fn events_come_one_by_one_however_they_are_cut_and_done_is_the_end() {
    let whole = all(events(&[CHUNK, LAST, "data: [DONE]\n\n"]).await).await;
    assert_eq!(whole.0.len(), 2);
    assert_eq!(whole.1, None);
    let cut = [
        "data: {\"choices\":[{\"delta\":",
        "{\"content\":\"Hi\"}}]}\n",
        "\n",
    ];
    let [a, b, c] = cut;
    let split = Box::leak(Box::new([
        ": hello\n\n",
        a,
        b,
        c,
        LAST,
        "data: [DO",
        "NE]\n\n",
    ]));
    assert_eq!(all(events(split).await).await, whole);
    // A provider that leaves `[DONE]` out, and the last blank line.
    let bare =
        all(events(&[CHUNK, "data: {\"choices\":[{\"finish_reason\":\"stop\"}]}"]).await).await;
    assert_eq!((bare.0.len(), bare.1), (2, None));
}

#[tokio::test]
async fn a_stream_that_ends_early_is_never_taken_for_whole() {
    let (data, end) = all(events(&[CHUNK]).await).await;
    assert_eq!((data.len(), end), (1, Some(RelayErrorKind::Truncated)));
    let (data, end) = all(events(&[]).await).await;
    assert_eq!((data.len(), end), (0, Some(RelayErrorKind::Truncated)));
}

#[tokio::test]
async fn an_error_event_ends_the_events() {
    let stream = events(&[CHUNK, "data: {\"error\":{\"message\":\"gone\"}}\n\n", LAST]).await;
    let (data, end) = all(stream).await;
    assert_eq!((data.len(), end), (1, Some(RelayErrorKind::Refused)));
}

#[tokio::test]
async fn an_event_beyond_the_bound_ends_the_events() {
    let relay = relay(|_| {
        of_type(
            "text/event-stream",
            [CHUNK, "data: ", &"x".repeat(100)].concat(),
        )
    });
    let stream = relay.max_answer(64).chat(&chat()).await.unwrap().events();
    assert_eq!(all(stream).await.1, Some(RelayErrorKind::TooLarge));
}

#[tokio::test]
async fn lines_of_json_are_events_and_a_body_is_none() {
    let relay = relay(|request| match request.uri().path() {
        "/api/chat" => of_type(
            "application/x-ndjson",
            "{\"message\":{\"content\":\"Hi\"},\"done\":false}\n{\"done\":true}\n",
        ),
        _ => of_type("application/json", "{}"),
    });
    let lines = relay.post("/api/chat").send().await.unwrap().events();
    assert_eq!(all(lines).await.0.len(), 2);
    let body = relay.get("/v1/models").send().await.unwrap().events();
    assert_eq!(all(body).await.1, Some(RelayErrorKind::NotAStream));
}

#[tokio::test]
async fn dropping_the_events_lets_go_of_the_answer() {
    let ended = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&ended);
    let relay = relay(move |_| {
        let told = Arc::clone(&told);
        let frames =
            [CHUNK, LAST].map(|chunk| Ok::<_, Infallible>(Frame::data(Bytes::from(chunk))));
        let body = ResponseBody::new(StreamBody::new(stream::iter(frames)));
        of_type("text/event-stream", body)
            .map(|body| body.on_end(move |_| told.store(true, Ordering::SeqCst)))
    });
    let mut events = relay.chat(&chat()).await.unwrap().events();
    assert!(events.next().await.unwrap().is_ok());
    assert!(!ended.load(Ordering::SeqCst));
    drop(events);
    assert!(ended.load(Ordering::SeqCst));
}
