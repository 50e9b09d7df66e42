use std::{
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use http_body::{Frame, SizeHint};
use http_body_util::{BodyExt, channel::Channel};
use proptest::prelude::*;
use tokio_test::{assert_pending, task};

use super::*;
use crate::{
    message::{self, BoxError, Endpoint, Reason, Rejection},
    testing::{answering, echo, read, refusal},
};

/// Declares its length, and panics when it is read.
struct Untouchable(u64);

impl Body for Untouchable {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        panic!("was read");
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0)
    }
}

fn capped(bytes: u64) -> EdgeLayer {
    EdgeLayer::builder().max_body(bytes).build().unwrap()
}

#[tokio::test]
async fn a_declared_length_over_the_cap_is_refused_without_reading() {
    let response = send(
        &capped(10),
        answering(echo),
        chat().body(Untouchable(11)).unwrap(),
    )
    .await;
    let rejection = *response.extensions().get::<Rejection>().unwrap();
    assert_eq!(
        (rejection.layer, rejection.reason),
        ("edge", Reason::BodyTooLarge)
    );
    assert_eq!(
        refusal(response).await,
        (413, "request_too_large".to_owned())
    );
}

#[tokio::test]
async fn an_undeclared_length_is_refused_once_it_is_over_the_cap() {
    let (mut sender, body) = Channel::<Bytes, BoxError>::new(4);
    for _ in 0..3 {
        sender.send_data("1234".into()).await.unwrap();
    }
    // The sender is alive: more could come, and nobody waits for it.
    let response = send(&capped(10), answering(echo), chat().body(body).unwrap()).await;
    assert_eq!(
        refusal(response).await,
        (413, "request_too_large".to_owned())
    );
}

#[tokio::test]
async fn a_body_as_large_as_the_cap_is_taken_however_it_comes() {
    let (mut sender, body) = Channel::<Bytes, BoxError>::new(4);
    for part in ["12345", "", "67890"] {
        sender.send_data(part.into()).await.unwrap();
    }
    drop(sender);
    let response = send(&capped(10), answering(echo), chat().body(body).unwrap()).await;
    assert_eq!(read(response).await.1, "1234567890");
    let response = send(
        &capped(10),
        answering(echo),
        chat().body("1234567890".to_owned()).unwrap(),
    )
    .await;
    assert_eq!(read(response).await.1, "1234567890");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_body_is_collected_whole_however_it_is_cut(
        parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..9), 0..9),
    ) {
        let whole = parts.concat();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let collected = runtime.block_on(async {
            let (mut sender, body) = Channel::<Bytes, BoxError>::new(9);
            for part in parts {
                sender.send_data(part.into()).await.unwrap();
            }
            drop(sender);
            let response = send(&EdgeLayer::default(), answering(echo), chat().body(body).unwrap()).await;
            response.into_body().collect().await.unwrap().to_bytes()
        });
        prop_assert_eq!(&*collected, whole);
    }
}

#[tokio::test]
async fn an_endpoint_may_have_a_cap_of_its_own() {
    let layer = EdgeLayer::builder()
        .max_body(4)
        .max_body_for(Endpoint::Embeddings, 8)
        .build()
        .unwrap();
    for (path, status) in [("/v1/embeddings", 200), ("/v1/responses", 413)] {
        let request = Request::post(path).body("12345678".to_owned()).unwrap();
        assert_eq!(
            send(&layer, answering(echo), request).await.status(),
            status,
            "{path}"
        );
    }
    let request = Request::post("/v1/embeddings")
        .body("123456789".to_owned())
        .unwrap();
    assert_eq!(send(&layer, answering(echo), request).await.status(), 413);
}

#[tokio::test]
async fn no_cap_applies_to_what_is_not_collected() {
    for request in [
        Request::post("/upload").body(Untouchable(1 << 40)),
        chat()
            .header("content-encoding", "gzip")
            .body(Untouchable(1 << 40)),
        Request::post("/v1/chat/completions")
            .header("content-type", "audio/wav")
            .body(Untouchable(1 << 40)),
    ] {
        let service = answering(|_| Response::new(ResponseBody::empty()));
        assert_eq!(
            send(&capped(10), service, request.unwrap()).await.status(),
            200
        );
    }
}

/// A service that keeps the bodies that it gets.
fn keeping(
    kept: &Arc<Mutex<Vec<RequestBody>>>,
) -> impl Fn(Request<RequestBody>) -> Response<ResponseBody> + Clone + use<> {
    let kept = Arc::clone(kept);
    move |request| {
        kept.lock().unwrap().push(request.into_body());
        Response::new(ResponseBody::empty())
    }
}

