//! Callers who leave, and streams that are cut.

use std::{pin::Pin, time::Duration};

use bytes::Bytes;
use http_body::{Body, Frame};
use http_body_util::{BodyExt, StreamBody};

use super::*;
use crate::message::{End, Failure};

/// A stream in these pieces.
pub(super) fn pieces(pieces: Vec<String>) -> Response<ResponseBody> {
    let frames = pieces
        .into_iter()
        .map(|piece| Ok::<_, Infallible>(Frame::data(Bytes::from(piece))));
    let body = StreamBody::new(futures_util::stream::iter(frames));
    let response = Response::builder().header("content-type", EVENTS);
    ResponseBody::wrap(response.body(body).unwrap())
}

fn event(text: &str) -> String {
    format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n")
}

fn stream() -> Vec<String> {
    let mut stream: Vec<_> = ["one ", "two ", "three ", "four "].map(event).into();
    stream.push(
        "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":13,\"completion_tokens\":4}}\n\ndata: [DONE]\n\n"
            .into(),
    );
    stream
}

fn streaming() -> Request<RequestBody> {
    chat(
        r#"{"model":"gpt-4.1","stream":true,"stream_options":{"include_usage":true},"messages":[{"role":"user","content":"What is the capital of France?"}]}"#,
    )
}

/// The record of a caller who takes so many frames and leaves.
async fn leaving(meter: CostMeterBuilder, kept: &Kept, frames: usize) -> Record {
    let response = served(&meter.build().unwrap(), streaming(), |_| pieces(stream())).await;
    let mut body = response.into_body();
    for _ in 0..frames {
        drop(body.frame().await);
    }
    drop(body);
    kept.only()
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_leaves_pays_for_the_prompt_and_what_was_seen() {
    let mut last = Cost::ZERO;
    for frames in 0..=4 {
        let (meter, kept) = meter();
        let record = leaving(meter, &kept, frames).await;
        assert_eq!(record.source, CostSource::Partial, "{frames}");
        assert_eq!(record.usage.input, 13, "{frames}");
        assert_eq!(&*record.outcome, "cancelled");
        let cost = record.cost_usd.unwrap();
        assert!(cost >= last, "{frames}: {cost} after {last}");
        assert_eq!(record.usage.output > 0, frames > 0);
        last = cost;
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_cut_is_one_partial_line() {
    for kept_pieces in 1..=4 {
        let (meter, kept) = meter();
        let cut: Vec<_> = stream().into_iter().take(kept_pieces).collect();
        let response = served(&meter.build().unwrap(), streaming(), move |_| {
            pieces(cut.clone())
        })
        .await;
        let response = response.map(|body| {
            body.on_end(|completion| assert_eq!(completion.end, End::Failed(Failure::Truncated)))
        });
        text(response).await;
        assert_eq!(kept.only().source, CostSource::Partial);
        assert!(kept.only().usage.input == 13 && kept.only().usage.output > 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_leaves_before_the_head_pays_for_the_prompt() {
    let (meter, kept) = meter();
    let silent = service_fn(|_: Request<RequestBody>| {
        std::future::pending::<Result<Response<ResponseBody>, Infallible>>()
    });
    let call = meter.build().unwrap().layer(silent).oneshot(asked());
    assert!(
        tokio::time::timeout(Duration::from_secs(1), call)
            .await
            .is_err()
    );
    let record = kept.only();
    assert_eq!(
        (record.source, record.usage.input),
        (CostSource::Partial, 13)
    );
    assert_eq!((record.status, record.latency_ms), (0, 1_000));
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_charges_nothing_then_is_not_billed() {
    let (meter, kept) = meter();
    let record = leaving(meter.on_disconnect(OnDisconnect::CancelNoBill), &kept, 2).await;
    assert_eq!(
        (record.source, record.cost_usd),
        (CostSource::Unbilled, Some(Cost::ZERO))
    );
}

#[tokio::test(start_paused = true)]
async fn an_abandoned_answer_is_read_on_to_learn_what_it_cost() {
    let (drainer, worker) = Drainer::builder().build().unwrap();
    let shutdown = worker.shutdown_handle();
    let worker = tokio::spawn(worker);
    let (meter, kept) = meter();
    let layer = meter
        .on_disconnect(OnDisconnect::Drain(drainer.clone()))
        .build()
        .unwrap();
    let response = served(&layer, streaming(), |_| pieces(stream())).await;
    let bill = Bill::find(response.extensions()).unwrap();
    let mut body = response.into_body();
    drop(body.frame().await);
    drop(body);
    assert!(kept.0.lock().unwrap().is_empty());
    tokio::task::yield_now().await;
    assert_eq!(
        (kept.only().source, kept.only().usage.output),
        (CostSource::Reported, 4)
    );
    assert_eq!((bill.attempts(), drainer.refused()), (1, 0));
    shutdown.shutdown();
    worker.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn draining_is_bounded_in_bytes_time_and_number() {
    let endless = || {
        let frames = futures_util::stream::repeat_with(|| {
            Ok::<_, Infallible>(Frame::data(Bytes::from(event("more "))))
        });
        let response = Response::builder().header("content-type", EVENTS);
        ResponseBody::wrap(response.body(StreamBody::new(frames)).unwrap())
    };
    let silent = || {
        let frames = futures_util::stream::pending::<Result<Frame<Bytes>, Infallible>>();
        let response = Response::builder().header("content-type", EVENTS);
        ResponseBody::wrap(response.body(StreamBody::new(frames)).unwrap())
    };
    let (drainer, worker) = Drainer::builder()
        .bytes(10_000)
        .time(Duration::from_secs(5))
        .concurrency(1)
        .build()
        .unwrap();
    let worker = tokio::spawn(worker);
    let (meter, kept) = meter();
    let layer = meter
        .on_disconnect(OnDisconnect::Drain(drainer.clone()))
        .build()
        .unwrap();
    let count = || kept.0.lock().unwrap().len();

    drop(served(&layer, streaming(), move |_| endless()).await);
    tokio::task::yield_now().await;
    assert_eq!(count(), 1);

    drop(served(&layer, streaming(), move |_| silent()).await);
    tokio::task::yield_now().await;
    drop(served(&layer, streaming(), move |_| silent()).await);
    drop(served(&layer, streaming(), move |_| silent()).await);
    assert_eq!((count(), drainer.refused()), (2, 1));
    tokio::time::sleep(Duration::from_secs(11)).await;
    assert_eq!(count(), 4);
    worker.abort();
}

#[tokio::test(start_paused = true)]
async fn a_drained_answer_that_is_read_to_its_end_is_as_it_came() {
    let (drainer, _worker) = Drainer::builder().build().unwrap();
    let (meter, kept) = meter();
    let layer = meter
        .on_disconnect(OnDisconnect::Drain(drainer.clone()))
        .build()
        .unwrap();
    let mut response = served(&layer, asked(), |_| answer(JSON, ANSWER)).await;
    assert_eq!(
        response.body().size_hint().exact(),
        Some(ANSWER.len() as u64)
    );
    let _ = Pin::new(response.body_mut());
    assert_eq!(text(response).await, ANSWER);
    assert_eq!(
        (kept.only().source, drainer.refused()),
        (CostSource::Reported, 0)
    );
    assert!(Drainer::builder().bytes(0).build().is_err());
}
