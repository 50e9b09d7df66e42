use std::{
    future::{pending, ready},
    io,
    time::Duration,
};

use http::Uri;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tower::{Service, service_fn};

use super::*;
use crate::{
    message::{BoxError, Phase, TransportError},
    testing::{read, refusal},
};

/// An upstream on a port of this machine, through a real client.
fn local(port: u16) -> Upstream<Client<HttpConnector, RequestBody>> {
    let client = Client::builder(TokioExecutor::new()).build_http();
    UpstreamLayer::builder("local")
        .base_url(&format!("http://127.0.0.1:{port}"))
        .build()
        .unwrap()
        .layer(client)
}

async fn post<S>(upstream: S) -> Response<ResponseBody>
where
    S: Service<
            Request<RequestBody>,
            Response = Response<ResponseBody>,
            Error = std::convert::Infallible,
        >,
{
    let Ok(response) = upstream
        .oneshot(chat().body(RequestBody::json("{}")).unwrap())
        .await;
    response
}

/// A port where each connection is handled so.
async fn server<F>(handle: impl Fn(TcpStream) -> F + Send + 'static) -> u16
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(handle(stream));
        }
    });
    port
}

/// Reads a request's head and body, which these tests know to be `{}`.
async fn receive(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    while !text.ends_with(b"{}") {
        text.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(text).unwrap()
}

#[tokio::test]
async fn a_refused_connection_is_a_502_of_the_connect_phase() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let response = post(local(port)).await;
    let error = response.extensions().get::<TransportError>().unwrap();
    assert_eq!((error.phase(), error.is_timeout()), (Phase::Connect, false));
    assert_eq!(
        response
            .extensions()
            .get::<crate::message::Served>()
            .unwrap()
            .upstream
            .as_ref(),
        "local"
    );
    assert_eq!(
        refusal(response).await,
        (502, "upstream_unreachable".to_owned())
    );
}

#[tokio::test]
async fn a_connection_that_breaks_before_the_head_is_a_502_of_the_head_phase() {
    let port = server(|mut stream| async move {
        receive(&mut stream).await;
    })
    .await;
    let response = post(local(port)).await;
    let error = response.extensions().get::<TransportError>().unwrap();
    assert_eq!((error.phase(), error.is_timeout()), (Phase::Head, false));
    assert_eq!(refusal(response).await, (502, "upstream_error".to_owned()));
}

#[tokio::test]
async fn what_is_no_http_is_a_502() {
    let port = server(|mut stream| async move {
        receive(&mut stream).await;
        stream.write_all(b"220 mail.test ESMTP\r\n").await.unwrap();
    })
    .await;
    assert_eq!(post(local(port)).await.status(), 502);
}

#[tokio::test]
async fn an_answer_cut_short_is_broken_not_ended() {
    let port = server(|mut stream| async move {
        receive(&mut stream).await;
        stream
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n12345")
            .await
            .unwrap();
    })
    .await;
    let response = post(local(port)).await;
    assert_eq!(response.status(), 200);
    http_body_util::BodyExt::collect(response.into_body())
        .await
        .unwrap_err();
}

#[tokio::test]
async fn a_request_arrives_as_one_of_the_clients_own() {
    let (sender, mut arrived) = tokio::sync::mpsc::unbounded_channel();
    let port = server(move |mut stream| {
        let sender = sender.clone();
        async move {
            sender.send(receive(&mut stream).await).unwrap();
            stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
                .await
                .unwrap();
        }
    })
    .await;
    // As it came over HTTP/2, from a caller who named another host.
    let request = chat()
        .version(http::Version::HTTP_2)
        .header("host", "relay.test")
        .header("content-length", "999")
        .body(RequestBody::json("{}"))
        .unwrap();
    let Ok(response) = local(port).oneshot(request).await;
    assert_eq!(read(response).await.1, "ok");
    let text = arrived.recv().await.unwrap();
    assert!(
        text.starts_with("POST /v1/chat/completions HTTP/1.1\r\n"),
        "{text}"
    );
    assert!(
        text.contains(&format!("host: 127.0.0.1:{port}\r\n")),
        "{text}"
    );
    assert!(
        text.contains("content-length: 2\r\n") && !text.contains("999"),
        "{text}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_ran_out_is_a_504() {
    async fn slow(_: Request<RequestBody>) -> Result<Response<ResponseBody>, BoxError> {
        Ok(tokio::time::timeout(Duration::from_secs(5), pending()).await?)
    }
    async fn timed_out(_: Request<RequestBody>) -> Result<Response<ResponseBody>, BoxError> {
        Err(io::Error::from(io::ErrorKind::TimedOut).into())
    }
    let layer = keyed().build().unwrap();
    for response in [
        post(layer.layer(service_fn(slow))).await,
        post(layer.layer(service_fn(timed_out))).await,
    ] {
        let error = response.extensions().get::<TransportError>().unwrap();
        assert!(error.is_timeout());
        assert_eq!(
            refusal(response).await,
            (504, "upstream_timeout".to_owned())
        );
    }
}

#[tokio::test]
async fn a_connection_that_is_not_made_in_time_is_a_504_of_the_connect_phase() {
    let late = || Err::<TokioIo<TcpStream>, _>(io::Error::from(io::ErrorKind::TimedOut));
    let connector = service_fn(move |_: Uri| ready(late()));
    let client: Client<_, RequestBody> = Client::builder(TokioExecutor::new()).build(connector);
    let response = post(keyed().build().unwrap().layer(client)).await;
    let error = response.extensions().get::<TransportError>().unwrap();
    assert_eq!((error.phase(), error.is_timeout()), (Phase::Connect, true));
    assert_eq!(
        refusal(response).await,
        (504, "upstream_timeout".to_owned())
    );
}
