//! An answer that is on its way to its caller: how it breaks off when it must.

use std::{
    ops::ControlFlow,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use memchr::memmem;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    framing::{Framing, Piece},
    holding::Call,
    pace::Pace,
    verdict::{Trouble, last_event},
};
use crate::message::{
    Alarm, ApiError, BoxError, Dialect, End, Failure, Fault, Gather, Media, Output, Silence,
    Transform,
};

/// How long the end of a body is waited for once its last event has come, so that its connection can be used again.
const LINGER: Duration = Duration::from_secs(1);

/// Hands a committed answer on, event by event, and ends one that breaks with an event that says so.
///
/// An event is handed on once it is whole: nobody can act on part of one, and the event that says what broke would be read as its
/// rest. Bytes that no event completes are held, up to a cap.
pub(super) struct Tail {
    framing: Framing,
    media: Media,
    dialect: Dialect,
    silence: Silence,
    alarm: Alarm,
    comments_count: bool,
    pace: Option<Pace>,
    /// The beginning of an event.
    open: Gather,
    last: Last,
}

/// What the last events said that matters for the one that may have to follow.
#[derive(Debug, Default)]
struct Last {
    /// The number that follows the last event's, in the Responses dialect.
    sequence_number: u64,
    /// It was a failure that is an end of its own.
    failed: bool,
}

impl Tail {
    /// Hands on an answer to `call` that comes as `media`.
    pub(super) fn of(call: &Call, media: Media, alarm: Alarm) -> Self {
        let shared = &call.shared;
        let floor = call.limits.min_tokens_per_second;
        Self {
            framing: Framing::of(media),
            media,
            dialect: call.dialect,
            silence: Silence::new(call.limits.idle),
            alarm,
            comments_count: shared.comments_count,
            pace: Pace::new(floor, shared.pace_window, shared.pace_grace),
            open: Gather::default(),
            last: Last::default(),
        }
    }

    /// Whether there are events to break off with.
    fn is_stream(&self) -> bool {
        matches!(self.media, Media::EventStream | Media::JsonLines)
    }

    /// Ends the answer for `trouble`, saying so if the caller is not `told` yet.
    fn break_off(
        &self,
        trouble: &Trouble,
        told: bool,
        output: &mut Output<'_>,
    ) -> Result<(), BoxError> {
        if told {
            output.part(Bytes::new())?;
        } else {
            self.tell(&trouble.error(), output)?;
        }
        let (failure, what) = (trouble.failure(), trouble.what());
        tracing::debug!(?failure, "{what}");
        Err(Fault { failure, what }.into())
    }

    fn tell(&self, error: &ApiError, output: &mut Output<'_>) -> Result<(), BoxError> {
        if self.is_stream() && matches!(self.framing, Framing::Bytes) {
            // Somewhere within an event that is longer than is held.
            output.part(Bytes::from_static(b"\n\n"))?;
        }
        let number = self.last.sequence_number;
        output.part(last_event(error, self.media, self.dialect, number))
    }
}

impl Transform for Tail {
    fn data(&mut self, chunk: Bytes, output: &mut Output<'_>) -> Result<(), BoxError> {
        let held = self.open.len();
        let mut taken = 0;
        let mut heard = false;
        let broken = {
            let Self {
                framing,
                silence,
                pace,
                last,
                ..
            } = self;
            let (comments_count, dialect) = (self.comments_count, self.dialect);
            let is_over = output.ended().is_some();
            framing.each(&chunk, |piece| {
                taken += piece.raw_len;
                if piece.is_silent && !comments_count {
                    return ControlFlow::Continue(());
                }
                heard = true;
                if let Some(pace) = pace {
                    let data = piece.data.as_deref().unwrap_or_default();
                    pace.event(silence.break_off(), data);
                    if pace.is_too_slow() && !is_over {
                        return ControlFlow::Break((Trouble::Slow, false));
                    }
                }
                last.look_at(&piece, dialect)
            })
        };
        if matches!(self.framing, Framing::Bytes) {
            self.silence.break_off();
            output.push(self.open.take())?;
            return output.push(chunk);
        }
        if heard {
            self.silence.break_off();
        }
        // What was held is the beginning of the first event that is whole now.
        let mut rest = chunk;
        if taken > 0 {
            output.push(self.open.take())?;
            output.push(rest.split_to(taken.saturating_sub(held).min(rest.len())))?;
        }
        if let Some((trouble, told)) = broken {
            let told =
                told || self.media == Media::JsonLines && matches!(trouble, Trouble::Stated(_));
            return self.break_off(&trouble, told, output);
        }
        if !rest.is_empty() {
            self.open.push(rest, 0);
        }
        Ok(())
    }

