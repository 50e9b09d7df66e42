//! What a layer leaves alone, carries and hides.

use std::{fmt::Debug, pin::pin};

use bytes::Bytes;
use http::Request;
use http_body::Body;
use http_body_util::{BodyExt, channel::Channel};
use tokio_test::{assert_ready, task};
use tower::ServiceExt;
use tower_layer::Layer;
use tower_relay::message::RequestBody;
use tower_service::Service;

use super::{SECRET, Stack, chat, probed};
use crate::probe::{Foreign, Probe};

pub(crate) async fn passes_unknown_endpoints<L>(layer: L)
where
    L: Layer<Probe, Service: Stack + 'static>,
{
    // Neither JSON nor UTF-8, though it says so: whoever looked at it would choke.
    const PARTS: [&[u8]; 3] = [
        b"{\"model\":\"fast\",",
        b"\"model\":\xff\xfe",
        b"data: {\"model\":\"real\"}\r\r\n\0",
    ];
    let (service, seen) = probed(&layer);
    seen.play(|script| {
        script.frames = PARTS.into_iter().map(Bytes::from_static).collect();
        script.headers = vec![
            ("x-own", "kept"),
            ("content-length", "41"),
            ("etag", "\"1\""),
        ];
    });
    let (mut sender, body) = Channel::<Bytes, Foreign>::new(1);
    let request = Request::put("/files/upload")
        .header("content-type", "application/json")
        .header("x-own", "kept")
        .header("authorization", "Bearer of-the-caller")
        .body(RequestBody::new(body))
        .unwrap();

    // The body has sent nothing yet, and still the request goes on: nothing waits for it.
    let response = service.oneshot(request).await.unwrap();
    let request = seen.take_request().expect("the request goes on");
    assert_eq!(request.method(), "PUT");
    assert_eq!(request.headers()["x-own"], "kept");
    assert_eq!(request.headers()["content-type"], "application/json");
    let mut received = pin!(request.into_body());
    for part in PARTS {
        sender.send_data(Bytes::from_static(part)).await.unwrap();
        let data = received
            .frame()
            .await
            .unwrap()
            .unwrap()
            .into_data()
            .unwrap();
        assert_eq!(data, part);
        assert_eq!(data.as_ptr(), part.as_ptr(), "the bytes were copied");
    }
    drop(sender);
    assert!(received.frame().await.is_none());

    for (name, value) in [
        ("x-own", "kept"),
        ("content-length", "41"),
        ("etag", "\"1\""),
    ] {
        assert_eq!(response.headers()[name], value);
    }
    let mut answered = pin!(response.into_body());
    for part in PARTS {
        let data = answered
            .frame()
            .await
            .unwrap()
            .unwrap()
            .into_data()
            .unwrap();
        assert_eq!(data.as_ptr(), part.as_ptr(), "the bytes were copied");
    }
    assert!(answered.frame().await.is_none());
}

pub(crate) fn crosses_threads<L>(layer: L)
where
    L: Layer<Probe, Service: Stack<Future: Send> + 'static> + Clone + Send + Sync + 'static,
{
    fn is_send(_: &impl Send) {}
    fn is_body(_: &(impl Body<Data = Bytes> + Send + Sync + Unpin + 'static)) {}
    fn is_service(_: &(impl Clone + Send + Sync + 'static)) {}

    is_service(&layer);
    let (service, _seen) = probed(&layer);
    is_service(&service);
    let call = service.oneshot(chat());
    is_send(&call);
    let mut call = task::spawn(call);
    is_body(assert_ready!(call.poll()).unwrap().body());
}

pub(crate) fn shows_no_secret<L>(layer: L)
where
    L: Layer<Probe, Service: Stack<Future: Debug>> + Debug,
{
    let (mut service, seen) = probed(&layer);
    seen.play(|script| {
        script.headers = vec![("content-type", "application/json")];
        script.frames = vec![Bytes::from_static(SECRET.as_bytes())];
    });
    let mut ready = task::spawn(service.ready());
    assert_ready!(ready.poll()).unwrap();
    drop(ready);
    let mut shown = vec![format!("{layer:?}"), format!("{service:?}")];
    let call = service.call(chat());
    shown.push(format!("{call:?}"));
    let mut call = task::spawn(call);
    let response = assert_ready!(call.poll()).unwrap();
    shown.push(format!("{:?}", response.body()));
    shown.push(format!("{:?}", seen.take_request().unwrap().body()));
    for text in shown {
        assert!(!text.contains(SECRET), "{text}");
    }
}
