use std::{
    future::ready,
    io::{self, ErrorKind},
};

use http_body_util::channel::Channel;
use tower::service_fn;

use super::*;
use crate::{
    message::{BoxError, Phase, TransportError},
    testing::{answering, echo, read, refusal},
};

#[tokio::test]
async fn errors_of_the_inner_service_become_answers() {
    for (kind, status, code, phase) in [
        (
            ErrorKind::ConnectionRefused,
            502,
            "upstream_unreachable",
            Phase::Connect,
        ),
        (
            ErrorKind::ConnectionReset,
            502,
            "upstream_error",
            Phase::Head,
        ),
        (ErrorKind::TimedOut, 504, "upstream_timeout", Phase::Head),
    ] {
        let failing =
            service_fn(move |_| ready(Err::<Response<ResponseBody>, _>(io::Error::from(kind))));
        for request in [chat(), Request::post("/other")] {
            let response = send(
                &EdgeLayer::default(),
                failing,
                request.body("{}".to_owned()).unwrap(),
            )
            .await;
            assert_eq!(
                response
                    .extensions()
                    .get::<TransportError>()
                    .unwrap()
                    .phase(),
                phase
            );
            assert_eq!(refusal(response).await, (status, code.to_owned()));
        }
    }
}

#[tokio::test]
async fn a_message_shows_nothing_of_the_cause() {
    let failing = service_fn(|_| {
        let cause = io::Error::other("postgres://admin:hush@10.0.0.7");
        ready(Err::<Response<ResponseBody>, _>(cause))
    });
    let response = send(
        &EdgeLayer::default(),
        failing,
        chat().body("{}".to_owned()).unwrap(),
    )
    .await;
    assert!(!read(response).await.1.contains("hush"));
}

#[tokio::test]
async fn anthropics_callers_get_anthropics_errors() {
    let layer = EdgeLayer::builder().max_body(1).build().unwrap();
    for path in ["/v1/messages", "/v1/messages/count_tokens"] {
        let request = Request::post(path).body("{}".to_owned()).unwrap();
        let text = read(send(&layer, answering(echo), request).await).await.1;
        assert!(
            text.starts_with(r#"{"type":"error","error":{"type":"request_too_large""#),
            "{text}"
        );
    }
}

#[tokio::test]
async fn a_body_that_breaks_off_is_the_callers_error() {
    let (sender, body) = Channel::<Bytes, BoxError>::new(1);
    sender.abort("reset".into());
    let response = send(
        &EdgeLayer::default(),
        answering(echo),
        chat().body(body).unwrap(),
    )
    .await;
    assert_eq!(response.status(), 400);
}
