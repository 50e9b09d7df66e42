use std::{
    convert::Infallible,
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::Poll,
};

use bytes::Bytes;
use futures_util::future::join_all;
use http::{Request, Response, StatusCode};
use http_body_util::{
    BodyExt,
    channel::{Channel, Sender},
};
use tokio::{sync::mpsc, task::yield_now};
use tokio_test::{assert_pending, assert_ready, task};
use tower::{
    Layer, ServiceExt,
    util::{BoxCloneSyncService, service_fn},
};

use super::{ANSWER, CHAT, EVENTS, Relay, STREAMED, events, json, request, shared};
use crate::{
    cache::{CacheBuilder, CacheHandle, CacheLayer},
    message::{
        ApiError, BoxError, Cached, Dialect, Phase, Reason, Rejection, RequestBody, ResponseBody,
    },
};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_thousand_equal_requests_at_once_are_one_call() {
    for (asked, whole) in [(CHAT, ANSWER.to_owned()), (STREAMED, EVENTS.concat())] {
        let relay = Arc::new(Relay::new(CacheLayer::builder(), move |_| {
            if asked == CHAT {
                json(ANSWER)
            } else {
                events(EVENTS)
            }
        }));
        let asking = (0..1_000).map(|_| {
            let relay = Arc::clone(&relay);
            tokio::spawn(async move { relay.ask(request(asked)).await })
        });
        let mut misses = 0;
        for told in join_all(asking).await {
            let (status, body) = told.unwrap();
            assert_eq!(body, whole);
            misses += usize::from(status == "miss");
        }
        assert_eq!((relay.calls(), misses, relay.handle.in_flight()), (1, 1, 0));
        let counts = relay.handle.counts();
        assert_eq!((counts.hits + counts.shared, counts.kept), (999, 1));
    }
}

/// A cache before an upstream whose answers are in the test's hands.
struct Held {
    service: BoxCloneSyncService<Request<RequestBody>, Response<ResponseBody>, Infallible>,
    handle: CacheHandle,
    calls: Arc<AtomicUsize>,
    answers: mpsc::UnboundedSender<Response<ResponseBody>>,
}

impl Held {
    fn new(builder: CacheBuilder) -> Self {
        let layer = builder.build().unwrap();
        let calls = Arc::new(AtomicUsize::new(0));
        let (answers, queue) = mpsc::unbounded_channel();
        let queue = Arc::new(tokio::sync::Mutex::new(queue));
        let counted = Arc::clone(&calls);
        let upstream = service_fn(move |_: Request<RequestBody>| {
            counted.fetch_add(1, SeqCst);
            let queue = Arc::clone(&queue);
            async move { Ok(queue.lock().await.recv().await.unwrap()) }
        });
        Self {
            service: BoxCloneSyncService::new(layer.layer(upstream)),
            handle: layer.handle(),
            calls,
            answers,
        }
    }

    fn calls(&self) -> usize {
        self.calls.load(SeqCst)
    }

    fn ask(&self) -> task::Spawn<impl Future<Output = Response<ResponseBody>> + use<>> {
        let service = self.service.clone();
        task::spawn(async move { service.oneshot(request(STREAMED)).await.unwrap() })
    }

    /// Answers with a stream that is in the test's hands too.
    fn answer(&self) -> Sender<Bytes, BoxError> {
        let (sender, body) = Channel::<Bytes, BoxError>::new(64);
        let response = Response::builder().header("content-type", "text/event-stream");
        let response = ResponseBody::wrap(response.body(body).unwrap());
        self.answers.send(response).unwrap();
        sender
    }
}

async fn push(sender: &mut Sender<Bytes, BoxError>, piece: &'static str) {
    sender
        .send_data(Bytes::from_static(piece.as_bytes()))
        .await
        .unwrap();
}

async fn piece(body: &mut ResponseBody) -> Bytes {
    body.frame().await.unwrap().unwrap().into_data().unwrap()
}

