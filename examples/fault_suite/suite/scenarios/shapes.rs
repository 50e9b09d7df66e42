//! Answers of a shape that none should have.

use super::{
    Plan, Scenario,
    parts::{chunk, chunked, chunks, first, head, stream, stream_head},
};
use crate::suite::{
    answer::{self, DONE},
    check::{Content, Outcome},
    script::{Call, Data, Payload, Step},
};

/// As many pieces of 64 KiB make a hundred megabytes.
const HUNDRED_MEGABYTES: u64 = (100 << 20) / (64 << 10);

pub(super) fn scenarios() -> Vec<Scenario> {
    let broke = || Plan::transport(502, "upstream_error");
    let json = answer::json(&answer::text());
    let long = "x".repeat(1 << 20);
    let many: Vec<String> = (0..20_000)
        .map(|n| format!("x-header-{n}: some value of it"))
        .collect();
    let mut crowd = vec!["HTTP/1.1 200 OK".to_owned()];
    crowd.extend(many);
    let bad = || Plan::elsewhere(502, "upstream_bad_answer");
    vec![
        Scenario::new(
            "huge",
            (huge_json(), Plan::always(Outcome::Answer)),
            (
                huge_event(),
                // What normalizes an event has to hold it.
                Plan::always(Outcome::Answer).full(Outcome::ErrorEvent("upstream_error"), (1, 0)),
            ),
        )
        .content(Content::Length(100 << 20), Content::Length(100 << 20)),
        Scenario::new(
            "cut_when_long",
            // Too long to be held back until it is whole, and no place for an error.
            (long_json(), Plan::always(Outcome::Broken)),
            (
                stream(&first(3), [Step::Close]),
                Plan::always(Outcome::ErrorEvent("upstream_error")),
            ),
        ),
        Scenario::both(
            "huge_header",
            &vec![head([
                "HTTP/1.1 200 OK",
                &format!("x-long: {long}"),
                "content-length: 0",
            ])],
            broke(),
        ),
        Scenario::both(
            "many_headers",
            &vec![Step::Head(crowd), Step::Answer],
            broke(),
        ),
        Scenario::new(
            "length_too_short",
            (
                declared("application/json", json.len() / 2, &json),
                Plan::retried(502, "upstream_truncated"),
            ),
            (
                declared("text/event-stream", 400, &answer::events().concat()),
                Plan::transport(502, "upstream_truncated"),
            ),
        ),
        Scenario::new(
            "length_too_long",
            (declared("application/json", json.len() * 2, &json), broke()),
            (
                declared("text/event-stream", 99_999, &first(3).concat()),
                Plan::always(Outcome::ErrorEvent("upstream_error")),
            ),
        ),
        not_utf8(),
        gzip(),
        Scenario::both(
            "1xx",
            &vec![
                head(["HTTP/1.1 100 Continue"]),
                head([
                    "HTTP/1.1 103 Early Hints",
                    "link: </style.css>; rel=preload",
                ]),
                Step::Answer,
            ],
            Plan::always(Outcome::Answer),
        ),
        Scenario::both(
            "101",
            &vec![head([
                "HTTP/1.1 101 Switching Protocols",
                "upgrade: chat",
                "connection: upgrade",
            ])],
            bad(),
        ),
        Scenario::both("204", &vec![head(["HTTP/1.1 204 No Content"])], bad()),
        Scenario::both(
            "304",
            &vec![head(["HTTP/1.1 304 Not Modified", "etag: \"1\""])],
            bad(),
        ),
        redirect("redirect", "302 Found", "https://login.example/"),
        redirect(
            "redirect_307",
            "307 Temporary Redirect",
            "/v2/chat/completions",
        ),
    ]
}

fn redirect(name: &'static str, status: &str, to: &str) -> Scenario {
    let (status, location) = (format!("HTTP/1.1 {status}"), format!("location: {to}"));
    let call = vec![head([&status, &location, "content-length: 0"])];
    Scenario::both(name, &call, Plan::elsewhere(502, "upstream_bad_answer"))
}

/// A body of another length than is declared, after which the connection is closed.
fn declared(content_type: &str, length: usize, body: &str) -> Call {
    let (kind, length) = (
        format!("content-type: {content_type}"),
        format!("content-length: {length}"),
    );
    vec![
        head(["HTTP/1.1 200 OK", &kind, &length]),
        Step::Send(body.into()),
        Step::Close,
    ]
}

fn huge_json() -> Call {
    let json = answer::json("|");
    let (before, after) = json.split_once('|').unwrap_or_default();
    vec![
        chunked("application/json"),
        chunk(before),
        chunks(HUNDRED_MEGABYTES),
        chunk(after),
        Step::LastChunk,
    ]
}

fn long_json() -> Call {
    let json = answer::json("|");
    let (before, _) = json.split_once('|').unwrap_or_default();
    vec![
        chunked("application/json"),
        chunk(before),
        chunks(32),
        Step::Close,
    ]
}

fn huge_event() -> Call {
    let event = answer::piece("|");
    let (before, after) = event.split_once('|').unwrap_or_default();
    vec![
        stream_head(),
        chunk(&answer::opening()),
        chunk(&answer::piece("Hello")),
        chunk(before),
        chunks(HUNDRED_MEGABYTES),
        chunk(after),
        chunk(&answer::finish()),
        chunk(DONE),
        Step::LastChunk,
    ]
}

/// Bytes that no text has, in the middle of it.
fn not_utf8() -> Scenario {
    let with_bytes = |text: &str| {
        let (before, after) = text.split_once(" the").unwrap_or_default();
        [before.as_bytes(), b" \xff\xfe", after.as_bytes()].concat()
    };
    let json = with_bytes(&answer::json(&answer::text()));
    let plain = vec![
        chunked("application/json"),
        Step::Chunk(Payload::Once(Data::Bytes(json.clone()))),
        Step::LastChunk,
    ];
    let events = with_bytes(&answer::events().concat());
    let streamed = vec![
        stream_head(),
        Step::Chunk(events.clone().into()),
        Step::LastChunk,
    ];
    let plan = Plan::always(Outcome::Answer);
    Scenario::new("not_utf8", (plain, plan), (streamed, plan))
        .content(Content::Bytes(json), Content::Bytes(events))
}

/// Compressed, though nobody asked for it.
fn gzip() -> Scenario {
    let packed = |content_type: &str, text: &str| {
        let bytes = stored_gzip(text.as_bytes());
        let (kind, length) = (
            format!("content-type: {content_type}"),
            format!("content-length: {}", bytes.len()),
        );
        let call = vec![
            head(["HTTP/1.1 200 OK", &kind, "content-encoding: gzip", &length]),
            Step::Send(bytes.clone().into()),
        ];
        (call, bytes)
    };
    let (plain, json) = packed("application/json", &answer::json(&answer::text()));
    let (streamed, events) = packed("text/event-stream", &answer::events().concat());
    let plan = Plan::always(Outcome::Answer);
    Scenario::new("gzip_unasked", (plain, plan), (streamed, plan))
        .content(Content::Bytes(json), Content::Bytes(events))
}

/// A gzip of one stored block (RFC 1951, section 3.2.4; RFC 1952): at most 65535 bytes.
fn stored_gzip(data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(data.len()).unwrap_or(u16::MAX);
    let mut crc = u32::MAX;
    for byte in data {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
        }
    }
    let mut packed = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255, 1];
    packed.extend(length.to_le_bytes());
    packed.extend((!length).to_le_bytes());
    packed.extend(data);
    packed.extend((!crc).to_le_bytes());
    packed.extend(u32::from(length).to_le_bytes());
    packed
}
