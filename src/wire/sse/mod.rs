//! Event streams (`text/event-stream`), cut into frames as their bytes arrive.
//!
//! ```
//! use bytes::Bytes;
//! use tower_relay::wire::sse::Framer;
//!
//! let mut framer = Framer::default();
//! let mut seen = Vec::new();
//! for chunk in ["data: {\"n\"", ":1}\n\n: keep-alive\n\nda", "ta: [DONE]\n\n"].map(Bytes::from) {
//!     let mut frames = framer.push(&chunk);
//!     while let Some(frame) = frames.next()? {
//!         seen.extend(frame.data().map(|data| data.into_owned()));
//!     }
//! }
//! assert_eq!(seen, [b"{\"n\":1}".to_vec(), b"[DONE]".to_vec()]);
//! # Ok::<(), tower_relay::wire::sse::FrameError>(())
//! ```
//!
//! The grammar is [WHATWG's](https://html.spec.whatwg.org/multipage/server-sent-events.html): lines end with LF, CR or CRLF, in
//! any mixture, a byte order mark may come first, comments begin with a colon, one space after a field's colon is not
//! part of its value.
//!
//! # Differences from WHATWG's reader
//! - A last frame without its blank line is kept ([`Framer::finish`]): some providers end their streams so.
//! - Nothing is decoded: data is bytes, so a character split between chunks is no concern.
//! - `id` and `retry` are left in [`Frame::raw`]; no LLM API uses them.
//! - A frame has a cap. A stream that exceeds it fails cleanly instead of filling memory.

mod encode;
mod frame;
mod framer;
#[cfg(test)]
mod tests;

pub use self::{
    encode::{DONE, event},
    frame::Frame,
    framer::{Framer, Frames},
};
pub use super::framing::FrameError;
