//! Editing the JSON of an answer: one body, or each event of a stream.

use std::ops::Range;

use bytes::Bytes;
use http::Response;

use super::{BoxError, Gather, Media, Output, ResponseBody, Transform, transform};
use crate::wire::sse::{Frame, Framer};

/// The most of a JSON answer, or of one event, that is held to be edited. A longer answer passes unchanged; a longer event breaks
/// its stream.
pub(crate) const MAX_JSON: usize = 16 << 20;

/// What becomes of the JSON text that an editor was shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edited {
    /// It stays, byte for byte.
    Keep,
    /// This takes its place.
    Replace(Bytes),
    /// The whole event goes; a JSON body stays.
    Drop,
}

/// Shows `edit` the JSON of `response`: its body, or the data of each event of a stream, which is never held back but
/// until an event is whole. What is kept passes as the bytes that came.
///
/// Answers that are neither, or compressed, pass unseen; so do JSON lines.
pub fn edit_answer<F>(response: Response<ResponseBody>, edit: F) -> Response<ResponseBody>
where
    F: FnMut(&[u8]) -> Edited + Send + 'static,
{
    match response.body().media() {
        Media::EventStream => transform(
            response,
            EventEditor {
                // An event may hold an image, which the usual cap has no room for.
                framer: Framer::with_cap(MAX_JSON),
                edit,
            },
        ),
        Media::Json => transform(
            response,
            BodyEditor {
                text: Gather::default(),
                edit: Some(edit),
            },
        ),
        Media::JsonLines | Media::Opaque => response,
    }
}

struct EventEditor<F> {
    framer: Framer,
    edit: F,
}

impl<F: FnMut(&[u8]) -> Edited + Send> Transform for EventEditor<F> {
    fn data(&mut self, chunk: Bytes, output: &mut Output<'_>) -> Result<(), BoxError> {
        let mut kept = Kept::of(&chunk);
        let mut frames = self.framer.push(&chunk);
        loop {
            let frame = match frames.next() {
                Ok(Some(frame)) => frame,
                Ok(None) => break,
                Err(error) => {
                    kept.flush(output)?;
                    return Err(error.into());
                }
            };
            match edited(&frame, &mut self.edit) {
                Edited::Keep => kept.push(&frame, output)?,
                Edited::Drop => kept.flush(output)?,
                Edited::Replace(raw) => {
                    kept.flush(output)?;
                    output.push(raw)?;
                }
            }
        }
        kept.flush(output)
    }

    fn end(&mut self, output: &mut Output<'_>) -> Result<(), BoxError> {
        let Some(frame) = self.framer.finish()? else {
            return Ok(());
        };
        match edited(&frame, &mut self.edit) {
            Edited::Keep => output.push(frame.to_bytes()),
            Edited::Drop => Ok(()),
            Edited::Replace(raw) => output.push(raw),
        }
    }

    /// What came of an unfinished event is the caller's all the same.
    fn fail(&mut self, error: BoxError, output: &mut Output<'_>) -> BoxError {
        if let Ok(Some(frame)) = self.framer.finish() {
            let _ = output.push(frame.to_bytes());
        }
        error
    }
}

/// The frame as it goes on: its raw bytes with the edited data in place.
fn edited(frame: &Frame<'_>, edit: &mut impl FnMut(&[u8]) -> Edited) -> Edited {
    let Some(data) = frame.data() else {
        return Edited::Keep;
    };
    if !data.trim_ascii_start().starts_with(b"{") {
        return Edited::Keep;
    }
    match edit(&data) {
        Edited::Replace(data) => Edited::Replace(frame.with_data(&data)),
        other => other,
    }
}

/// Neighbouring frames of one chunk, handed on as one slice of it.
pub(crate) struct Kept<'a> {
    chunk: &'a Bytes,
    range: Range<usize>,
}

impl<'a> Kept<'a> {
    /// Nothing yet of `chunk`.
    pub(crate) fn of(chunk: &'a Bytes) -> Self {
        Self { chunk, range: 0..0 }
    }

    /// Keeps `frame`, which may be of another chunk too.
    pub(crate) fn push(
        &mut self,
        frame: &Frame<'_>,
        output: &mut Output<'_>,
    ) -> Result<(), BoxError> {
        let raw = frame.raw();
        let start = (raw.as_ptr() as usize).checked_sub(self.chunk.as_ptr() as usize);
        match start.filter(|start| start + raw.len() <= self.chunk.len()) {
            Some(start) if start == self.range.end && !self.range.is_empty() => {
                self.range.end += raw.len();
            }
            Some(start) => {
                self.flush(output)?;
                self.range = start..start + raw.len();
            }
            None => {
                self.flush(output)?;
                output.push(frame.to_bytes())?;
            }
        }
        Ok(())
    }

    /// Hands on what was kept so far.
    pub(crate) fn flush(&mut self, output: &mut Output<'_>) -> Result<(), BoxError> {
        let range = std::mem::replace(&mut self.range, 0..0);
        if range.is_empty() {
            Ok(())
        } else {
            output.push(self.chunk.slice(range))
        }
    }
}

struct BodyEditor<F> {
    text: Gather,
    /// Gone once the body has proved too long to be held.
    edit: Option<F>,
}

impl<F: FnMut(&[u8]) -> Edited + Send> Transform for BodyEditor<F> {
    fn data(&mut self, chunk: Bytes, output: &mut Output<'_>) -> Result<(), BoxError> {
        if self.edit.is_none() {
            return output.push(chunk);
        }
        self.text.push(chunk, 0);
        if self.text.len() > MAX_JSON {
            self.edit = None;
            return output.push(self.text.take());
        }
        Ok(())
    }

    fn end(&mut self, output: &mut Output<'_>) -> Result<(), BoxError> {
        let text = self.text.take();
        match self.edit.as_mut().map(|edit| edit(&text)) {
            Some(Edited::Replace(edited)) => output.push(edited),
            _ => output.push(text),
        }
    }

    fn fail(&mut self, error: BoxError, output: &mut Output<'_>) -> BoxError {
        // It breaks all the same, whether or not this can be pushed.
        let _ = output.push(self.text.take());
        error
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn a_stream_with_an_image_in_one_event_is_edited_and_goes_on() {
        let image = "x".repeat(3 << 20);
        let text = |model| {
            format!("data: {{\"image\":\"{image}\",\"model\":\"{model}\"}}\n\ndata: [DONE]\n\n")
        };
        let response = Response::new(ResponseBody::from(text("a")).with_media(Media::EventStream));
        let answer = edit_answer(response, |data| {
            let renamed =
                String::from_utf8_lossy(data).replace("\"model\":\"a\"", "\"model\":\"b\"");
            Edited::Replace(renamed.into())
        });
        let whole = answer.into_body().collect().await.unwrap().to_bytes();
        assert!(whole == text("b"));
    }
}
