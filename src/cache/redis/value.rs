//! An answer as bytes.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};

use crate::{
    cache::Entry,
    message::{Media, catalog::Cost},
};

/// The first byte of a value, which changes with what follows.
const VERSION: u8 = 1;
/// The longest body that is read back, in bytes: what claims to be longer is not what was written.
const MAX_BODY: usize = 256 << 20;

#[derive(Serialize, Deserialize)]
struct Head {
    headers: Vec<(String, String)>,
    stream: bool,
    ends: Vec<u32>,
    saved: Option<Cost>,
    /// How long it is kept in all, in milliseconds: what is left of that tells its age.
    keep: u64,
}

/// The version, the length of the head, the head as JSON, and the body, compressed by LZ4 after its length.
pub(super) fn encode(entry: &Entry, keep: Duration) -> Vec<u8> {
    let headers = entry.headers().iter();
    let head = Head {
        headers: headers
            .filter_map(|(name, value)| {
                Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
            })
            .collect(),
        stream: entry.is_stream(),
        ends: entry.ends().to_vec(),
        saved: entry.saved(),
        keep: millis(keep.saturating_sub(entry.age())),
    };
    let head = serde_json::to_vec(&head).unwrap_or_default();
    let mut value = vec![VERSION];
    value.extend_from_slice(&u32::try_from(head.len()).unwrap_or(0).to_le_bytes());
    value.extend_from_slice(&head);
    value.extend_from_slice(&lz4_flex::compress_prepend_size(entry.body()));
    value
}

/// An answer that is kept for so long still; `None` for what is none.
pub(super) fn decode(value: &[u8], left: Duration) -> Option<Entry> {
    let (&VERSION, rest) = value.split_first()? else {
        return None;
    };
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let (head, body) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    let head: Head = serde_json::from_slice(head).ok()?;
    let (length, compressed) = body.split_first_chunk::<4>()?;
    let length = u32::from_le_bytes(*length) as usize;
    let is_ordered =
        head.ends.is_sorted() && head.ends.last().is_none_or(|end| *end as usize == length);
    if length > MAX_BODY || !is_ordered {
        return None;
    }
    let body = Bytes::from(lz4_flex::decompress(compressed, length).ok()?);
    let mut headers = HeaderMap::with_capacity(head.headers.len());
    for (name, value) in head.headers {
        headers.insert(
            HeaderName::try_from(name).ok()?,
            HeaderValue::try_from(value).ok()?,
        );
    }
    let media = if head.stream {
        Media::EventStream
    } else {
        Media::Json
    };
    let age = Duration::from_millis(head.keep).saturating_sub(left);
    (body.len() == length)
        .then(|| Entry::from_parts(headers, media, body, head.ends.into(), head.saved, age))
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry(pieces: &[Vec<u8>]) -> Entry {
        let pieces: Vec<_> = pieces.iter().cloned().map(Bytes::from).collect();
        let mut headers = HeaderMap::new();
        headers.insert(
            "content-type",
            HeaderValue::from_static("text/event-stream"),
        );
        let saved = Cost::parse_usd("0.5");
        Entry::new(headers, Media::EventStream, pieces.iter(), saved)
    }

    #[test]
    fn a_stream_of_events_shrinks() {
        let event = br#"data: {"id":"chatcmpl-1","model":"gpt-4.1","choices":[{"index":0,"delta":{"content":"x"}}]}"#;
        let entry = entry(&vec![event.to_vec(); 100]);
        let value = encode(&entry, Duration::from_secs(60));
        assert!(
            value.len() * 5 < entry.body().len(),
            "{} of {}",
            value.len(),
            entry.body().len()
        );
    }

    #[test]
    fn its_age_is_what_has_gone_by_of_its_time() {
        let value = encode(&entry(&[b"{}".to_vec()]), Duration::from_secs(60));
        let read = decode(&value, Duration::from_secs(45)).unwrap();
        // As many milliseconds less as this test takes.
        assert!((14_000..=15_000).contains(&read.age().as_millis()));
        assert_eq!(
            decode(&value, Duration::from_secs(99))
                .unwrap()
                .age()
                .as_secs(),
            0
        );
    }

    proptest! {
        #[test]
        fn an_answer_is_read_as_it_was_written(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 0..8)) {
            let entry = entry(&pieces);
            let keep = Duration::from_secs(60);
            let read = decode(&encode(&entry, keep), keep).unwrap();
            prop_assert_eq!(read.body(), entry.body());
            prop_assert_eq!(read.ends(), entry.ends());
            prop_assert_eq!(read.headers(), entry.headers());
            prop_assert_eq!((read.saved(), read.is_stream()), (entry.saved(), true));
        }

        #[test]
        fn what_is_none_is_not_read(at in 0..200_usize, byte in any::<u8>(), cut in 0..200_usize) {
            let keep = Duration::from_secs(60);
            let whole = encode(&entry(&[vec![b'x'; 90], vec![b'y'; 9]]), keep);
            let mut changed = whole.clone();
            if let Some(place) = changed.get_mut(at) {
                *place = byte;
            }
            // Whatever comes of it, it is no more than was written, and nothing panics.
            if let Some(read) = decode(&changed, keep) {
                prop_assert!(read.body().len() == 99);
            }
            if cut < whole.len() {
                prop_assert!(decode(&whole[..cut], keep).is_none());
            }
        }
    }
}
