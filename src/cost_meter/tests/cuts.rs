//! Streams that are cut at any byte.

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http_body::Frame;
use http_body_util::StreamBody;

use super::*;
use crate::message::End;

const STREAM: &str = concat!(
    "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\"}}]}\n\n",
    "data: {\"choices\":[{\"delta\":{\"content\":\"Paris is the capital\"}}]}\n\n",
    "data: {\"choices\":[{\"delta\":{\"content\":\" of France.\"}}]}\n\n",
    "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n",
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":14,\"completion_tokens\":9}}\n\n",
    "data: [DONE]\n\n",
);
/// What the prompt is estimated to cost: 13 tokens at 2 USD a million.
const PROMPT: Cost = Cost::from_pico_usd(26_000_000);

#[derive(Debug, Clone, Copy, PartialEq)]
enum Cut {
    Ends,
    Breaks,
    Left,
}

/// The line of a stream that comes to an end after so many bytes, and how it was seen to end.
async fn cut_at(at: usize, how: Cut) -> (Record, End) {
    let (meter, kept) = meter();
    let response = served(&meter.build().unwrap(), asked(), move |_| {
        let head = Bytes::from_static(STREAM.get(..at).unwrap().as_bytes());
        let head = stream::iter([Ok(Frame::data(head))]);
        let tail = match how {
            Cut::Ends => stream::empty().boxed(),
            Cut::Breaks => stream::iter([Err(std::io::Error::from(
                std::io::ErrorKind::ConnectionReset,
            ))])
            .boxed(),
            Cut::Left => stream::pending().boxed(),
        };
        let body = StreamBody::new(head.chain(tail));
        let response = Response::builder().header("content-type", EVENTS);
        ResponseBody::wrap(response.body(body).unwrap())
    })
    .await;
    let (tell, told) = std::sync::mpsc::channel();
    let mut body = response
        .into_body()
        .on_end(move |completion| tell.send(completion.end).unwrap());
    match how {
        Cut::Left => drop(body.frame().await),
        _ => while let Some(Ok(_)) = body.frame().await {},
    }
    drop(body);
    (kept.only(), told.recv().unwrap())
}

#[tokio::test(start_paused = true)]
async fn wherever_a_stream_is_cut_it_is_one_line_that_never_gets_cheaper() {
    let finish = STREAM.find("finish_reason").unwrap();
    for how in [Cut::Ends, Cut::Breaks, Cut::Left] {
        let mut last = PROMPT;
        for at in 0..=STREAM.len() {
            let (record, end) = cut_at(at, how).await;
            let cost = record.cost_usd.unwrap();
            assert!(cost >= last, "{how:?} at {at}: {cost} after {last}");
            let is_partial = record.source == CostSource::Partial;
            assert_eq!(is_partial, end != End::Complete, "{how:?} at {at}: {end:?}");
            assert!(is_partial || at > finish, "{how:?} at {at}");
            last = cost;
        }
        // 14 tokens at 2 USD a million and 9 at 8.
        assert_eq!(last.to_string(), "0.0001");
    }
}

/// A ledger that never has room.
#[derive(Debug)]
struct Full(Arc<Kept>);

impl Ledger for Full {
    fn record(&self, record: Record, slot: Slot) {
        self.0.record(record, slot);
    }

    fn try_slot(&self) -> Option<Slot> {
        None
    }

    fn slot(&self) -> std::pin::Pin<Box<dyn Future<Output = Slot> + Send>> {
        Box::pin(std::future::pending())
    }
}

#[tokio::test(start_paused = true)]
async fn who_leaves_before_there_was_room_for_the_record_has_bought_nothing() {
    let kept = Arc::new(Kept::default());
    let full = Arc::new(Full(Arc::clone(&kept)));
    let layer = CostMeterLayer::builder().ledger(full).build().unwrap();
    let mut request = asked();
    let bill = Bill::of(request.extensions_mut());
    let service = layer.layer(answering(|_| answer(JSON, ANSWER)));
    let mut call = tokio_test::task::spawn(service.oneshot(request));
    assert!(call.poll().is_pending());
    assert_eq!(bill.open_attempts(), 1);
    drop(call);
    assert!(kept.0.lock().unwrap().is_empty());
    assert_eq!((bill.attempts(), bill.open_attempts()), (0, 0));
}