#[tokio::test]
async fn the_bytes_of_all_requests_are_held_until_the_last_clone_is_dropped() {
    let layer = EdgeLayer::builder()
        .max_body(10)
        .max_held(15)
        .build()
        .unwrap();
    let kept = Arc::default();
    let send = async || {
        send(
            &layer,
            answering(keeping(&kept)),
            chat().body("1234567890".to_owned()).unwrap(),
        )
        .await
    };
    assert_eq!(send().await.status(), 200);
    let clone = kept.lock().unwrap()[0].try_clone();
    kept.lock().unwrap().clear();

    let response = send().await;
    assert_eq!(response.headers()["retry-after"], "1");
    let rejection = *response.extensions().get::<Rejection>().unwrap();
    assert_eq!(
        (rejection.reason, rejection.retry_after),
        (Reason::Overloaded, Some(Duration::from_secs(1)))
    );
    assert_eq!(
        refusal(response).await,
        (503, "relay_overloaded".to_owned())
    );

    drop(clone);
    assert_eq!(send().await.status(), 200);
}

#[tokio::test]
async fn an_edited_body_is_held_like_the_one_it_came_of() {
    let layer = EdgeLayer::builder()
        .max_body(15)
        .max_held(15)
        .build()
        .unwrap();
    let kept: Arc<Mutex<Vec<RequestBody>>> = Arc::default();
    let keep = keeping(&kept);
    let edit = move |mut request| {
        message::edit(&mut request, |edit| _ = edit.set("model", "b")).unwrap();
        keep(request)
    };
    let send = async || {
        send(
            &layer,
            answering(edit.clone()),
            chat().body(r#"{"model":"a"}"#.to_owned()).unwrap(),
        )
        .await
    };
    assert_eq!(send().await.status(), 200);
    assert_eq!(send().await.status(), 503);
    kept.lock().unwrap().clear();
    assert_eq!(send().await.status(), 200);
}

#[tokio::test]
async fn a_caller_who_leaves_while_sending_gives_the_bytes_back() {
    let layer = EdgeLayer::builder()
        .max_body(10)
        .max_held(10)
        .build()
        .unwrap();
    let (mut sender, body) = Channel::<Bytes, BoxError>::new(4);
    sender.send_data("12345678".into()).await.unwrap();
    let mut call = task::spawn(send(&layer, answering(echo), chat().body(body).unwrap()));
    assert_pending!(call.poll());
    let other = || chat().body("1234".to_owned()).unwrap();
    assert_eq!(send(&layer, answering(echo), other()).await.status(), 503);
    drop(call);
    assert_eq!(send(&layer, answering(echo), other()).await.status(), 200);
}

#[tokio::test]
async fn a_refused_body_gives_its_bytes_back() {
    let layer = EdgeLayer::builder()
        .max_body(10)
        .max_held(10)
        .build()
        .unwrap();
    let (mut sender, body) = Channel::<Bytes, BoxError>::new(4);
    for part in ["12345678", "12345678"] {
        sender.send_data(part.into()).await.unwrap();
    }
    assert_eq!(
        send(&layer, answering(echo), chat().body(body).unwrap())
            .await
            .status(),
        413
    );
    let whole = chat().body("1234567890".to_owned()).unwrap();
    assert_eq!(send(&layer, answering(echo), whole).await.status(), 200);
}

#[test]
fn bounds_that_cannot_work_are_refused() {
    let base = EdgeLayer::builder;
    for (builder, error) in [
        (base().max_body(0), "max_body: must be at least one byte"),
        (base().max_held(0), "max_held: must be at least one byte"),
        (
            base().max_body(9).max_held(8),
            "max_held: is smaller than the largest single body that is allowed: raise it, or lower max_body",
        ),
        (
            base()
                .max_body(9)
                .max_held(9)
                .max_body_for(Endpoint::Embeddings, 10),
            "max_held: is smaller than the largest single body that is allowed: raise it, or lower max_body",
        ),
        (
            base().max_body_for(Endpoint::Embeddings, 0),
            "max_body_by_endpoint.embeddings: must be at least one byte",
        ),
        (
            base().body_timeout(Duration::ZERO),
            "body_timeout: must be longer than zero",
        ),
        (
            base().deadline(Duration::ZERO),
            "deadline: must be longer than zero",
        ),
    ] {
        assert_eq!(builder.build().unwrap_err().to_string(), error);
    }
}