/// Up to which point the leader stays.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Leaves {
    BeforeItIsPolled,
    BeforeTheHead,
    AtTheHead,
    BeforeItsBody,
    AfterAPiece,
    AtTheLast,
}

#[tokio::test(start_paused = true)]
async fn a_leader_may_leave_at_any_point_and_nobody_asks_again() {
    use Leaves::*;
    for leaves in [
        BeforeItIsPolled,
        BeforeTheHead,
        AtTheHead,
        BeforeItsBody,
        AfterAPiece,
        AtTheLast,
    ] {
        let held = Held::new(CacheLayer::builder());
        let mut leader = held.ask();
        if leaves != BeforeItIsPolled {
            assert_pending!(leader.poll());
        }
        let mut followers: Vec<_> = (0..3).map(|_| held.ask()).collect();
        for follower in &mut followers {
            assert_pending!(follower.poll());
        }
        let mut leading = Some(leader);
        if leaves == BeforeTheHead || leaves == BeforeItIsPolled {
            leading = None;
        }
        let mut sender = held.answer();
        for follower in &followers {
            assert!(
                leaves == BeforeItIsPolled || follower.is_woken(),
                "{leaves:?}"
            );
        }
        if leaves == AtTheHead {
            leading = None;
        }
        let mut body = leading
            .as_mut()
            .map(|leader| assert_ready!(leader.poll()).into_body());
        if leaves == BeforeItsBody {
            body = None;
        }
        let mut bodies = Vec::new();
        for follower in &mut followers {
            let response = assert_ready!(follower.poll(), "{leaves:?}");
            bodies.push(response.into_body());
        }
        push(&mut sender, EVENTS[0]).await;
        if let Some(body) = &mut body {
            assert_eq!(piece(body).await, EVENTS[0]);
        }
        if leaves == AfterAPiece {
            body = None;
        }
        assert_eq!(piece(&mut bodies[0]).await, EVENTS[0]);
        push(&mut sender, EVENTS[1]).await;
        push(&mut sender, EVENTS[2]).await;
        drop(sender);
        drop(body);
        drop(leading);
        assert_eq!(
            bodies.remove(0).collect().await.unwrap().to_bytes(),
            EVENTS[1..].concat()
        );
        for body in bodies {
            assert_eq!(
                body.collect().await.unwrap().to_bytes(),
                EVENTS.concat(),
                "{leaves:?}"
            );
        }
        // One that was never polled has not even asked.
        assert_eq!(held.calls(), 1, "{leaves:?}");
        assert_eq!(
            (held.handle.counts().kept, held.handle.in_flight()),
            (1, 0),
            "{leaves:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn when_all_have_left_the_call_is_let_go_of() {
    let held = Held::new(CacheLayer::builder());
    let (mut one, mut two) = (held.ask(), held.ask());
    assert_pending!(one.poll());
    assert_pending!(two.poll());
    let sender = held.answer();
    let (one, two) = (assert_ready!(one.poll()), assert_ready!(two.poll()));
    assert_eq!(one.headers()["x-relay-cache"], "miss");
    assert_eq!(two.headers()["x-relay-cache"], "hit");
    assert!(
        two.extensions().get::<Cached>().is_some() && one.extensions().get::<Cached>().is_none()
    );
    drop(one);
    assert_eq!(held.handle.in_flight(), 1);
    drop(two);
    assert_eq!((held.handle.in_flight(), held.handle.counts().kept), (0, 0));
    let mut closed = sender;
    assert!(
        closed.send_data(Bytes::from_static(b"x")).await.is_err(),
        "nobody reads on"
    );
}

#[tokio::test(start_paused = true)]
async fn who_comes_late_gets_what_was_sent_and_then_follows() {
    let held = Held::new(CacheLayer::builder());
    let mut leader = held.ask();
    assert_pending!(leader.poll());
    let mut sender = held.answer();
    let mut leader = assert_ready!(leader.poll()).into_body();
    for event in &EVENTS[..2] {
        push(&mut sender, event).await;
        assert_eq!(piece(&mut leader).await, event);
    }
    let mut late = held.ask().await.into_body();
    assert_eq!(piece(&mut late).await, EVENTS[0]);
    assert_eq!(piece(&mut late).await, EVENTS[1]);
    let mut waiting = task::spawn(late.frame());
    assert_pending!(waiting.poll());
    push(&mut sender, EVENTS[2]).await;
    assert!(waiting.is_woken());
    assert_eq!(
        assert_ready!(waiting.poll())
            .unwrap()
            .unwrap()
            .into_data()
            .unwrap(),
        EVENTS[2]
    );
    assert_eq!(held.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_slow_follower_never_stalls_the_leader_and_is_cut_off_beyond_what_is_held() {
    let held = Held::new(CacheLayer::builder().max_answer(200));
    let (mut leader, mut slow, mut fast) = (held.ask(), held.ask(), held.ask());
    for asking in [&mut leader, &mut slow, &mut fast] {
        assert_pending!(asking.poll());
    }
    let mut sender = held.answer();
    let mut leader = assert_ready!(leader.poll()).into_body();
    let mut slow = assert_ready!(slow.poll()).into_body();
    let mut fast = assert_ready!(fast.poll()).into_body();
    for _ in 0..20 {
        push(&mut sender, EVENTS[0]).await;
        assert_eq!(piece(&mut leader).await, EVENTS[0]);
        assert_eq!(piece(&mut fast).await, EVENTS[0]);
    }
    let error = slow.frame().await.unwrap().unwrap_err();
    assert!(format!("{error:?}").contains("Behind"), "{error:?}");
    push(&mut sender, EVENTS[1]).await;
    push(&mut sender, EVENTS[2]).await;
    drop(sender);
    for body in [leader, fast] {
        assert_eq!(
            body.collect().await.unwrap().to_bytes(),
            EVENTS[1..].concat()
        );
    }
    // What outgrew its size is neither kept nor joined.
    assert_eq!((held.handle.counts().kept, held.handle.in_flight()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_slow_leader_loses_nothing_and_the_others_wait_for_it() {
    let held = Held::new(CacheLayer::builder().max_answer(200));
    let (mut leader, mut fast) = (held.ask(), held.ask());
    assert_pending!(leader.poll());
    assert_pending!(fast.poll());
    let mut sender = held.answer();
    let mut leader = assert_ready!(leader.poll()).into_body();
    let mut fast = assert_ready!(fast.poll()).into_body();
    for _ in 0..10 {
        push(&mut sender, EVENTS[0]).await;
    }
    push(&mut sender, EVENTS[1]).await;
    push(&mut sender, EVENTS[2]).await;
    drop(sender);
    let mut read = 0;
    let mut next = task::spawn(poll_fn(|cx| {
        loop {
            match http_body::Body::poll_frame(std::pin::Pin::new(&mut fast), cx) {
                Poll::Ready(Some(Ok(_))) => read += 1,
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
        }
    }));
    assert_pending!(next.poll());
    assert_eq!(piece(&mut leader).await, EVENTS[0]);
    assert!(next.is_woken());
    let mut seen = Vec::new();
    while let Some(frame) = leader.frame().await {
        seen.extend_from_slice(frame.unwrap().data_ref().unwrap());
        let _ = next.poll();
    }
    let expected = [EVENTS[0].repeat(9), EVENTS[1..].concat()].concat();
    assert_eq!(seen, expected.as_bytes());
    next.await;
    assert_eq!(read, 12);
}

#[tokio::test(start_paused = true)]
async fn an_error_is_shared_and_not_kept_and_a_broken_stream_breaks_for_all() {
    let held = Held::new(CacheLayer::builder());
    let (mut one, mut two) = (held.ask(), held.ask());
    assert_pending!(one.poll());
    assert_pending!(two.poll());
    let mut busy = json(r#"{"error":{"message":"busy"}}"#);
    *busy.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    busy.headers_mut().insert("retry-after", 7.into());
    held.answers.send(busy).unwrap();
    for asking in [one, two] {
        let response = asking.await;
        assert_eq!(
            (
                response.status().as_u16(),
                &response.headers()["retry-after"]
            ),
            (503, &7.into())
        );
        assert!(response.extensions().get::<Cached>().is_none());
        response.into_body().collect().await.unwrap();
    }
    assert_eq!((held.calls(), held.handle.in_flight()), (1, 0));

    let (mut one, mut two) = (held.ask(), held.ask());
    assert_pending!(one.poll());
    assert_pending!(two.poll());
    let mut sender = held.answer();
    push(&mut sender, EVENTS[0]).await;
    sender.abort("reset".into());
    for asking in [one, two] {
        let error = asking.await.into_body().collect().await.unwrap_err();
        let whole = std::iter::successors(Some(&error as &dyn std::error::Error), |error| {
            error.source()
        });
        assert!(
            whole.into_iter().any(|error| error.to_string() == "reset"),
            "{error:?}"
        );
    }
    assert_eq!((held.handle.counts().kept, held.handle.in_flight()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn what_is_the_leaders_own_is_not_for_the_others_who_ask_for_themselves() {
    let held = Held::new(CacheLayer::builder());
    let (mut leader, mut follower) = (held.ask(), held.ask());
    assert_pending!(leader.poll());
    assert_pending!(follower.poll());
    let error = ApiError::new(StatusCode::GATEWAY_TIMEOUT, "timeout", "late");
    let late = Rejection::new("timeout", Reason::Timeout(Phase::Head))
        .into_response(&error, Dialect::OpenAi);
    held.answers.send(late).unwrap();
    assert_eq!(assert_ready!(leader.poll()).status(), 504);
    assert_pending!(follower.poll());
    assert_eq!(held.calls(), 2);
    held.answers.send(events(EVENTS)).unwrap();
    let response = follower.await;
    assert_eq!(response.headers()["x-relay-cache"], "miss");
    assert_eq!(
        response.into_body().collect().await.unwrap().to_bytes(),
        EVENTS.concat()
    );
    assert_eq!(held.handle.counts().kept, 1);
}

#[tokio::test(start_paused = true)]
async fn followers_are_bounded_and_those_beyond_ask_for_themselves() {
    let held = Held::new(CacheLayer::builder().max_followers(2));
    let mut asking: Vec<_> = (0..5).map(|_| held.ask()).collect();
    for asking in &mut asking {
        assert_pending!(asking.poll());
    }
    assert_eq!(held.calls(), 3);
    // Who leaves makes room.
    drop(asking.remove(1));
    let mut another = held.ask();
    assert_pending!(another.poll());
    assert_eq!(held.calls(), 3);
    let relay = Relay::new(shared().max_followers(0), |_| json(ANSWER));
    let both = join_all([relay.ask(request(CHAT)), relay.ask(request(CHAT))]).await;
    assert!(both.iter().all(|(status, _)| status == "miss"));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_panics_leaves_nobody_waiting() {
    let layer = CacheLayer::builder().build().unwrap();
    let service = layer.layer(service_fn(|request: Request<RequestBody>| async move {
        yield_now().await;
        assert!(request.uri().path().is_empty(), "on purpose");
        Ok::<_, Infallible>(json(ANSWER))
    }));
    let ask = || {
        let service = service.clone();
        tokio::spawn(async move {
            service
                .oneshot(request(CHAT))
                .await
                .map(|response| response.status())
        })
    };
    let asking = [ask(), ask(), ask()];
    for asking in asking {
        match asking.await {
            Err(panicked) => assert!(panicked.is_panic()),
            Ok(answered) => assert_eq!(answered.unwrap(), 500),
        }
    }
    assert_eq!(layer.handle().in_flight(), 0);
}
