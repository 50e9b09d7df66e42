use std::time::Duration;

use super::*;
use crate::key::{Key, KeyBy};

fn by_name(in_flight: usize, pending: usize) -> AdmissionBuilder {
    builder(in_flight, pending).by(KeyBy::header("x-name".parse().unwrap()))
}

fn key(name: &str) -> Key {
    Key::named("header", name)
}

#[tokio::test(start_paused = true)]
async fn keys_are_limited_apart_and_their_lines_are_bounded_together() {
    let (service, upstream, handle) = stack(by_name(1, 5).max_pending_in_all(3));
    let _running = ["a", "b"].map(|name| waiting(&service, name, "normal"));
    assert_eq!((upstream.asked(), handle.keys()), (2, 2));
    let mut waits: Vec<_> = ["a", "a", "b"]
        .map(|name| waiting(&service, name, "low"))
        .into();
    assert!(is_shed(&at_once(&service, "a", "low")));
    // One of a higher priority takes a place of its own key's.
    let _high = waiting(&service, "b", "high");
    assert!(is_shed(&answered(waits.pop().unwrap())));
    assert_eq!(handle.waiting(), 3);
    assert_eq!(handle.state(&key("a")).waiting, 2);
    drop(waits);
    assert_eq!(handle.waiting(), 1);
}

#[tokio::test(start_paused = true)]
async fn only_idle_keys_give_way_and_where_none_is_idle_new_keys_share_one_limit() {
    let (service, upstream, handle) = stack(by_name(1, 0).max_wait(Duration::ZERO).max_keys(2));
    let _a = waiting(&service, "a", "normal");
    let b = waiting(&service, "b", "normal");
    // Both are busy: c and d share.
    let c = waiting(&service, "c", "normal");
    assert!(is_shed(&at_once(&service, "d", "normal")));
    assert_eq!((handle.keys(), upstream.asked()), (2, 3));
    drop((b, c));
    let _d = waiting(&service, "d", "normal");
    assert_eq!(handle.keys(), 2);
    // What is busy has kept its state.
    assert!(is_shed(&at_once(&service, "a", "normal")));
    assert_eq!(handle.state(&key("a")).in_flight, 1);
}

#[tokio::test(start_paused = true)]
async fn limits_by_key_hold_and_change_while_requests_wait() {
    let builder = by_name(1, 5)
        .limits_for(key("two"), Limits::new(2, 0))
        .limits_by(|key| (key.to_string() == "header:three").then_some(Limits::new(3, 0)));
    let (service, upstream, handle) = stack(builder);
    for (name, limit) in [("one", 1), ("two", 2), ("three", 3)] {
        assert_eq!(handle.state(&key(name)).limit, limit);
    }
    let _calls = [(); 4].map(|()| waiting(&service, "one", "normal"));
    assert_eq!((upstream.asked(), handle.waiting()), (1, 3));
    handle.set_limits(Limits::new(2, 5));
    assert_eq!((handle.in_flight(), handle.waiting()), (2, 2));
    handle.set_limits_for(&key("one"), Some(Limits::new(3, 5)));
    assert_eq!((handle.in_flight(), handle.waiting()), (3, 1));
    assert_eq!(handle.state(&key("two")).limit, 2);
    // Nobody is thrown out.
    handle.set_limits_for(&key("one"), None);
    assert_eq!(
        (handle.in_flight(), handle.state(&key("one")).limit),
        (3, 2)
    );
}

#[test]
fn what_cannot_work_is_refused_by_its_field() {
    let field = |builder: AdmissionBuilder| builder.build().unwrap_err().field().to_owned();
    assert_eq!(field(builder(0, 1)), "max_in_flight");
    assert_eq!(field(builder(1, 1).max_keys(0)), "max_keys");
    assert_eq!(field(builder(1, 1).max_wait(Duration::ZERO)), "max_wait");
    assert_eq!(field(builder(1, 1).max_wait(Duration::MAX)), "max_wait");
    assert_eq!(
        field(builder(1, 1).retry_after(Duration::MAX)),
        "retry_after"
    );
    for adaptive in [
        Adaptive::default().bounds(0, 5),
        Adaptive::default().bounds(6, 5),
        Adaptive::default().bounds(1, usize::MAX),
        Adaptive::default().tolerance(f64::NAN),
    ] {
        assert!(field(builder(1, 1).adaptive(adaptive)).starts_with("adaptive."));
    }
    let read = |json: &str| serde_json::from_str::<AdmissionBuilder>(json);
    assert_eq!(
        field(read(r#"{"priority_header": "no header"}"#).unwrap()),
        "priority_header"
    );
    assert!(read(r#"{"unheard_of": 1}"#).is_err());
    let read = read(r#"{"max_in_flight": 9, "max_wait": "5s", "adaptive": {"max": 100}}"#);
    assert!(read.unwrap().build().is_ok());
    for guide in [
        AdmissionBuilder::guide_c_controller(),
        AdmissionBuilder::guide_c_controller_large(),
    ] {
        assert!(guide.build().is_ok());
    }
}
