//! What must hold of the framers whatever an upstream sends, in whichever pieces.

use std::borrow::Cow;

use bytes::Bytes;
use tower_relay::wire::{ndjson, sse};

const CAP: usize = 4096;

/// What the frames of a stream say, and all of its bytes; `None` where a frame is too long.
fn events_of(stream: &[u8], piece: usize) -> Option<(Vec<Vec<u8>>, Vec<u8>)> {
    let (mut said, mut raw) = (Vec::new(), Vec::new());
    let mut framer = sse::Framer::with_cap(CAP);
    let mut take = |frame: &sse::Frame<'_>| {
        assert!(frame.raw().len() <= CAP);
        raw.extend_from_slice(frame.raw());
        assert_eq!(frame.to_bytes(), frame.raw());
        let _ = (frame.event(), frame.is_comment());
        said.extend(frame.data().map(Cow::into_owned));
    };
    for chunk in stream.chunks(piece) {
        let chunk = Bytes::copy_from_slice(chunk);
        let mut frames = framer.push(&chunk);
        while let Some(frame) = frames.next().ok()? {
            take(&frame);
        }
    }
    if let Some(frame) = framer.finish().ok()? {
        take(&frame);
    }
    Some((said, raw))
}

/// The same of lines.
fn lines_of(stream: &[u8], piece: usize) -> Option<(Vec<Vec<u8>>, Vec<u8>)> {
    let (mut said, mut raw) = (Vec::new(), Vec::new());
    let mut framer = ndjson::Framer::with_cap(CAP);
    let mut take = |line: &ndjson::Line<'_>| {
        assert!(line.raw().len() <= CAP);
        raw.extend_from_slice(line.raw());
        said.push(line.json().to_vec());
    };
    for chunk in stream.chunks(piece) {
        let chunk = Bytes::copy_from_slice(chunk);
        let mut lines = framer.push(&chunk);
        while let Some(line) = lines.next().ok()? {
            take(&line);
        }
    }
    if let Some(line) = framer.finish().ok()? {
        take(&line);
    }
    Some((said, raw))
}

/// No byte is lost, and what is said does not depend on where the pieces are cut.
pub(crate) fn frames(data: &[u8]) {
    let [piece, stream @ ..] = data else {
        return;
    };
    let piece = usize::from(*piece).max(1);
    for of in [events_of, lines_of] {
        let whole = of(stream, usize::MAX);
        let pieces = of(stream, piece);
        if let (Some((said, raw)), Some((again, pieces))) = (&whole, &pieces) {
            assert_eq!(said, again);
            assert_eq!(raw, stream);
            assert_eq!(pieces, stream);
        }
        // Far from the cap both must have managed.
        assert!(stream.len() > CAP || (whole.is_some() && pieces.is_some()));
    }
}
