//! What judges the others is judged itself.

use std::time::Duration;

use http::{HeaderMap, header};

use crate::suite::{
    answer::{self, DONE},
    ask::{End, Seen},
    check::{Content, Shown, shown},
};

fn judge(status: u16, content_type: &str, body: &str, end: End) -> Shown {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, content_type.parse().unwrap());
    let seen = Seen {
        status: Some(status),
        headers,
        body: body.as_bytes().to_vec(),
        tail: Vec::new(),
        length: body.len() as u64,
        end,
        elapsed: Duration::ZERO,
    };
    shown(&seen, &Content::Text(answer::text()))
}

fn stream(events: &[String], end: End) -> Shown {
    judge(200, "text/event-stream", &events.concat(), end)
}

const ERROR: &str = r#"{"error":{"message":"m","type":"t","param":null,"code":"c"}}"#;

#[test]
fn a_whole_answer_is_one() {
    assert_eq!(stream(&answer::events(), End::Clean), Shown::Answer);
    let json = answer::json(&answer::text());
    assert_eq!(
        judge(200, "application/json", &json, End::Clean),
        Shown::Answer
    );
}

#[test]
fn an_error_is_one_and_so_is_an_error_event_at_the_end_of_what_breaks() {
    let error = judge(502, "application/json", ERROR, End::Clean);
    assert_eq!(error, Shown::Error(502, "c".to_owned()));
    let mut events = answer::events()[..3].to_vec();
    events.push(format!("data: {ERROR}\n\n"));
    assert_eq!(
        stream(&events, End::Broken),
        Shown::ErrorEvent("c".to_owned())
    );
}

#[test]
fn all_else_is_wrong() {
    let events = answer::events();
    let failed = |then: &[&str]| {
        let mut events = events[..3].to_vec();
        events.push(format!("data: {ERROR}\n\n"));
        events.extend(then.iter().map(|&event| event.to_owned()));
        events
    };
    let twice = [&events[..3], &events[2..]].concat();
    for (wrong, why) in [
        (stream(&events, End::Never), "no end"),
        (stream(&events, End::Broken), "broken after its end"),
        (stream(&events[..3], End::Clean), "an end that is none"),
        (stream(&twice, End::Clean), "another text"),
        (
            stream(&[events.clone(), events.clone()].concat(), End::Clean),
            "goes on after its end",
        ),
        (
            stream(&failed(&[]), End::Clean),
            "an error, and a clean end",
        ),
        (
            stream(&failed(&[DONE]), End::Broken),
            "goes on after its end",
        ),
        (
            stream(&["data: {\"id\"".to_owned()], End::Broken),
            "cut inside an event",
        ),
        (
            stream(&["data: {\"id\"\n\n".to_owned()], End::Clean),
            "an event that is no JSON",
        ),
        (judge(500, "text/html", ERROR, End::Clean), "500 ill-formed"),
        (
            judge(500, "application/json", "", End::Clean),
            "500 ill-formed",
        ),
        (
            judge(500, "application/json", ERROR, End::Broken),
            "500 ill-formed",
        ),
        (judge(204, "application/json", "", End::Clean), "204"),
        (judge(200, "application/json", "{", End::Clean), "no JSON"),
        (judge(200, "application/json", "{}", End::Clean), "no text"),
    ] {
        assert_eq!(wrong, Shown::Wrong(why.to_owned()));
    }
}
