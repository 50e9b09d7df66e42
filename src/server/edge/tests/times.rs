use std::{
    future::{pending, ready},
    sync::{Arc, Mutex},
    time::Duration,
};

use http_body_util::{BodyExt, channel::Channel};
use tokio::time::{Instant, advance};
use tower::service_fn;

use super::*;
use crate::{
    message::{BoxError, Completion, Deadline, End, Failure, Phase, Reason, Rejection},
    testing::{answering, echo, read, refusal},
};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_body_that_stalls_is_refused_after_its_time() {
    let layer = EdgeLayer::builder()
        .body_timeout(3 * SECOND)
        .build()
        .unwrap();
    let (mut sender, body) = Channel::<Bytes, BoxError>::new(1);
    sender.send_data("{".into()).await.unwrap();
    let start = Instant::now();
    let response = send(&layer, answering(echo), chat().body(body).unwrap()).await;
    assert_eq!(start.elapsed().as_secs(), 3);
    let rejection = *response.extensions().get::<Rejection>().unwrap();
    assert_eq!(rejection.reason, Reason::Timeout(Phase::RequestBody));
    assert_eq!(refusal(response).await, (408, "request_timeout".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_drips_is_refused_as_well() {
    let layer = EdgeLayer::builder()
        .body_timeout(3 * SECOND)
        .build()
        .unwrap();
    let (mut sender, body) = Channel::<Bytes, BoxError>::new(1);
    tokio::spawn(async move {
        while sender.send_data(" ".into()).await.is_ok() {
            tokio::time::sleep(SECOND / 2).await;
        }
    });
    let start = Instant::now();
    assert_eq!(
        send(&layer, answering(echo), chat().body(body).unwrap())
            .await
            .status(),
        408
    );
    assert_eq!(start.elapsed().as_secs(), 3);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_collected_may_take_its_time() {
    let layer = EdgeLayer::builder().body_timeout(SECOND).build().unwrap();
    let (mut sender, body) = Channel::<Bytes, BoxError>::new(1);
    let response = send(
        &layer,
        answering(echo),
        Request::post("/upload").body(body).unwrap(),
    )
    .await;
    tokio::spawn(async move {
        tokio::time::sleep(9 * SECOND).await;
        sender.send_data("late".into()).await
    });
    assert_eq!(read(response).await.1, "late");
}

#[tokio::test(start_paused = true)]
async fn no_head_within_the_deadline_is_a_504() {
    let layer = EdgeLayer::builder().deadline(5 * SECOND).build().unwrap();
    let never =
        service_fn(|_: Request<RequestBody>| pending::<Result<Response<ResponseBody>, BoxError>>());
    for body in ["{}", ""] {
        let start = Instant::now();
        let response = send(&layer, never, chat().body(body.to_owned()).unwrap()).await;
        assert_eq!(start.elapsed().as_secs(), 5);
        assert!(response.headers().contains_key("x-relay-request-id"));
        let rejection = *response.extensions().get::<Rejection>().unwrap();
        assert_eq!(rejection.reason, Reason::Timeout(Phase::Head));
        assert_eq!(
            refusal(response).await,
            (504, "deadline_exceeded".to_owned())
        );
    }
}

#[tokio::test(start_paused = true)]
async fn the_deadline_runs_while_the_body_arrives() {
    let layer = EdgeLayer::builder()
        .body_timeout(9 * SECOND)
        .deadline(5 * SECOND)
        .build()
        .unwrap();
    let (_sender, body) = Channel::<Bytes, BoxError>::new(1);
    let start = Instant::now();
    assert_eq!(
        send(&layer, answering(echo), chat().body(body).unwrap())
            .await
            .status(),
        504
    );
    assert_eq!(start.elapsed().as_secs(), 5);
}

#[tokio::test(start_paused = true)]
async fn an_answer_under_way_at_the_deadline_is_broken_off() {
    let layer = EdgeLayer::builder().deadline(5 * SECOND).build().unwrap();
    let (mut sender, body) = Channel::<Bytes, BoxError>::new(1);
    let ends: Arc<Mutex<Vec<End>>> = Arc::default();
    let told = Arc::clone(&ends);
    let answer = Mutex::new(Some(ResponseBody::new(body).on_end(
        move |done: &mut Completion| {
            told.lock().unwrap().push(done.end);
        },
    )));
    let answer = Arc::new(answer);
    let service = answering(move |_| Response::new(answer.lock().unwrap().take().unwrap()));
    let mut body = send(&layer, service, chat().body("{}".to_owned()).unwrap())
        .await
        .into_body();

    let start = Instant::now();
    sender.send_data("first".into()).await.unwrap();
    assert_eq!(
        body.frame().await.unwrap().unwrap().into_data().unwrap(),
        "first"
    );
    body.frame().await.unwrap().unwrap_err();
    assert_eq!(start.elapsed().as_secs(), 5);
    assert_eq!(*ends.lock().unwrap(), [End::Failed(Failure::Deadline)]);
    assert!(body.frame().await.is_none());
    assert!(
        sender.send_data("more".into()).await.is_err(),
        "the upstream's body is let go"
    );
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_ends_in_time_is_not_broken_off() {
    let layer = EdgeLayer::builder().deadline(5 * SECOND).build().unwrap();
    let response = send(
        &layer,
        answering(echo),
        chat().body("{}".to_owned()).unwrap(),
    )
    .await;
    advance(9 * SECOND).await;
    assert_eq!(read(response).await.1, "{}");
}

#[tokio::test(start_paused = true)]
async fn an_earlier_deadline_of_an_outer_layer_stays() {
    let layer = EdgeLayer::builder().deadline(5 * SECOND).build().unwrap();
    for (outer, expected) in [(2, 2), (9, 5)] {
        let seen = service_fn(|request: Request<RequestBody>| {
            let left = Deadline::of(request.extensions()).unwrap().remaining();
            ready(Ok::<_, BoxError>(Response::new(ResponseBody::from(
                left.as_secs().to_string(),
            ))))
        });
        let mut request = chat().body("{}".to_owned()).unwrap();
        request
            .extensions_mut()
            .insert(Deadline::after(outer * SECOND));
        assert_eq!(
            read(send(&layer, seen, request).await).await.1,
            expected.to_string()
        );
    }
}

#[tokio::test(start_paused = true)]
async fn of_two_edges_the_stricter_deadline_holds() {
    let layers = [2, 9].map(|seconds| {
        EdgeLayer::builder()
            .deadline(seconds * SECOND)
            .build()
            .unwrap()
    });
    for (outer, inner) in [(&layers[0], &layers[1]), (&layers[1], &layers[0])] {
        let (_sender, body) = Channel::<Bytes, BoxError>::new(1);
        let body = Arc::new(Mutex::new(Some(body)));
        let service = inner.layer(answering(move |_| {
            Response::new(body.lock().unwrap().take().unwrap())
        }));
        let start = Instant::now();
        let mut body = send(outer, service, chat().body("{}".to_owned()).unwrap())
            .await
            .into_body();
        body.frame().await.unwrap().unwrap_err();
        assert_eq!(start.elapsed().as_secs(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn other_routes_have_no_deadline_unless_all_are_guarded() {
    let slow = service_fn(|request: Request<RequestBody>| async move {
        tokio::time::sleep(9 * SECOND).await;
        Ok::<_, BoxError>(echo(request))
    });
    for (guard, status) in [(false, 200), (true, 504)] {
        let layer = EdgeLayer::builder()
            .deadline(5 * SECOND)
            .guard_all(guard)
            .build()
            .unwrap();
        let request = Request::post("/slow").body(String::new()).unwrap();
        assert_eq!(send(&layer, slow, request).await.status(), status);
    }
}

#[tokio::test(start_paused = true)]
async fn endless_times_do_not_overflow() {
    let layer = EdgeLayer::builder()
        .deadline(Duration::MAX)
        .body_timeout(Duration::MAX)
        .build()
        .unwrap();
    let (mut sender, body) = Channel::<Bytes, BoxError>::new(1);
    tokio::spawn(async move {
        tokio::time::sleep(SECOND).await;
        sender.send_data("{}".into()).await
    });
    let response = send(&layer, answering(echo), chat().body(body).unwrap()).await;
    assert_eq!(read(response).await.1, "{}");
}
