//! An answer as it is kept.

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, header};
use tokio::time::Instant;

use super::{
    form,
    headers::{X_RELAY_CACHE, X_RELAY_CACHE_SAVED_USD},
    replay::Replay,
};
use crate::message::{Cached, Media, ResponseBody, catalog::Cost};

/// An answer that is kept: its body in the pieces in which it came, and what of its head is worth keeping. Cheap to clone.
#[derive(Clone)]
pub struct Entry(Arc<Kept>);

struct Kept {
    headers: HeaderMap,
    media: Media,
    body: Bytes,
    /// Where each piece ends in the body.
    ends: Box<[u32]>,
    saved: Option<Cost>,
    /// When it was answered, by this process's clock.
    answered: Instant,
}

/// The headers that are kept of an answer: what its bytes are, and what was done to the request that it answers. All others speak of one
/// request: its id, its cookies, its limits, its time.
pub(super) const KEPT_HEADERS: [HeaderName; 4] = [
    header::CONTENT_TYPE,
    header::CONTENT_LANGUAGE,
    HeaderName::from_static("x-relay-clamped-params"),
    HeaderName::from_static("x-relay-dropped-params"),
];

/// What an entry takes beside its body, in bytes: its head, its key, and its place in a map. As measured: a process grows by 590 for each of 180,000.
const OVERHEAD: u64 = 600;

impl Entry {
    /// An answer of the body that `pieces` are together.
    pub(super) fn new<'a>(
        headers: HeaderMap,
        media: Media,
        pieces: impl Iterator<Item = &'a Bytes> + Clone,
        saved: Option<Cost>,
    ) -> Self {
        let length = pieces.clone().map(Bytes::len).sum();
        // A copy of its own: what came is part of buffers that are larger.
        let mut body = Vec::with_capacity(length);
        let ends = pieces
            .map(|piece| {
                body.extend_from_slice(piece);
                u32::try_from(body.len()).unwrap_or(u32::MAX)
            })
            .collect();
        Self::from_parts(headers, media, body.into(), ends, saved, Duration::ZERO)
    }

    pub(super) fn from_parts(
        headers: HeaderMap,
        media: Media,
        body: Bytes,
        ends: Box<[u32]>,
        saved: Option<Cost>,
        age: Duration,
    ) -> Self {
        let now = Instant::now();
        Self(Arc::new(Kept {
            headers,
            media,
            body,
            ends,
            saved,
            answered: now.checked_sub(age).unwrap_or(now),
        }))
    }

    /// How long ago it was answered.
    pub fn age(&self) -> Duration {
        Instant::now().saturating_duration_since(self.0.answered)
    }

    /// The bytes that it takes, by estimate.
    pub fn weight(&self) -> u64 {
        let Kept {
            body,
            ends,
            headers,
            ..
        } = &*self.0;
        let headers = headers
            .iter()
            .map(|(_, value)| value.len() + 64)
            .sum::<usize>();
        OVERHEAD + (body.len() + ends.len() * 4 + headers) as u64
    }

    /// Whether it is a stream of events, rather than one JSON body.
    pub fn is_stream(&self) -> bool {
        self.0.media == Media::EventStream
    }

    /// What it had cost, where that is known.
    pub fn saved(&self) -> Option<Cost> {
        self.0.saved
    }

    /// Its body.
    pub fn body(&self) -> &Bytes {
        &self.0.body
    }

    pub(super) fn headers(&self) -> &HeaderMap {
        &self.0.headers
    }

    pub(super) fn ends(&self) -> &[u32] {
        &self.0.ends
    }

    /// A piece of the body, by its number.
    pub(super) fn piece(&self, number: usize) -> Option<Bytes> {
        let end = *self.0.ends.get(number)? as usize;
        let start = match number.checked_sub(1) {
            Some(before) => *self.0.ends.get(before)? as usize,
            None => 0,
        };
        // Slicing beyond the end would panic.
        (start <= end && end <= self.0.body.len()).then(|| self.0.body.slice(start..end))
    }

    /// The same answer as a stream, or whole; `None` where it cannot be made so.
    pub(super) fn in_form(&self, is_stream: bool) -> Option<Self> {
        if is_stream == self.is_stream() {
            return Some(self.clone());
        }
        let Kept { headers, body, .. } = &*self.0;
        let (pieces, media, content_type) = if is_stream {
            (
                form::unrolled(body)?,
                Media::EventStream,
                "text/event-stream",
            )
        } else {
            (vec![form::gathered(body)?], Media::Json, "application/json")
        };
        let mut headers = headers.clone();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        let made = Self::new(headers, media, pieces.iter(), self.0.saved);
        let Ok(mut kept) = Arc::try_unwrap(made.0) else {
            return None;
        };
        kept.answered = self.0.answered;
        Some(Self(Arc::new(kept)))
    }

    /// The answer once more. A stream comes in the same pieces, `pace` apart.
    pub(super) fn replay(&self, is_stale: bool, pace: Duration) -> Response<ResponseBody> {
        let mut cached = Cached::new(self.age());
        cached.is_stale = is_stale;
        cached.saved = self.0.saved;
        let body = if self.is_stream() {
            ResponseBody::new(Replay::new(self.clone(), pace))
        } else {
            ResponseBody::from(self.0.body.clone())
        };
        let mut response = Response::new(body.with_media(self.0.media));
        let headers = response.headers_mut();
        headers.clone_from(&self.0.headers);
        mark(headers, &cached);
        response.extensions_mut().insert(cached);
        response
    }
}

/// Says in the head that an answer comes from the cache.
pub(super) fn mark(headers: &mut HeaderMap, cached: &Cached) {
    let status = if cached.is_stale { "stale" } else { "hit" };
    headers.insert(X_RELAY_CACHE, HeaderValue::from_static(status));
    headers.insert(header::AGE, cached.age.as_secs().into());
    let saved = cached.saved.map(|saved| saved.to_string());
    if let Some(saved) =
        saved.and_then(|saved| HeaderValue::from_maybe_shared(Bytes::from(saved)).ok())
    {
        headers.insert(X_RELAY_CACHE_SAVED_USD, saved);
    }
}

/// Of `headers`, those that are kept.
pub(super) fn kept_headers(headers: &HeaderMap) -> HeaderMap {
    let mut kept = HeaderMap::with_capacity(KEPT_HEADERS.len());
    for name in &KEPT_HEADERS {
        if let Some(value) = headers.get(name) {
            kept.insert(name, value.clone());
        }
    }
    kept
}

impl fmt::Debug for Entry {
    /// Never the content.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("media", &self.0.media)
            .field("bytes", &self.0.body.len())
            .field("pieces", &self.0.ends.len())
            .field("saved", &self.0.saved)
            .finish_non_exhaustive()
    }
}
