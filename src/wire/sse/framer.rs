use bytes::Bytes;

use super::{Frame, FrameError, frame::line_end};
use crate::wire::framing::{Boundary, Cutter, DEFAULT_CAP};

/// Cuts an event stream into frames, whatever the chunks it comes in.
///
/// The default accepts frames of up to 1 MiB.
#[derive(Debug)]
pub struct Framer {
    cutter: Cutter<BlankLine>,
    at_start: bool,
}

impl Default for Framer {
    fn default() -> Self {
        Self::with_cap(DEFAULT_CAP)
    }
}

impl Framer {
    /// A framer that accepts frames of up to `cap` bytes, and holds no more than that.
    ///
    /// Where the two bytes of a CRLF come in different chunks, its LF may count towards the next frame instead.
    pub fn with_cap(cap: usize) -> Self {
        Self {
            cutter: Cutter::new(cap),
            at_start: true,
        }
    }

    /// Takes the next chunk of the stream; its frames are read from what this returns.
    pub fn push<'a>(&'a mut self, chunk: &'a Bytes) -> Frames<'a> {
        Frames {
            framer: self,
            chunk,
            at: 0,
        }
    }

    /// Ends the stream: the last frame if its blank line is missing. The framer is then ready for another stream.
    ///
    /// # Errors
    /// If a frame was longer than the cap.
    pub fn finish(&mut self) -> Result<Option<Frame<'_>>, FrameError> {
        let first = std::mem::replace(&mut self.at_start, true);
        let piece = self.cutter.finish()?;
        Ok(piece.map(|piece| Frame::new(piece, first)))
    }

    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.cutter.held()
    }
}

/// The frames that a chunk completes, in order.
///
/// A frame borrows from the chunk or the framer, so this lends them and cannot be an [`Iterator`]. Dropping it early skips
/// the chunk's other frames; the framer stays in step.
#[derive(Debug)]
pub struct Frames<'a> {
    framer: &'a mut Framer,
    chunk: &'a Bytes,
    at: usize,
}

impl Frames<'_> {
    /// The next frame, or `None` when the chunk completes no other.
    ///
    /// # Errors
    /// If a frame is longer than the cap; every later call then fails too.
    #[allow(clippy::should_implement_trait, reason = "it lends its items")]
    pub fn next(&mut self) -> Result<Option<Frame<'_>>, FrameError> {
        let Framer { cutter, at_start } = &mut *self.framer;
        let Some(piece) = cutter.cut(self.chunk, &mut self.at)? else {
            return Ok(None);
        };
        Ok(Some(Frame::new(piece, std::mem::take(at_start))))
    }
}

impl Drop for Frames<'_> {
    fn drop(&mut self) {
        while self.at < self.chunk.len() && self.next().is_ok() {}
    }
}

/// The end of a frame is the end of its first empty line.
struct BlankLine {
    line_is_empty: bool,
    /// The last byte was a CR; an LF that comes next belongs to the same line end, even if that ended the frame.
    after_cr: bool,
}

impl Default for BlankLine {
    fn default() -> Self {
        Self {
            line_is_empty: true,
            after_cr: false,
        }
    }
}

impl Boundary for BlankLine {
    fn end_of_piece(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut rest = bytes;
        if self.after_cr && !rest.is_empty() {
            rest = rest.strip_prefix(b"\n").unwrap_or(rest);
            self.after_cr = false;
        }
        while !rest.is_empty() {
            let Some(line) = line_end(rest) else {
                self.line_is_empty = false;
                break;
            };
            let ends_frame = self.line_is_empty && line == 0;
            self.line_is_empty = true;
            rest = match rest.get(line..) {
                Some([b'\r']) => {
                    self.after_cr = true;
                    &[]
                }
                Some([b'\r', b'\n', rest @ ..] | [_, rest @ ..]) => rest,
                _ => &[],
            };
            if ends_frame {
                return Some(bytes.len() - rest.len());
            }
        }
        None
    }
}