    fn end(&mut self, output: &mut Output<'_>) -> Result<(), BoxError> {
        if !self.is_stream() {
            return Ok(());
        }
        let trouble = match output.ended() {
            Some(End::Failed(Failure::Stated)) if !self.last.failed => {
                // In an event without its end, which would not be read.
                let rest = self.framing.rest();
                let error = rest.as_deref().and_then(ApiError::in_answer);
                error.map_or(Trouble::Broken, |error| Trouble::Stated(Box::new(error)))
            }
            Some(End::Failed(failure)) if failure != Failure::Stated => Trouble::of(failure),
            _ => return output.push(self.open.take()),
        };
        self.break_off(&trouble, false, output)
    }

    fn fail(&mut self, error: BoxError, output: &mut Output<'_>) -> BoxError {
        if let Some(End::Failed(failure)) = output.ended()
            && failure != Failure::Stated
        {
            // It breaks all the same, whether or not this can be pushed.
            let _ = self.tell(&Trouble::of(failure).error(), output);
        }
        error
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        output: &mut Output<'_>,
    ) -> Poll<Result<(), BoxError>> {
        // After its last event a stream has nothing more to say, and yet it may be kept open: then it ends here.
        let is_whole = output.ended() == Some(End::Complete);
        let due = if is_whole {
            Some(self.silence.linger(LINGER))
        } else {
            self.silence.wait()
        };
        let Some(due) = due else {
            return Poll::Pending;
        };
        ready!(self.alarm.poll(due, cx));
        let is_over = output.ended().is_some();
        Poll::Ready(self.break_off(&Trouble::Idle, is_over, output))
    }

    fn keeps_length(&self) -> bool {
        !self.is_stream()
    }
}

impl Last {
    /// Takes note of an event, and breaks at one that states an error: with it, and whether it is as the caller's dialect has it.
    fn look_at(&mut self, piece: &Piece<'_>, dialect: Dialect) -> ControlFlow<(Trouble, bool)> {
        let Some(data) = piece.data.as_deref() else {
            return ControlFlow::Continue(());
        };
        if dialect == Dialect::Responses
            && let Some(number) = sequence_number(data)
        {
            self.sequence_number = number.saturating_add(1);
        }
        let error = ApiError::may_be_in(data).then(|| ApiError::in_answer(data));
        let Some(error) = error.flatten() else {
            return ControlFlow::Continue(());
        };
        let form = Form::of(data, dialect);
        if form == Form::End {
            self.failed = true;
            return ControlFlow::Continue(());
        }
        ControlFlow::Break((Trouble::Stated(Box::new(error)), form == Form::Own))
    }
}

/// How an error stands in an event.
#[derive(PartialEq)]
enum Form {
    /// As the caller's dialect has it.
    Own,
    /// As the regular end of a Responses stream.
    End,
    Other,
}

impl Form {
    fn of(data: &[u8], dialect: Dialect) -> Self {
        #[derive(Deserialize)]
        struct Event<'a> {
            #[serde(borrow, default)]
            r#type: Option<&'a RawValue>,
            #[serde(borrow, default)]
            error: Option<&'a RawValue>,
        }
        let Ok(event) = serde_json::from_slice::<Event<'_>>(data) else {
            return Self::Other;
        };
        let kind = event.r#type.map(|kind| kind.get().trim_matches('"'));
        let is_object = event
            .error
            .is_some_and(|error| error.get().starts_with('{'));
        let is_own = match dialect {
            Dialect::Responses if kind == Some("response.failed") => return Self::End,
            Dialect::Responses => kind == Some("error"),
            Dialect::Anthropic => kind == Some("error") && is_object,
            Dialect::OpenAi => is_object,
        };
        if is_own { Self::Own } else { Self::Other }
    }
}

/// Within a text its quotes would be escaped, so what is found is a member.
fn sequence_number(data: &[u8]) -> Option<u64> {
    const NAME: &[u8] = b"\"sequence_number\":";
    let at = memmem::find(data, NAME)?;
    let value = data.get(at + NAME.len()..)?.trim_ascii_start();
    let end = value.iter().position(|byte| !byte.is_ascii_digit());
    let digits = value.get(..end.unwrap_or(value.len()))?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}
