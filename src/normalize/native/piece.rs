//! The pieces of a stream: events, or lines.

use std::borrow::Cow;

use bytes::Bytes;

use crate::{
    message::{BoxError, MAX_JSON},
    wire::{ndjson, sse},
};

/// Cuts a stream into pieces.
pub(super) enum Framer {
    Events(sse::Framer),
    Lines(ndjson::Framer),
}

/// One event, or one line.
#[derive(Clone, Copy)]
pub(super) enum Piece<'a> {
    Event(sse::Frame<'a>),
    Line(ndjson::Line<'a>),
}

impl<'a> Piece<'a> {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Event(frame) => frame.raw().len(),
            Self::Line(line) => line.raw().len(),
        }
    }

    pub(super) fn name(&self) -> Option<&'a [u8]> {
        match self {
            Self::Event(frame) => frame.event(),
            Self::Line(_) => None,
        }
    }

    pub(super) fn data(&self) -> Option<Cow<'a, [u8]>> {
        match self {
            Self::Event(frame) => frame.data(),
            Self::Line(line) => Some(Cow::Borrowed(line.json())).filter(|json| !json.is_empty()),
        }
    }

    /// As it goes on where it is not understood.
    pub(super) fn as_event(&self) -> Bytes {
        match self {
            Self::Event(frame) => frame.to_bytes(),
            Self::Line(line) if line.json().is_empty() => Bytes::new(),
            Self::Line(line) => sse::event(None, line.json()),
        }
    }

    /// Its comments, such as a keep-alive, with line ends of ours; empty for blank lines.
    pub(super) fn comment(&self) -> Bytes {
        let Self::Event(frame) = self else {
            return Bytes::new();
        };
        let lines = frame.raw().split(|byte| matches!(byte, b'\r' | b'\n'));
        let mut comment = Vec::new();
        for line in lines.filter(|line| line.first() == Some(&b':')) {
            comment.extend_from_slice(line);
            comment.push(b'\n');
        }
        if !comment.is_empty() {
            comment.push(b'\n');
        }
        comment.into()
    }

    /// Whether it has the second half of the line end that the last frame was passed on with.
    pub(super) fn begins_with_line_feed(&self) -> bool {
        matches!(self, Self::Event(frame) if frame.raw().starts_with(b"\n"))
    }
}

impl Framer {
    pub(super) fn of_events() -> Self {
        Self::Events(sse::Framer::with_cap(MAX_JSON))
    }

    pub(super) fn of_lines() -> Self {
        Self::Lines(ndjson::Framer::with_cap(MAX_JSON))
    }

    pub(super) fn are_lines(&self) -> bool {
        matches!(self, Self::Lines(_))
    }

    /// Hands each piece that `chunk` completes to `take`, until it fails.
    pub(super) fn each(
        &mut self,
        chunk: &Bytes,
        mut take: impl FnMut(Piece<'_>) -> Result<(), BoxError>,
    ) -> Result<(), BoxError> {
        match self {
            Self::Events(framer) => {
                let mut frames = framer.push(chunk);
                while let Some(frame) = frames.next()? {
                    take(Piece::Event(frame))?;
                }
            }
            Self::Lines(framer) => {
                let mut lines = framer.push(chunk);
                while let Some(line) = lines.next()? {
                    take(Piece::Line(line))?;
                }
            }
        }
        Ok(())
    }

    /// The last piece, which nothing ended.
    pub(super) fn finish(&mut self) -> Result<Option<Piece<'_>>, BoxError> {
        Ok(match self {
            Self::Events(framer) => framer.finish()?.map(Piece::Event),
            Self::Lines(framer) => framer.finish()?.map(Piece::Line),
        })
    }
}

/// Holds nothing: for the time that a framer is lent.
impl Default for Framer {
    fn default() -> Self {
        Self::Lines(ndjson::Framer::default())
    }
}
