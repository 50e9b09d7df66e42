use std::{ops::RangeInclusive, time::Duration};

use http::{HeaderMap, StatusCode};

use super::failure::Failure;

const MAX_DELAY_MS: u64 = 60_000;
const MAX_EVENTS: u64 = 1_000_000;

/// What a caller asked to go wrong.
#[derive(Debug, Default)]
pub(super) struct Faults {
    pub(super) status: Option<StatusCode>,
    pub(super) delay: Duration,
    pub(super) event_delay: Option<Duration>,
    pub(super) cut: Option<usize>,
    pub(super) error_event: Option<usize>,
}

impl Faults {
    pub(super) fn read(headers: &HeaderMap) -> Result<Self, Failure> {
        let status = number(headers, "x-demo-status", 400..=599)?;
        let delay = number(headers, "x-demo-delay-ms", 0..=MAX_DELAY_MS)?;
        let event_delay = number(headers, "x-demo-event-delay-ms", 0..=MAX_DELAY_MS)?;
        let cut = number(headers, "x-demo-cut", 0..=MAX_EVENTS)?;
        let error_event = number(headers, "x-demo-error-event", 0..=MAX_EVENTS)?;
        Ok(Self {
            status: status
                .and_then(|status| u16::try_from(status).ok())
                .and_then(|status| StatusCode::from_u16(status).ok()),
            delay: Duration::from_millis(delay.unwrap_or(0)),
            event_delay: event_delay.map(Duration::from_millis),
            cut: cut.and_then(|events| usize::try_from(events).ok()),
            error_event: error_event.and_then(|events| usize::try_from(events).ok()),
        })
    }
}

/// A mistyped fault must not silently be no fault.
fn number(
    headers: &HeaderMap,
    name: &'static str,
    range: RangeInclusive<u64>,
) -> Result<Option<u64>, Failure> {
    let Some(value) = headers.get(name) else {
        return Ok(None);
    };
    let number = value
        .to_str()
        .ok()
        .and_then(|text| text.trim().parse().ok());
    match number {
        Some(number) if range.contains(&number) => Ok(Some(number)),
        _ => Err(Failure::invalid(
            name,
            format!(
                "The header {name} must be a whole number from {} to {}.",
                range.start(),
                range.end()
            ),
        )),
    }
}
