//! Every recorded answer ends as an independent reader says, however it is cut into chunks.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use futures_util::FutureExt;
use http::Response;
use http_body_util::BodyExt;
use serde_json::{Map, Value};
use tower_relay::message::{Completion, End, Failure, Media, Outcome, ResponseBody, classify};

use super::{
    Record,
    ends::{Seen, error_in_body, expected_end},
    records,
    sent::{Cut, Sent, collect},
    usage::{counts, expected},
};

/// The answers that did not end as they should have, as a person read them.
const BROKEN: &[(&str, &str)] = &[
    // `response.failed`.
    ("openai/2808", "failed: stated"),
    // Its last event lacks a brace.
    ("openai/2846", "failed: truncated"),
    // An error beside a choice that is finished, and four that stand alone.
    ("openrouter/18", "failed: stated"),
    ("openrouter/626", "failed: stated"),
    ("openrouter/665", "failed: stated"),
    ("openrouter/708", "failed: stated"),
    ("openrouter/754", "failed: stated"),
    // A format of the provider's own, which tells no end.
    ("writer/11", "failed: truncated"),
];

/// Longer bodies are cut into pieces of 7 bytes rather than of one.
const SHORT: usize = 8 << 10;

/// How often a stream is broken off.
const BREAKS: usize = 12;

#[test]
fn an_answer_ends_the_same_in_any_pieces() {
    let Some(records) = records() else { return };
    let (mut answers, mut with_reads, mut pieces) = (0, 0, 0);
    for record in records.iter().filter(|record| record.is_success()) {
        let sent = Sent::of(record);
        let whole = facts(&read(sent.response(Cut::Whole)));
        let small = if sent.body.len() <= SHORT { 1 } else { 7 };
        assert_eq!(
            facts(&read(sent.response(Cut::Every(small)))),
            whole,
            "{} by {small}",
            record.id
        );
        if sent.was_recorded_with_reads() {
            let as_read = facts(&read(sent.response(Cut::AsRead)));
            assert_eq!(as_read, whole, "{} as read", record.id);
            with_reads += 1;
        }
        answers += 1;
        pieces += sent.body.len().div_ceil(small);
    }
    println!(
        "the same end in any pieces: {answers} answers, {pieces} pieces, {with_reads} also as read from the network"
    );
}

