//! Each callback once, and the right verdict, wherever a body is let go.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex},
};

use http_body_util::BodyExt;
use proptest::prelude::*;
use tokio_test::task;
use tower_relay::message::{End, Failure, ResponseBody};

use super::{
    source::{Last, Source, Step, source},
    transforms::{Stage, stage},
};

/// What becomes of an answer whose body is polled a number of times.
#[derive(Debug, Default, PartialEq)]
struct Seen {
    bytes: u64,
    ended: bool,
    failed: bool,
}

/// Polls at most `polls` times.
fn read(body: &mut ResponseBody, polls: usize) -> Seen {
    let mut seen = Seen::default();
    for _ in 0..polls {
        let mut frame = task::spawn(body.frame());
        match frame.poll() {
            std::task::Poll::Pending => {}
            std::task::Poll::Ready(Some(Ok(frame))) => {
                seen.bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
            }
            std::task::Poll::Ready(Some(Err(_))) => seen.failed = true,
            std::task::Poll::Ready(None) => seen.ended = true,
        }
    }
    seen
}

/// How an answer ended of which this was seen in so many polls, each of which takes one step.
fn verdict(source: &Source, polls: usize, seen: &Seen) -> End {
    let declared = source.exact && seen.bytes == source.whole().len() as u64;
    // A body is asked whether it has ended after each frame.
    let last_was_frame = !matches!(source.steps.back(), Some(Step::Pending));
    let foreseen = source.foresees_end
        && match source.last {
            Last::End => last_was_frame && polls >= source.steps.len(),
            Last::Trailers => polls > source.steps.len(),
            Last::Error => false,
        };
    // Known at once, though it may be handed on a poll later.
    let broken = source.last == Last::Error && polls > source.steps.len();
    if declared || (seen.ended && !seen.failed) || foreseen {
        End::Complete
    } else if broken {
        End::Failed(Failure::Body)
    } else {
        End::Cancelled
    }
}

/// What the callbacks of a body were told, each with its number.
type Calls = Arc<Mutex<Vec<(usize, End)>>>;

/// `count` callbacks on `body`; those whose number is in `panicking` panic.
fn watched(
    mut body: ResponseBody,
    count: usize,
    panicking: Option<usize>,
) -> (ResponseBody, Calls) {
    let calls = Calls::default();
    for number in 0..count {
        let told = Arc::clone(&calls);
        body = body.on_end(move |done| {
            told.lock().unwrap().push((number, done.end));
            assert_ne!(Some(number), panicking, "as asked");
        });
    }
    (body, calls)
}

fn numbers(calls: &Calls) -> Vec<usize> {
    calls
        .lock()
        .unwrap()
        .iter()
        .map(|(number, _)| *number)
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn callbacks_run_once_in_order_wherever_a_body_is_dropped(
        source in source(),
        polls in 0_usize..16,
        count in 1_usize..4,
        before in prop::collection::vec(stage(), 0..3),
        after in prop::collection::vec(stage(), 0..2),
    ) {
        let body = before.into_iter().fold(ResponseBody::new(source), Stage::apply);
        let (body, calls) = watched(body, count, None);
        let mut body = after.into_iter().fold(body, Stage::apply);
        read(&mut body, polls);
        drop(body);
        prop_assert_eq!(numbers(&calls), (0..count).collect::<Vec<_>>());
        let calls = calls.lock().unwrap();
        prop_assert!(calls.iter().all(|(_, end)| *end == calls[0].1), "{:?}", calls);
    }

    #[test]
    fn the_verdict_is_that_of_what_was_read(source in source(), polls in 0_usize..16) {
        let told = source.clone();
        let (mut body, calls) = watched(ResponseBody::new(source), 1, None);
        let seen = read(&mut body, polls);
        drop(body);
        let end = calls.lock().unwrap()[0].1;
        prop_assert_eq!(end, verdict(&told, polls, &seen));
    }

    #[test]
    fn a_panicking_callback_does_not_keep_the_others_from_running(
        source in source(),
        polls in 0_usize..16,
        panicking in 0_usize..3,
    ) {
        let (mut body, calls) = watched(ResponseBody::new(source), 3, Some(panicking));
        let outcome = catch_unwind(AssertUnwindSafe(move || {
            read(&mut body, polls);
            drop(body);
        }));
        prop_assert!(outcome.is_err());
        prop_assert_eq!(numbers(&calls), [0, 1, 2]);
    }

    #[test]
    fn callbacks_run_once_when_a_panic_unwinds_past_the_body(source in source(), polls in 0_usize..16) {
        let (mut body, calls) = watched(ResponseBody::new(source), 2, None);
        let outcome = catch_unwind(AssertUnwindSafe(move || {
            read(&mut body, polls);
            panic!("as asked");
        }));
        prop_assert!(outcome.is_err());
        prop_assert_eq!(numbers(&calls), [0, 1]);
    }
}
