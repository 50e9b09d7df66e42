use std::{
    collections::VecDeque,
    fmt, str,
    sync::{Arc, OnceLock},
};

use bytes::Bytes;
use http_body_util::BodyExt;
use serde::de::DeserializeOwned;

use super::{RelayError, RelayErrorKind};
use crate::{
    message::{ApiError, End, Media, RequestId, ResponseBody, drain},
    wire::{ndjson, sse},
};

/// What ends a stream of OpenAI's.
const DONE: &[u8] = b"[DONE]";

/// One event of a streamed answer.
#[derive(Clone, PartialEq, Eq)]
pub struct Event {
    name: Option<String>,
    data: Bytes,
}

impl Event {
    /// Its name (`event:`), where it has one: those of OpenAI's chat have none.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Its data; the whole line, where the stream is of JSON lines.
    pub fn data(&self) -> &Bytes {
        &self.data
    }

    /// Its data, as a value.
    ///
    /// # Errors
    /// [`Decode`](RelayErrorKind::Decode) where that is not the JSON of a `T`.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, RelayError> {
        serde_json::from_slice(&self.data)
            .map_err(|error| RelayError::new(RelayErrorKind::Decode, error.into()))
    }
}

/// Shows no data, which is what was said.
impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event")
            .field("name", &self.name)
            .field("bytes", &self.data.len())
            .finish()
    }
}

/// The events of an answer, by [`Answer::events`](super::Answer::events).
///
/// Dropping them cancels the request, at the upstream too, unless they had ended.
#[must_use = "dropping the events cancels their request"]
pub struct Events {
    body: Option<ResponseBody>,
    framer: Framer,
    /// Of the chunk that came last.
    ready: VecDeque<Result<Event, RelayError>>,
    request_id: Option<RequestId>,
    /// How the answer ended, once it has.
    ended: Arc<OnceLock<End>>,
}

enum Framer {
    Events(sse::Framer),
    Lines(ndjson::Framer),
    None,
}

impl Events {
    pub(super) fn new(body: ResponseBody, request_id: Option<RequestId>, max: usize) -> Self {
        let framer = match body.media() {
            Media::EventStream => Framer::Events(sse::Framer::with_cap(max)),
            Media::JsonLines => Framer::Lines(ndjson::Framer::with_cap(max)),
            Media::Json | Media::Opaque => Framer::None,
        };
        let ended = Arc::new(OnceLock::new());
        let told = Arc::clone(&ended);
        let body = body.on_end(move |completion| {
            told.get_or_init(|| completion.end);
        });
        Self {
            body: Some(body),
            framer,
            ready: VecDeque::new(),
            request_id,
            ended,
        }
    }

    /// The next event; `None` when the answer has ended in full, and after an error. `[DONE]` is the end, and no event.
    ///
    /// Cancel safe: dropping the future loses nothing.
    ///
    /// # Errors
    /// [`Refused`](RelayErrorKind::Refused) for an error that stands in the stream, [`Truncated`](RelayErrorKind::Truncated) where it ends before the answer
    /// does, [`Body`](RelayErrorKind::Body) where it breaks, [`TooLarge`](RelayErrorKind::TooLarge) for an event beyond the bound,
    /// [`NotAStream`](RelayErrorKind::NotAStream) where the answer is something else.
    pub async fn next(&mut self) -> Option<Result<Event, RelayError>> {
        if matches!(self.framer, Framer::None) && self.body.take().is_some() {
            return Some(Err(RelayError::of(RelayErrorKind::NotAStream)));
        }
        loop {
            if let Some(event) = self.ready.pop_front() {
                return self.given(event).await;
            }
            match self.body.as_mut()?.frame().await {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.cut(&data);
                    }
                }
                Some(Err(error)) => {
                    self.body = None;
                    return Some(Err(RelayError::new(RelayErrorKind::Body, error.into())));
                }
                None => self.end(),
            }
        }
    }

    /// What the caller gets for what was cut.
    async fn given(
        &mut self,
        event: Result<Event, RelayError>,
    ) -> Option<Result<Event, RelayError>> {
        let is_done = matches!(&event, Ok(event) if &*event.data == DONE);
        if is_done || event.is_err() {
            self.ready.clear();
        }
        if is_done {
            // So that its connection can be used again.
            if let Some(body) = self.body.take() {
                drain(body).await;
            }
            return None;
        }
        if event.is_err() {
            self.body = None;
        }
        Some(event)
    }

    fn cut(&mut self, chunk: &Bytes) {
        let id = self.request_id.as_ref();
        let too_large = || Err(RelayError::of(RelayErrorKind::TooLarge));
        match &mut self.framer {
            Framer::Events(framer) => {
                let mut frames = framer.push(chunk);
                loop {
                    match frames.next() {
                        Ok(Some(frame)) => self.ready.extend(event(&frame, id)),
                        Ok(None) => break,
                        Err(_) => {
                            self.ready.push_back(too_large());
                            break;
                        }
                    }
                }
            }
            Framer::Lines(framer) => {
                let mut lines = framer.push(chunk);
                loop {
                    match lines.next() {
                        Ok(Some(line)) => {
                            self.ready.extend(said(None, line.json(), id));
                        }
                        Ok(None) => break,
                        Err(_) => {
                            self.ready.push_back(too_large());
                            break;
                        }
                    }
                }
            }
            Framer::None => {}
        }
    }

    /// The body has ended: what was left of it, and whether that was all.
    fn end(&mut self) {
        self.body = None;
        let id = self.request_id.as_ref();
        let last = match &mut self.framer {
            Framer::Events(framer) => {
                let frame = framer.finish().ok().flatten();
                frame.and_then(|frame| event(&frame, id))
            }
            Framer::Lines(framer) => {
                let line = framer.finish().ok().flatten();
                line.and_then(|line| said(None, line.json(), id))
            }
            Framer::None => None,
        };
        self.ready.extend(last);
        let is_broken = matches!(self.ended.get(), Some(End::Failed(_)));
        if is_broken && !self.ready.iter().any(Result::is_err) {
            let truncated = RelayError::of(RelayErrorKind::Truncated);
            self.ready.push_back(Err(truncated));
        }
    }
}

/// What a frame says, if it says anything.
fn event(frame: &sse::Frame<'_>, id: Option<&RequestId>) -> Option<Result<Event, RelayError>> {
    let data = frame.data()?;
    let name = frame.event().and_then(|name| str::from_utf8(name).ok());
    said(name, &data, id)
}

fn said(
    name: Option<&str>,
    data: &[u8],
    id: Option<&RequestId>,
) -> Option<Result<Event, RelayError>> {
    if data.is_empty() {
        return None;
    }
    if let Some(error) = ApiError::in_answer(data) {
        return Some(Err(RelayError::stated(error, id.cloned())));
    }
    Some(Ok(Event {
        name: name.map(str::to_owned),
        data: Bytes::copy_from_slice(data),
    }))
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").finish_non_exhaustive()
    }
}
