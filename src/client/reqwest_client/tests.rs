use http_body_util::{BodyExt, channel::Channel};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::oneshot,
};
use tower::ServiceExt;

use super::*;
use crate::message::{BoxError, Phase, TransportError};

/// A server for one request that ends in `last`: where it is, and what it got.
async fn server(last: &'static str, answer: &'static str) -> (String, oneshot::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!(
        "http://{}/v1/chat/completions",
        listener.local_addr().unwrap()
    );
    let (sender, receiver) = oneshot::channel();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut text = Vec::new();
        while !text.ends_with(last.as_bytes()) {
            text.push(stream.read_u8().await.unwrap());
        }
        stream.write_all(answer.as_bytes()).await.unwrap();
        sender.send(String::from_utf8(text).unwrap()).unwrap();
    });
    (uri, receiver)
}

#[tokio::test]
async fn a_body_in_memory_is_sent_with_its_length() {
    let (uri, got) = server(
        "{}",
        "HTTP/1.1 201 Created\r\ncontent-length: 2\r\nx-own: 1\r\n\r\nok",
    )
    .await;
    let response = ReqwestClient::default()
        .oneshot(Request::post(uri).body(RequestBody::json("{}")).unwrap())
        .await
        .unwrap();
    assert_eq!(
        (response.status().as_u16(), &response.headers()["x-own"]),
        (201, &"1".parse().unwrap())
    );
    assert_eq!(
        response.into_body().collect().await.unwrap().to_bytes(),
        "ok"
    );
    assert!(got.await.unwrap().contains("content-length: 2\r\n"));
}

#[tokio::test]
async fn a_stream_is_sent_as_it_comes() {
    let (uri, got) = server("0\r\n\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let (mut sender, body) = Channel::<bytes::Bytes, BoxError>::new(2);
    sender.send_data("one".into()).await.unwrap();
    sender.send_data("two".into()).await.unwrap();
    drop(sender);
    let request = Request::post(uri).body(RequestBody::new(body)).unwrap();
    ReqwestClient::default().oneshot(request).await.unwrap();
    let text = got.await.unwrap();
    assert!(
        text.contains("transfer-encoding: chunked\r\n")
            && text.contains("one")
            && text.contains("two"),
        "{text}"
    );
}

#[tokio::test]
async fn a_redirect_is_answered_not_followed() {
    let (uri, _got) = server(
        "{}",
        "HTTP/1.1 307 Temporary Redirect\r\nlocation: /x\r\ncontent-length: 0\r\n\r\n",
    )
    .await;
    let request = Request::post(uri).body(RequestBody::json("{}")).unwrap();
    assert_eq!(
        ReqwestClient::default()
            .oneshot(request)
            .await
            .unwrap()
            .status(),
        307
    );
}

#[tokio::test]
async fn a_refused_connection_is_known_to_have_sent_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://{}/?key=secret", listener.local_addr().unwrap());
    drop(listener);
    let request = Request::post(uri).body(RequestBody::json("{}")).unwrap();
    let error = ReqwestClient::default().oneshot(request).await.unwrap_err();
    assert!(!format!("{error} {error:?}").contains("secret"));
    assert_eq!(TransportError::new(error).phase(), Phase::Connect);
}

#[tokio::test]
async fn an_address_that_is_none_is_an_error() {
    let request = Request::post("/no/host")
        .body(RequestBody::empty())
        .unwrap();
    ReqwestClient::default().oneshot(request).await.unwrap_err();
}

#[tokio::test]
async fn an_answer_of_a_stack_becomes_a_response_of_the_client() {
    let body = ResponseBody::from("[1, 2]").on_end(|completion| assert_eq!(completion.bytes, 6));
    let response = Response::builder().status(201).header("x-own", "1");
    let response = reqwest::Response::from(response.body(body).unwrap());
    assert_eq!(response.status(), 201);
    assert_eq!(response.headers()["x-own"], "1");
    assert_eq!(response.text().await.unwrap(), "[1, 2]");
}

/// The trap that the documentation names.
#[tokio::test]
async fn a_total_timeout_of_the_client_breaks_a_stream_that_is_well() {
    let (uri, _got) = server(
        "{}",
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n6\r\n: hi\n\n\r\n",
    )
    .await;
    let client = Client::builder().timeout(std::time::Duration::from_millis(200));
    let client = ReqwestClient::new(client.build().unwrap());
    let request = Request::post(uri).body(RequestBody::json("{}")).unwrap();
    let mut body = client.oneshot(request).await.unwrap().into_body();
    assert!(body.frame().await.unwrap().is_ok());
    assert!(body.frame().await.unwrap().is_err());
}
