use http::{HeaderMap, HeaderValue, header};
use http_body_util::{BodyExt, channel::Channel};

use super::*;
use crate::{
    message::{BoxError, Deadline, Endpoint, RequestId},
    testing::{answering, echo, read},
};

/// Which kind of body came, in the answer.
fn kind(request: &Request<RequestBody>) -> Response<ResponseBody> {
    Response::new(ResponseBody::from(format!("{:?}", request.body())))
}

async fn kind_of(request: Request<String>) -> String {
    read(
        send(
            &EdgeLayer::default(),
            answering(|request| kind(&request)),
            request,
        )
        .await,
    )
    .await
    .1
}

#[tokio::test]
async fn json_is_collected_where_layers_read_it() {
    for content_type in [
        None,
        Some("application/json"),
        Some("Application/JSON; charset=utf-8"),
        Some("application/x+json"),
    ] {
        let mut request = Request::post("/v1/responses")
            .body("{}".to_owned())
            .unwrap();
        if let Some(content_type) = content_type {
            request
                .headers_mut()
                .insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        }
        assert_eq!(
            kind_of(request).await,
            "RequestBody::Json(2 bytes)",
            "{content_type:?}"
        );
    }
    let identity = chat()
        .header("content-encoding", "identity")
        .body("{}".to_owned())
        .unwrap();
    assert_eq!(kind_of(identity).await, "RequestBody::Json(2 bytes)");
}

#[tokio::test]
async fn a_path_without_a_version_is_an_endpoint_only_where_all_routes_are_the_relays() {
    let named = answering(|request| {
        let endpoint = Endpoint::of(&request);
        Response::new(ResponseBody::from(format!("{endpoint:?}")))
    });
    for (guard, path, own, expected) in [
        (true, "/embeddings", None, "Embeddings"),
        (true, "/messages/count_tokens", None, "CountTokens"),
        (true, "/files", None, "Other"),
        (true, "/embeddings", Some(Endpoint::Other), "Other"),
        (false, "/embeddings", None, "Other"),
    ] {
        let layer = EdgeLayer::builder().guard_all(guard).build().unwrap();
        let mut request = Request::post(path).body("{}".to_owned()).unwrap();
        if let Some(own) = own {
            request.extensions_mut().insert(own);
        }
        let response = send(&layer, named.clone(), request).await;
        assert_eq!(read(response).await.1, expected, "{guard} {path}");
    }
}

#[tokio::test]
async fn malformed_json_is_not_the_edges_business() {
    for text in ["{\"model\":", "", "[]", r#"{"model":1,"model":2}"#] {
        let request = chat().body(text.to_owned()).unwrap();
        let (head, echoed) =
            read(send(&EdgeLayer::default(), answering(echo), request).await).await;
        assert_eq!((head.status.as_u16(), &*echoed), (200, text));
    }
}

#[tokio::test]
async fn what_is_compressed_or_no_json_passes_unread() {
    for (name, value) in [
        ("content-encoding", "gzip"),
        ("content-encoding", "br"),
        ("content-type", "multipart/form-data; boundary=x"),
        ("content-type", "text/plain"),
    ] {
        let request = Request::post("/v1/chat/completions")
            .header(name, value)
            .body("{}".to_owned())
            .unwrap();
        assert_eq!(
            kind_of(request).await,
            "RequestBody::Stream",
            "{name}: {value}"
        );
    }
    let models = Request::get("/v1/models").body("{}".to_owned()).unwrap();
    assert_eq!(kind_of(models).await, "RequestBody::Stream");
}

#[tokio::test]
async fn other_routes_are_not_touched() {
    #[derive(Clone)]
    struct Upgrade;

    let look = answering(|request| {
        assert!(request.extensions().get::<Upgrade>().is_some());
        assert!(request.extensions().get::<RequestId>().is_none());
        assert!(Deadline::of(request.extensions()).is_none());
        assert_eq!(request.headers().len(), 3);
        echo(request)
    });
    let (mut sender, body) = Channel::<Bytes, BoxError>::new(1);
    let mut request = Request::get("/socket")
        .header("connection", "upgrade")
        .header("upgrade", "websocket")
        .header("transfer-encoding", "chunked")
        .body(body)
        .unwrap();
    request.extensions_mut().insert(Upgrade);
    let response = send(&EdgeLayer::default(), look, request).await;
    assert_eq!(*response.headers(), HeaderMap::new());
    let mut body = response.into_body();
    for part in ["one", "two"] {
        sender.send_data(part.into()).await.unwrap();
        assert_eq!(
            body.frame().await.unwrap().unwrap().into_data().unwrap(),
            part
        );
    }
}

#[tokio::test]
async fn a_route_may_say_what_it_is() {
    let mut request = Request::post("/ask").body("{}".to_owned()).unwrap();
    request.extensions_mut().insert(Endpoint::ChatCompletions);
    assert_eq!(kind_of(request).await, "RequestBody::Json(2 bytes)");
    let mut request = chat().body("{}".to_owned()).unwrap();
    request.extensions_mut().insert(Endpoint::Other);
    assert_eq!(kind_of(request).await, "RequestBody::Stream");
}

#[tokio::test]
async fn a_collected_body_has_a_length_and_no_transfer_encoding() {
    let headers = answering(|request| {
        assert!(!request.headers().contains_key("transfer-encoding"));
        Response::new(ResponseBody::from(
            request.headers()["content-length"]
                .to_str()
                .unwrap()
                .to_owned(),
        ))
    });
    let request = chat()
        .header("transfer-encoding", "chunked")
        .body("{\"a\":1}".to_owned())
        .unwrap();
    assert_eq!(
        read(send(&EdgeLayer::default(), headers, request).await)
            .await
            .1,
        "7"
    );
}

#[tokio::test]
async fn a_body_that_comes_whole_is_not_copied() {
    let text = Bytes::from_static(b"{\"model\":\"a\"}");
    let start = text.as_ptr() as usize;
    let look = answering(move |request| {
        assert_eq!(request.body().as_bytes().unwrap().as_ptr() as usize, start);
        echo(request)
    });
    let request = chat().body(http_body_util::Full::new(text)).unwrap();
    let answer = send(&EdgeLayer::default(), look, request).await.into_body();
    assert_eq!(
        answer.collect().await.unwrap().to_bytes().as_ptr() as usize,
        start
    );
}
