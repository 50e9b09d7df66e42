use std::{borrow::Cow, fmt};

use bytes::Bytes;
use memchr::memchr2;

use super::encode::data_lines;
use crate::wire::framing::Piece;

/// U+FEFF in UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// One frame: an event, a comment, or a lone blank line, up to and including the blank line that ends it.
#[derive(Clone, Copy)]
pub struct Frame<'a> {
    piece: Piece<'a>,
    /// The raw bytes without what precedes the first line.
    lines: &'a [u8],
}

impl<'a> Frame<'a> {
    pub(super) fn new(piece: Piece<'a>, first_of_stream: bool) -> Self {
        let mut lines = piece.bytes();
        if first_of_stream {
            lines = lines.strip_prefix(BYTE_ORDER_MARK).unwrap_or(lines);
        }
        Self { piece, lines }
    }

    /// Every byte of the frame. The raw bytes of all frames of a stream, one after the other, are the stream.
    ///
    /// A frame whose blank line ends in a CR at the end of a chunk is yielded at once; should an LF follow in the next
    /// chunk, it is the first byte of the next frame.
    pub fn raw(&self) -> &'a [u8] {
        self.piece.bytes()
    }

    /// Parts an LF that it begins with from the rest: that may end the frame before, as [`raw`](Self::raw) says.
    pub(crate) fn split_line_feed(self) -> (Option<Self>, Self) {
        if !self.raw().starts_with(b"\n") {
            return (None, self);
        }
        let (line_feed, rest) = self.piece.split_at(1);
        (Some(Self::new(line_feed, false)), Self::new(rest, false))
    }

    /// The event's data, or `None` if the frame has no `data` field. Several `data` lines are joined by LF, which copies.
    pub fn data(&self) -> Option<Cow<'a, [u8]>> {
        let mut values = self.values(b"data");
        let first = values.next()?;
        let Some(second) = values.next() else {
            return Some(Cow::Borrowed(first));
        };
        let mut joined = Vec::with_capacity(self.lines.len());
        joined.extend_from_slice(first);
        for value in std::iter::once(second).chain(values) {
            joined.push(b'\n');
            joined.extend_from_slice(value);
        }
        Some(Cow::Owned(joined))
    }

    /// The event's name: the last `event` field. `None` if there is none or it is empty, which both mean `message`.
    pub fn event(&self) -> Option<&'a [u8]> {
        self.values(b"event").last().filter(|name| !name.is_empty())
    }

    /// Whether there is nothing but comments, such as a keep-alive.
    pub fn is_comment(&self) -> bool {
        !self.is_blank() && Lines(self.lines).all(|line| matches!(line.first(), None | Some(b':')))
    }

    /// Whether there is nothing but line ends.
    pub fn is_blank(&self) -> bool {
        self.lines.iter().all(|byte| matches!(byte, b'\r' | b'\n'))
    }

    /// The raw bytes to keep: a slice of the chunk that they came in, or a copy if they came in several.
    pub fn to_bytes(&self) -> Bytes {
        self.piece.to_bytes()
    }

    /// The raw bytes with `data` in the place of the event's data; all other fields and the line ends stay. Where the data
    /// has several lines, the new data takes the place of the first; where the new data has, each is one of the event's.
    pub fn with_data(&self, data: &[u8]) -> Bytes {
        let raw = self.raw();
        let mut edited = Vec::with_capacity(raw.len() + data.len());
        let lead = raw.len() - self.lines.len();
        edited.extend_from_slice(raw.get(..lead).unwrap_or_default());
        let mut rest = self.lines;
        let mut written = false;
        while !rest.is_empty() {
            let line = line_end(rest).unwrap_or(rest.len());
            let end = match rest.get(line..) {
                Some([b'\r', b'\n', ..]) => 2,
                Some([_, ..]) => 1,
                _ => 0,
            };
            let (whole, after) = rest.split_at_checked(line + end).unwrap_or((rest, &[]));
            if !is_field(whole.get(..line).unwrap_or_default(), b"data") {
                edited.extend_from_slice(whole);
            } else if !written {
                written = true;
                let end = whole.get(line..).unwrap_or_default();
                for (index, part) in data_lines(data).enumerate() {
                    if index > 0 {
                        edited.extend_from_slice(if end.is_empty() { b"\n" } else { end });
                    }
                    edited.extend_from_slice(b"data: ");
                    edited.extend_from_slice(part);
                }
                edited.extend_from_slice(end);
            }
            rest = after;
        }
        edited.into()
    }

    fn values(&self, field: &'static [u8]) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        Lines(self.lines).filter_map(move |line| match line.strip_prefix(field)? {
            [] => Some(Default::default()),
            [b':', b' ', value @ ..] | [b':', value @ ..] => Some(value),
            _ => None,
        })
    }
}

impl fmt::Debug for Frame<'_> {
    /// Shows no contents: they are a caller's.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frame")
            .field("len", &self.raw().len())
            .finish_non_exhaustive()
    }
}

fn is_field(line: &[u8], name: &[u8]) -> bool {
    line.strip_prefix(name)
        .is_some_and(|rest| matches!(rest.first(), None | Some(b':')))
}

/// Lines without their ends. What follows the last line end is a line only if it is not empty.
pub(super) struct Lines<'a>(pub(super) &'a [u8]);

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.0.is_empty() {
            return None;
        }
        let end = line_end(self.0).unwrap_or(self.0.len());
        let (line, rest) = self.0.split_at_checked(end)?;
        self.0 = match rest {
            [b'\r', b'\n', rest @ ..] | [_, rest @ ..] => rest,
            [] => rest,
        };
        Some(line)
    }
}

/// The offset of the next CR or LF.
pub(super) fn line_end(bytes: &[u8]) -> Option<usize> {
    match bytes {
        // Every frame has an empty line, and a vector search costs more than a look.
        [b'\n' | b'\r', ..] => Some(0),
        _ => memchr2(b'\n', b'\r', bytes),
    }
}
