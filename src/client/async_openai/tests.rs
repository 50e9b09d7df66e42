use std::{
    io::Error,
    sync::{Arc, Mutex},
};

use async_openai::{
    Client,
    config::OpenAIConfig,
    types::chat::{
        ChatCompletionRequestUserMessage, CreateChatCompletionRequest,
        CreateChatCompletionRequestArgs,
    },
};
use futures_util::StreamExt;
use http::StatusCode;
use tower::service_fn;

use super::*;
use crate::{
    message::{ApiError, Dialect, End},
    testing::answering,
};

const ANSWER: &str = r#"{"id":"c1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"Hi"},"finish_reason":"stop","logprobs":null}]}"#;
const STREAM: &str = "data: {\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hi\"},\"finish_reason\":\"stop\",\"logprobs\":null}]}\n\n\
    data: [DONE]\n\n";

fn client<S>(stack: S) -> Client<OpenAIConfig>
where
    S: Service<Request<RequestBody>, Response = Response<ResponseBody>>
        + Clone
        + Send
        + Sync
        + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
{
    Client::with_config(OpenAIConfig::new().with_api_key("sk-x"))
        .with_http_service(AsyncOpenAi::new(stack))
}

fn ask() -> CreateChatCompletionRequest {
    CreateChatCompletionRequestArgs::default()
        .model("m")
        .messages([ChatCompletionRequestUserMessage::from("Hello!").into()])
        .build()
        .unwrap()
}

fn of_type(media: &str, text: &'static str) -> Response<ResponseBody> {
    let response = Response::builder().header("content-type", media);
    ResponseBody::wrap(response.body(ResponseBody::from(text)).unwrap())
}

#[tokio::test]
async fn layers_read_what_the_client_sends() {
    let client = client(answering(|request| {
        assert_eq!(request.uri().path(), "/v1/chat/completions");
        assert_eq!(request.body().model().as_deref(), Some("m"));
        of_type("application/json", ANSWER)
    }));
    let answer = client.chat().create(ask()).await.unwrap();
    assert_eq!(answer.choices[0].message.content.as_deref(), Some("Hi"));
}

#[tokio::test]
async fn a_stream_reaches_the_client_and_is_watched_to_its_end() {
    let ended = Arc::new(Mutex::new(None));
    let told = Arc::clone(&ended);
    let client = client(answering(move |request| {
        assert!(request.body().is_streaming());
        let told = Arc::clone(&told);
        of_type("text/event-stream", STREAM)
            .map(|body| body.on_end(move |completion| *told.lock().unwrap() = Some(completion.end)))
    }));
    let chunks = client.chat().create_stream(ask()).await.unwrap();
    let chunks: Vec<_> = chunks.collect().await;
    assert_eq!(chunks.len(), 1);
    let chunk = chunks[0].as_ref().unwrap();
    assert_eq!(chunk.choices[0].delta.content.as_deref(), Some("Hi"));
    assert_eq!(*ended.lock().unwrap(), Some(End::Complete));
}

#[tokio::test]
async fn what_a_layer_refuses_is_the_clients_own_error() {
    let client = client(answering(|_| {
        ApiError::new(StatusCode::TOO_MANY_REQUESTS, "requests", "too many")
            .with_code("rate_limit_exceeded")
            .to_response(Dialect::OpenAi)
    }));
    let error = client.chat().create(ask()).await.unwrap_err();
    let OpenAIError::ApiError(error) = error else {
        panic!("{error:?}");
    };
    assert_eq!(error.api_error.message, "too many");
    assert_eq!(error.api_error.code.as_deref(), Some("rate_limit_exceeded"));
}

#[tokio::test]
async fn a_stack_that_fails_keeps_its_own_error() {
    let client = client(service_fn(|_: Request<RequestBody>| async {
        Err::<Response<ResponseBody>, _>(Error::other("no route"))
    }));
    let error = client.chat().create(ask()).await.unwrap_err();
    let OpenAIError::Boxed(error) = error else {
        panic!("{error:?}");
    };
    assert!(error.is::<Error>());
}

#[test]
fn what_is_no_json_is_not_read() {
    let request = |media: &str, body: Body| {
        let request = Request::post("/v1/files").header("content-type", media);
        read(request.body(body).unwrap()).into_body()
    };
    let upload = request("multipart/form-data; boundary=x", Body::from("--x--"));
    assert!(upload.model().is_none());
    assert!(upload.members().unwrap().is_none());
    let empty = request("application/json", Body::from(""));
    assert!(empty.as_bytes().unwrap().is_empty());
}
