//! Newline-delimited JSON (`application/x-ndjson`, `application/stream+json`), cut into lines as its bytes arrive.
//!
//! ```
//! use bytes::Bytes;
//! use tower_relay::wire::ndjson::Framer;
//!
//! let mut framer = Framer::default();
//! let chunk = Bytes::from("{\"n\":1}\r\n{\"n\":2}");
//! let mut lines = framer.push(&chunk);
//! assert_eq!(lines.next()?.map(|line| line.json()), Some(&b"{\"n\":1}"[..]));
//! assert!(lines.next()?.is_none());
//! drop(lines);
//! assert_eq!(framer.finish()?.map(|line| line.json()), Some(&b"{\"n\":2}"[..]));
//! # Ok::<(), tower_relay::wire::ndjson::FrameError>(())
//! ```

use std::fmt;

use bytes::Bytes;
use memchr::memchr;

pub use super::framing::FrameError;
use super::framing::{Boundary, Cutter, DEFAULT_CAP, Piece};

/// Cuts newline-delimited JSON into lines, whatever the chunks it comes in.
///
/// The default accepts lines of up to 1 MiB.
#[derive(Debug)]
pub struct Framer {
    cutter: Cutter<LineFeed>,
}

impl Default for Framer {
    fn default() -> Self {
        Self::with_cap(DEFAULT_CAP)
    }
}

impl Framer {
    /// A framer that accepts lines of up to `cap` bytes, line end included, and holds no more than that.
    pub fn with_cap(cap: usize) -> Self {
        Self {
            cutter: Cutter::new(cap),
        }
    }

    /// Takes the next chunk of the stream; its lines are read from what this returns.
    pub fn push<'a>(&'a mut self, chunk: &'a Bytes) -> Lines<'a> {
        Lines {
            framer: self,
            chunk,
            at: 0,
        }
    }

    /// Ends the stream: the last line if its line feed is missing. The framer is then ready for another stream.
    ///
    /// # Errors
    /// If a line was longer than the cap.
    pub fn finish(&mut self) -> Result<Option<Line<'_>>, FrameError> {
        Ok(self.cutter.finish()?.map(Line))
    }
}

/// The lines that a chunk completes, in order. Dropping it early skips the others; the framer stays in step.
#[derive(Debug)]
pub struct Lines<'a> {
    framer: &'a mut Framer,
    chunk: &'a Bytes,
    at: usize,
}

impl Lines<'_> {
    /// The next line, or `None` when the chunk completes no other.
    ///
    /// # Errors
    /// If a line is longer than the cap; every later call then fails too.
    #[allow(clippy::should_implement_trait, reason = "it lends its items")]
    pub fn next(&mut self) -> Result<Option<Line<'_>>, FrameError> {
        Ok(self.framer.cutter.cut(self.chunk, &mut self.at)?.map(Line))
    }
}

impl Drop for Lines<'_> {
    fn drop(&mut self) {
        while self.at < self.chunk.len() && self.next().is_ok() {}
    }
}

/// One line.
#[derive(Clone, Copy)]
pub struct Line<'a>(Piece<'a>);

impl<'a> Line<'a> {
    /// Every byte of the line, its end included. The raw bytes of all lines of a stream are the stream.
    pub fn raw(&self) -> &'a [u8] {
        self.0.bytes()
    }

    /// The JSON text without the white space around it; empty for a blank line.
    pub fn json(&self) -> &'a [u8] {
        self.raw().trim_ascii()
    }

    /// The raw bytes to keep: a slice of the chunk that they came in, or a copy if they came in several.
    pub fn to_bytes(&self) -> Bytes {
        self.0.to_bytes()
    }
}

impl fmt::Debug for Line<'_> {
    /// Shows no contents: they are a caller's.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Line")
            .field("len", &self.raw().len())
            .finish_non_exhaustive()
    }
}

/// A lone CR is white space in JSON, so only LF ends a line; a CR before it is trimmed with the rest.
#[derive(Default)]
struct LineFeed;

impl Boundary for LineFeed {
    fn end_of_piece(&mut self, bytes: &[u8]) -> Option<usize> {
        memchr(b'\n', bytes).map(|line| line + 1)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(framer: &mut Framer, chunks: &[&[u8]]) -> Result<Vec<Vec<u8>>, FrameError> {
        let mut out = Vec::new();
        for chunk in chunks {
            let chunk = Bytes::copy_from_slice(chunk);
            let mut lines = framer.push(&chunk);
            while let Some(line) = lines.next()? {
                out.push(line.raw().to_vec());
            }
        }
        out.extend(framer.finish()?.map(|line| line.raw().to_vec()));
        Ok(out)
    }

    #[test]
    fn a_blank_line_has_no_json_and_line_ends_are_trimmed() {
        let chunk = Bytes::from_static(b"{\"a\":\r1}\r\n \r\n\n");
        let mut framer = Framer::default();
        let mut lines = framer.push(&chunk);
        let mut json = Vec::new();
        while let Some(line) = lines.next().unwrap() {
            json.push(line.json().to_vec());
        }
        assert_eq!(json, [&b"{\"a\":\r1}"[..], b"", b""]);
    }

    #[test]
    fn a_line_beyond_the_cap_fails_and_stays_failed() {
        let mut framer = Framer::with_cap(4);
        assert!(read(&mut framer, &[b"123\n"]).is_ok());
        assert_eq!(read(&mut framer, &[b"123", b"45"]).unwrap_err().cap(), 4);
        assert!(read(&mut framer, &[b"\n"]).is_err());
        assert!(framer.finish().is_err());
    }

    #[test]
    fn a_line_within_a_chunk_is_kept_without_a_copy() {
        let chunk = Bytes::from_static(b"1\n2\n");
        let mut framer = Framer::default();
        let mut lines = framer.push(&chunk);
        lines.next().unwrap();
        let kept = lines.next().unwrap().unwrap().to_bytes();
        assert_eq!(kept.as_ptr(), chunk[2..].as_ptr());
    }

    proptest! {
        #[test]
        fn any_split_gives_the_lines_of_the_whole(chunks in prop::collection::vec("[{}1\\r\\n]{0,6}", 0..12)) {
            let whole = chunks.concat();
            let expected: Vec<Vec<u8>> = whole.as_bytes().split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
            let chunks: Vec<&[u8]> = chunks.iter().map(String::as_bytes).collect();
            prop_assert_eq!(read(&mut Framer::default(), &chunks).unwrap(), expected);
        }
    }
}
