//! What a shadow costs whoever asks, and what it holds.

use std::sync::atomic::AtomicUsize;

use http_body::Frame;
use tokio::time::{Instant, sleep};

use super::*;

/// How long the primary takes to its head, and between two of its events.
const HEAD: Duration = Duration::from_millis(120);
const PACE: Duration = Duration::from_millis(15);

/// A stream that takes its time, on an answer that does too.
async fn slow() -> Result<Response<ResponseBody>, Infallible> {
    sleep(HEAD).await;
    let events = STREAM.split_inclusive("\n\n").map(Bytes::from);
    let frames = futures_util::stream::unfold(events, async |mut events| {
        let event = events.next()?;
        sleep(PACE).await;
        Some((Ok::<_, Infallible>(Frame::data(event)), events))
    });
    let body = ResponseBody::new(StreamBody::new(Box::pin(frames)));
    Ok(Response::new(body.with_media(Media::EventStream)))
}

/// When the head and each event came, of many requests at a time.
async fn times(
    service: impl Service<
        Request<RequestBody>,
        Response = Response<ResponseBody>,
        Error = Infallible,
        Future: Send,
    > + Clone
    + Send
    + 'static,
) -> Vec<Vec<Duration>> {
    let began = Instant::now();
    let asking = (0..32).map(|number| {
        let service = service.clone();
        tokio::spawn(async move {
            sleep(Duration::from_millis(number)).await;
            let mut body = service.oneshot(chat()).await.unwrap().into_body();
            let mut times = vec![began.elapsed()];
            while let Some(frame) = body.frame().await {
                frame.unwrap();
                times.push(began.elapsed());
            }
            times
        })
    });
    let mut all = Vec::new();
    for asked in asking.collect::<Vec<_>>() {
        all.push(asked.await.unwrap());
    }
    all
}

#[tokio::test(start_paused = true)]
async fn what_the_shadow_does_changes_no_moment_of_the_primarys_answer() {
    let primary = || service_fn(|_: Request<RequestBody>| slow());
    let alone = times(primary()).await;
    let endless = service_fn(|_: Request<RequestBody>| async {
        let frames = futures_util::stream::repeat_with(|| {
            Ok::<_, Infallible>(Frame::data(Bytes::from_static(b"data: {}\n\n")))
        });
        Ok(Response::new(ResponseBody::new(StreamBody::new(frames))))
    });
    let trickling = service_fn(|_: Request<RequestBody>| async {
        let frames = futures_util::stream::unfold((), async |()| {
            sleep(Duration::from_millis(1)).await;
            Some((
                Ok::<_, Infallible>(Frame::data(Bytes::from_static(b" "))),
                (),
            ))
        });
        Ok(Response::new(ResponseBody::new(StreamBody::new(Box::pin(
            frames,
        )))))
    });
    let failing = answering(|_| {
        let mut response = json("{}");
        *response.status_mut() = http::StatusCode::INTERNAL_SERVER_ERROR;
        response
    });
    for (what, target) in [
        ("hangs", hangs()),
        ("fails", Target::new("candidate", failing)),
        ("streams forever", Target::new("candidate", endless)),
        ("trickles forever", Target::new("candidate", trickling)),
    ] {
        // Also when there is no room for more copies.
        for concurrency in [64, 4] {
            let running = run(
                ShadowLayer::builder().concurrency(concurrency),
                target.clone(),
            );
            let with = times(running.layer.layer(primary())).await;
            assert_eq!(with, alone, "{what}");
            assert_eq!(running.handle.sent() + running.handle.dropped(), 32);
            running.stop.shutdown();
            running.worker.await.unwrap();
        }
    }
}

/// Counts how many of its kind there are.
#[derive(Clone)]
struct Live(Arc<AtomicUsize>);

struct Owned(Live, &'static str);

impl Live {
    fn bytes(&self, text: &'static str) -> Bytes {
        self.0.fetch_add(1, Ordering::SeqCst);
        Bytes::from_owner(Owned(self.clone(), text))
    }

    fn now(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl AsRef<[u8]> for Owned {
    fn as_ref(&self) -> &[u8] {
        self.1.as_bytes()
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[tokio::test(start_paused = true)]
async fn copies_hold_no_more_than_may_be_under_way_however_many_there_are() {
    hold_no_more_than_may_be_under_way(5_000).await;
}

#[tokio::test(start_paused = true)]
#[ignore = "takes half a minute without optimisation"]
async fn a_hundred_thousand_copies_hold_no_more_than_may_be_under_way() {
    hold_no_more_than_may_be_under_way(100_000).await;
}

async fn hold_no_more_than_may_be_under_way(requests: u64) {
    const CONCURRENCY: usize = 16;
    let live = Live(Arc::default());
    let copies = live.clone();
    // One in a hundred is slow, and one hangs.
    let number = Arc::new(AtomicUsize::new(0));
    let target = service_fn(move |_: Request<RequestBody>| {
        let (copies, number) = (copies.clone(), number.fetch_add(1, Ordering::SeqCst));
        async move {
            match number % 1_000 {
                0 if number < 10_000 => pending().await,
                1..10 => sleep(Duration::from_millis(20)).await,
                _ => {}
            }
            let body = ResponseBody::from(copies.bytes(ANSWER)).with_media(Media::Json);
            Ok(Response::new(body))
        }
    });
    let (layer, worker) = ShadowLayer::builder()
        .percent(100)
        .concurrency(CONCURRENCY)
        .build(Target::new("candidate", target))
        .unwrap();
    let (stop, worker) = (worker.shutdown_handle(), tokio::spawn(worker));
    let handle = layer.handle();
    let primary = layer.layer(answering(|_| json(ANSWER)));
    let mut most = 0;
    let mut asked = 0;
    while handle.sent() < requests {
        let body = RequestBody::json(live.bytes(r#"{"model":"m","messages":[]}"#));
        let request = Request::post("/v1/chat/completions").body(body).unwrap();
        drop(read(primary.clone().oneshot(request).await.unwrap()).await);
        asked += 1;
        assert!(
            asked < 10 * requests,
            "{} of {asked} were copied",
            handle.sent()
        );
        most = most.max(live.now());
        tokio::task::yield_now().await;
        if handle.dropped() > 0 && asked % 64 == 0 {
            sleep(Duration::from_millis(1)).await;
        }
    }
    // A request's body and an answer of each that may be under way, and those of the request in hand.
    assert!(
        most <= 2 * CONCURRENCY + 2,
        "{most} bodies were held at a time"
    );
    stop.shutdown();
    worker.await.unwrap();
    drop((primary, layer, handle));
    assert_eq!(live.now(), 0);
}
