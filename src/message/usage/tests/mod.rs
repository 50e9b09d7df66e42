mod dialects;
mod names;
mod properties;
mod quirks;
mod streams;

use super::{Usage, UsageScan};

/// Every count, in the order of the fields.
fn counts(usage: Usage) -> [u64; 8] {
    [
        usage.input,
        usage.cache_read,
        usage.cache_write_5m,
        usage.cache_write_1h,
        usage.output,
        usage.reasoning,
        usage.audio_in,
        usage.audio_out,
    ]
}

fn plain(input: u64, output: u64) -> Usage {
    Usage {
        input,
        output,
        ..Usage::default()
    }
}

/// Reads `json` as a whole answer and as an event: both must state the same.
fn read(json: &str) -> Option<Usage> {
    let mut body = UsageScan::default();
    body.body(json.as_bytes());
    let mut event = UsageScan::default();
    event.event(json.as_bytes());
    assert_eq!(
        body.usage(),
        event.usage(),
        "as a body and as an event: {json}"
    );
    assert_eq!(body.finish_reason(), event.finish_reason(), "{json}");
    body.usage()
}

fn stream(events: &[&str]) -> UsageScan {
    let mut scan = UsageScan::default();
    for event in events {
        scan.event(event.as_bytes());
    }
    scan
}
