use std::convert::Infallible;

use http_body_util::{BodyExt, Full, StreamBody};
use tower::{ServiceExt, service_fn};

use super::*;

async fn sent(body: RequestBody, max: usize) -> (u16, Bytes) {
    let echo = service_fn(|request: Request<Bytes>| async move {
        Ok::<_, Infallible>(Response::new(Full::new(request.into_body())))
    });
    let request = Request::post("/v1/files").body(body).unwrap();
    let response = AdaptBytesLayer::new()
        .max_body(max)
        .layer(echo)
        .oneshot(request)
        .await
        .unwrap();
    let status = response.status().as_u16();
    (
        status,
        response.into_body().collect().await.unwrap().to_bytes(),
    )
}

fn stream() -> RequestBody {
    let frames = ["ab", "", "cd", "e"]
        .map(|text| Ok::<_, Infallible>(http_body::Frame::data(Bytes::from(text))));
    RequestBody::new(StreamBody::new(futures_util::stream::iter(frames)))
}

#[tokio::test]
async fn what_is_held_is_handed_over_and_a_stream_is_collected() {
    assert_eq!(
        sent(RequestBody::json("{}"), 1).await,
        (200, Bytes::from("{}"))
    );
    assert_eq!(sent(RequestBody::empty(), 1).await, (200, Bytes::new()));
    assert_eq!(sent(stream(), 5).await, (200, Bytes::from("abcde")));
}

#[tokio::test]
async fn a_stream_over_the_cap_is_refused() {
    let (status, body) = sent(stream(), 4).await;
    assert_eq!(status, 413);
    assert!(
        body.starts_with(br#"{"error":{"message":"the request's body is larger than the 4 bytes"#),
        "{body:?}"
    );
}
