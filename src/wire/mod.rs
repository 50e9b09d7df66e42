//! How bytes are read and edited: JSON objects by their top-level members, event streams by their frames,
//! waits and durations by the many spellings that providers use.
//!
//! Nothing here knows what a request or an answer means; that is [`message`](crate::message)'s business.

pub mod clock;
pub(crate) mod digits;
pub mod duration;
mod framing;
pub mod json;
pub mod ndjson;
pub(crate) mod path;
pub mod retry_after;
pub(crate) mod rfc3339;
pub mod sse;
pub mod trace_context;
pub mod units;
