//! An answer as the pieces that a caller can act on.

use std::{borrow::Cow, ops::ControlFlow};

use bytes::Bytes;

use crate::{
    message::Media,
    wire::{ndjson, sse},
};

/// Cuts an answer into events, where it has any.
#[derive(Debug)]
pub(super) enum Framing {
    Events(sse::Framer),
    Lines(ndjson::Framer),
    /// Nothing that is read; also what comes after an event that is too long to be held.
    Bytes,
}

/// One event of a stream, whole.
pub(super) struct Piece<'a> {
    /// Its length as it came, in bytes.
    pub(super) raw_len: usize,
    pub(super) data: Option<Cow<'a, [u8]>>,
    /// It says nothing: a comment or blank lines, as a keep-alive.
    pub(super) is_silent: bool,
}

impl Framing {
    pub(super) fn of(media: Media) -> Self {
        match media {
            Media::EventStream => Self::Events(sse::Framer::default()),
            Media::JsonLines => Self::Lines(ndjson::Framer::default()),
            Media::Json | Media::Opaque => Self::Bytes,
        }
    }

    /// Shows `look` each event that `chunk` completes, until it breaks. An event that is too long ends the cutting.
    pub(super) fn each<T>(
        &mut self,
        chunk: &Bytes,
        mut look: impl FnMut(Piece<'_>) -> ControlFlow<T>,
    ) -> Option<T> {
        let failed = match self {
            Self::Bytes => return None,
            Self::Events(framer) => {
                let mut frames = framer.push(chunk);
                loop {
                    match frames.next() {
                        Ok(Some(frame)) => {
                            if let ControlFlow::Break(found) = look(Piece::event(&frame)) {
                                return Some(found);
                            }
                        }
                        Ok(None) => break false,
                        Err(_) => break true,
                    }
                }
            }
            Self::Lines(framer) => {
                let mut lines = framer.push(chunk);
                loop {
                    match lines.next() {
                        Ok(Some(line)) => {
                            if let ControlFlow::Break(found) = look(Piece::line(line)) {
                                return Some(found);
                            }
                        }
                        Ok(None) => break false,
                        Err(_) => break true,
                    }
                }
            }
        };
        if failed {
            tracing::debug!("an event is too long to be held; the rest of its stream is not read");
            *self = Self::Bytes;
        }
        None
    }

    /// The data of an event that its stream ended in.
    pub(super) fn rest(&mut self) -> Option<Vec<u8>> {
        match self {
            Self::Bytes => None,
            Self::Events(framer) => {
                let frame = framer.finish().ok().flatten()?;
                frame.data().map(Cow::into_owned)
            }
            Self::Lines(framer) => {
                let line = framer.finish().ok().flatten()?;
                Some(line.json().to_vec())
            }
        }
    }
}

impl<'a> Piece<'a> {
    fn event(frame: &sse::Frame<'a>) -> Self {
        Self {
            raw_len: frame.raw().len(),
            data: frame.data(),
            is_silent: frame.is_comment() || frame.is_blank(),
        }
    }

    fn line(line: ndjson::Line<'a>) -> Self {
        Self {
            raw_len: line.raw().len(),
            data: Some(Cow::Borrowed(line.json())),
            is_silent: line.json().is_empty(),
        }
    }
}
