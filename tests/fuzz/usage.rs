//! What must hold of the reading of usage, ends and words of answers whatever an upstream sends.

use std::{
    io,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use futures_util::{FutureExt, stream};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use tower_relay::message::{Completion, Media, ResponseBody};

const MEDIA: [Media; 4] = [
    Media::Json,
    Media::EventStream,
    Media::JsonLines,
    Media::Opaque,
];

/// What the ends of an answer were that came in pieces, of which its caller read so many.
fn ends(media: Media, answer: &[u8], piece: usize, read: usize) -> Vec<Completion> {
    let frames: Vec<_> = answer
        .chunks(piece)
        .map(|piece| Ok::<_, io::Error>(Frame::data(Bytes::copy_from_slice(piece))))
        .collect();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let ended = Arc::clone(&seen);
    let mut body = ResponseBody::new(StreamBody::new(stream::iter(frames)))
        .with_media(media)
        .weigh_output()
        .on_end(move |completion| ended.lock().unwrap().push(completion.clone()));
    let mut passed = Vec::new();
    for _ in 0..read {
        let Some(frame) = body.frame().now_or_never().expect("no wait") else {
            break;
        };
        passed.extend_from_slice(&frame.unwrap().into_data().unwrap());
    }
    assert!(answer.starts_with(&passed), "what passes is not changed");
    drop(body);
    std::mem::take(&mut *seen.lock().unwrap())
}

/// An answer ends once, however it is read, and what it is found to say does not depend on where it is cut.
pub(crate) fn usage(data: &[u8]) {
    let [what, piece, answer @ ..] = data else {
        return;
    };
    let media = MEDIA[usize::from(what % 4)];
    let piece = usize::from(*piece).max(1);
    let [whole, pieces, left] = [
        (usize::MAX, usize::MAX),
        (piece, usize::MAX),
        (piece, usize::from(what / 4)),
    ]
    .map(|(piece, read)| {
        let ends = ends(media, answer, piece, read);
        <[Completion; 1]>::try_from(ends).expect("one end")
    })
    .map(|[end]| end);
    let said = |end: &Completion| {
        let error = end.error.as_ref().map(|error| error.message().to_owned());
        let words = [&end.finish_reason, &end.model, &end.service_tier].map(Option::clone);
        let counts = (end.usage, end.usage_is_final, end.output_weight, end.chunks);
        (end.end, words, error, counts, end.stated_cost, end.bytes)
    };
    assert_eq!(said(&pieces), said(&whole));
    assert!(left.bytes <= whole.bytes);
}