#[test]
fn an_answer_is_complete_if_it_ended_properly_and_else_it_is_not() {
    let Some(records) = records() else { return };
    let mut table = BTreeMap::<&str, [usize; 6]>::new();
    let (mut wrong, mut broken) = (Vec::new(), Vec::new());
    for record in records.iter().filter(|record| record.is_success()) {
        let sent = Sent::of(record);
        let response = sent.response(Cut::Whole);
        let media = response.body().media();
        let completion = read(response);
        let expected = if sent.is_stream() {
            expected_end(&sent)
        } else if error_in_body(record) {
            End::Failed(Failure::Stated)
        } else {
            End::Complete
        };
        if completion.end != expected {
            wrong.push(format!(
                "{}: {:?}, expected {expected:?}",
                record.id, completion.end
            ));
        }
        if completion.end != End::Complete {
            broken.push((&*record.id, label(completion.end)));
        }
        let row = table.entry(&record.provider).or_default();
        row[match media {
            Media::EventStream | Media::JsonLines => 0,
            Media::Json => 1,
            _ => 2,
        }] += 1;
        row[match completion.end {
            End::Complete => 3,
            End::Failed(Failure::Stated) => 4,
            _ => 5,
        }] += 1;
    }
    println!(
        "{:<18} {:>8} {:>6} {:>7} | {:>9} {:>7} {:>7}",
        "ends", "streams", "json", "opaque", "complete", "stated", "broken"
    );
    let mut all = [0; 6];
    for (provider, row) in &table {
        print_row(provider, *row);
        all = std::array::from_fn(|column| all[column] + row[column]);
    }
    print_row("all", all);
    for (id, end) in &broken {
        println!("{id}: {end}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for record in &records {
        let known = BROKEN.iter().find(|(id, _)| *id == record.id);
        if let Some(known) = known {
            assert!(broken.contains(known), "{known:?}");
        }
    }
}

fn print_row(name: &str, row: [usize; 6]) {
    println!(
        "{name:<18} {:>8} {:>6} {:>7} | {:>9} {:>7} {:>7}",
        row[0], row[1], row[2], row[3], row[4], row[5]
    );
}

#[test]
fn the_usage_of_a_completion_is_the_stated_one() {
    let Some(records) = records() else { return };
    let (mut stated, mut unread) = (0, Vec::new());
    for record in records.iter().filter(|record| record.is_success()) {
        let response = Sent::of(record).response(Cut::Whole);
        let is_read = response.body().media() != Media::Opaque;
        let completion = read(response);
        let expected = expected(record);
        if is_read {
            assert_eq!(completion.usage.map(counts), expected, "{}", record.id);
            let is_final = expected.is_some() && completion.end == End::Complete;
            assert_eq!(completion.usage_is_final, is_final, "{}", record.id);
            stated += usize::from(expected.is_some());
        } else if expected.is_some() {
            unread.push(record.id.as_str());
        }
    }
    println!("usage at the end: {stated} answers; not read for lack of a content type: {unread:?}");
}

#[test]
fn a_stream_that_breaks_off_is_truncated_unless_its_end_had_passed() {
    let Some(records) = records() else { return };
    let (mut streams, mut breaks, mut late) = (0, 0, 0);
    for record in records.iter().filter(|record| record.is_success()) {
        let sent = Sent::of(record);
        if !sent.is_stream() || read(sent.response(Cut::Whole)).end != End::Complete {
            continue;
        }
        streams += 1;
        let mut truncated = 0;
        for part in 1..BREAKS {
            let cut_off = sent.cut_off(sent.body.len() * part / BREAKS);
            let end = read(cut_off.response(Cut::Whole)).end;
            let expected = expected_end(&cut_off);
            assert_eq!(
                end,
                expected,
                "{} after {} bytes",
                record.id,
                cut_off.body.len()
            );
            breaks += 1;
            late += usize::from(end == End::Complete);
            truncated += usize::from(end == End::Failed(Failure::Truncated));
        }
        assert!(truncated > 0, "{}: never truncated", record.id);
    }
    println!(
        "broken off: {streams} streams in {breaks} places, {late} of them after the end was told"
    );
}

#[test]
fn an_answer_that_is_dropped_is_cancelled_unless_its_last_event_had_passed() {
    let Some(records) = records() else { return };
    for (place, part) in [("half-way", 2), ("before its end is known", 1)] {
        let (mut dropped, mut late) = (0, 0);
        for record in records.iter().filter(|record| record.is_success()) {
            let sent = Sent::of(record);
            let passed = sent.body.len() / part;
            let (response, ended) = watched(sent.response(Cut::Every(passed)));
            let mut body = response.into_body();
            let frame = body.frame().now_or_never();
            let frame = frame.expect("a body that never waits").expect("a frame");
            assert_eq!(frame.unwrap().into_data().unwrap().len(), passed);
            drop(body);
            let seen = Seen::of(&sent.cut_off(passed));
            let expected = match () {
                () if sent.is_stream() && seen.error => End::Failed(Failure::Stated),
                () if sent.is_stream() && seen.terminal => End::Complete,
                () => End::Cancelled,
            };
            assert_eq!(settled(&ended).end, expected, "{} {place}", record.id);
            dropped += 1;
            late += usize::from(expected == End::Complete);
        }
        println!("dropped {place}: {dropped} answers, {late} of them after their last event");
    }
}

#[test]
fn binary_frames_pass_unread() {
    let Some(records) = records() else { return };
    let mut count = 0;
    for record in records
        .iter()
        .filter(|record| record.response.body_b64.is_some())
    {
        let sent = Sent::verbatim(record);
        assert!(sent.body.starts_with(&[0, 0]), "{}", record.id);
        let (response, ended) = watched(sent.response(Cut::Every(100)));
        assert_eq!(collect(response.into_body()), sent.body, "{}", record.id);
        let completion = settled(&ended);
        assert_eq!(
            (completion.end, completion.usage),
            (End::Complete, None),
            "{}",
            record.id
        );
        count += 1;
    }
    println!("binary frames passed unread: {count} answers");
}

/// What a row says of how an answer ended.
pub(super) fn members(record: &Record, row: &mut Map<String, Value>) {
    let response = classify(Sent::of(record).response(Cut::Whole));
    let response = response.now_or_never().expect("a body that never waits");
    let head = Outcome::of(&response).expect("a classified answer");
    let completion = read(response);
    let usage = completion
        .usage
        .map(|usage| serde_json::to_value(usage).unwrap());
    let outcome = if completion.error.is_some() {
        Outcome::of_completion(&completion, head)
    } else {
        head
    };
    row.insert("usage".into(), usage.into());
    row.insert("end".into(), label(completion.end).into());
    row.insert(
        "finish_reason".into(),
        completion.finish_reason.as_deref().into(),
    );
    row.insert("outcome".into(), outcome.as_str().into());
}

fn label(end: End) -> &'static str {
    match end {
        End::Complete => "complete",
        End::Failed(Failure::Body) => "failed: body",
        End::Failed(Failure::Deadline) => "failed: deadline",
        End::Failed(Failure::Truncated) => "failed: truncated",
        End::Failed(Failure::Stated) => "failed: stated",
        End::Failed(Failure::Transform) => "failed: transform",
        End::Cancelled => "cancelled",
        other => panic!("an end without a name: {other:?}"),
    }
}

type Ended = Arc<Mutex<Option<Completion>>>;

fn watched(response: Response<ResponseBody>) -> (Response<ResponseBody>, Ended) {
    let ended = Ended::default();
    let slot = Arc::clone(&ended);
    let response = response.map(|body| {
        body.on_end(move |completion| *slot.lock().unwrap() = Some(completion.clone()))
    });
    (response, ended)
}

fn settled(ended: &Ended) -> Completion {
    ended.lock().unwrap().take().expect("an answer that ended")
}

/// Reads an answer to its end.
fn read(response: Response<ResponseBody>) -> Completion {
    let (response, ended) = watched(response);
    collect(response.into_body());
    settled(&ended)
}

/// All of a completion but its times.
fn facts(completion: &Completion) -> String {
    format!(
        "{:?}",
        (
            completion.end,
            completion.usage,
            completion.usage_is_final,
            &completion.finish_reason,
            &completion.model,
            &completion.service_tier,
            &completion.error,
            completion.first_token_at.is_some(),
            completion.bytes,
        )
    )
}
