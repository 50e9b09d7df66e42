//! A stream on its way to a caller: what of it is held, what passes, and how it ends.

use bytes::Bytes;

use super::{
    NormalizePolicy, errors,
    events::{Events, Step, is_empty_and_unnamed},
    repairs::{Repair, Repairs},
    tally::Tally,
};
use crate::{
    message::{ApiError, BoxError, Dialect, Edited, Kept, MAX_JSON, Output, Transform},
    wire::sse::{DONE, Frame, Framer, event},
};

/// No event is held back but until it is whole, and the first where it has nothing in it: Azure's names neither answer nor
/// model, which the second does.
pub(super) struct Stream {
    framer: Framer,
    policy: NormalizePolicy,
    events: Events,
    tally: Tally,
    /// The data of the event that waits for the answer's id.
    held: Option<Bytes>,
    /// The last frame was held or left out, and an LF that comes next is still of its line end.
    gone_unended: bool,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// No event has come yet.
    Beginning,
    Open,
    /// `[DONE]` has come.
    Done,
    /// An error has: nothing may follow.
    Failed,
}

impl Stream {
    pub(super) fn new(policy: NormalizePolicy, events: Events, tally: Tally) -> Self {
        Self {
            // An event may hold an image, which the usual cap has no room for.
            framer: Framer::with_cap(MAX_JSON),
            policy,
            events,
            tally,
            held: None,
            gone_unended: false,
            state: State::Beginning,
        }
    }

    fn frame(
        &mut self,
        frame: Frame<'_>,
        kept: &mut Kept<'_>,
        output: &mut Output<'_>,
    ) -> Result<(), BoxError> {
        if self.state == State::Failed {
            return self.unless_observed(&frame, kept, output, |_, _| Ok(()));
        }
        // Nobody reads on.
        if self.state == State::Done {
            return kept.push(&frame, output);
        }
        let (line_feed, frame) = &frame.split_line_feed();
        let gone_unended = std::mem::take(&mut self.gone_unended);
        if let Some(line_feed) = line_feed
            && !gone_unended
        {
            kept.push(line_feed, output)?;
        }
        let Some(data) = frame.data() else {
            return match unframed_error(frame) {
                Some(data) => self.event(&data, true, frame, kept, output),
                None => kept.push(frame, output),
            };
        };
        if self.held.is_none() && self.events.conforms(&data) {
            self.state = State::Open;
            return kept.push(frame, output);
        }
        if data.starts_with(b"[DONE]") {
            return self.done(frame, kept, output);
        }
        let is_first = self.state == State::Beginning;
        self.state = State::Open;
        let holds = is_first && self.policy == NormalizePolicy::Lenient;
        if holds && is_empty_and_unnamed(&data) {
            self.held = Some(Bytes::copy_from_slice(&data));
            self.gone_unended = frame.raw().ends_with(b"\r");
            return Ok(());
        }
        self.event(&data, false, frame, kept, output)
    }

    /// An event that is not known to conform. `reframed` is the data of one that was not framed as such.
    fn event(
        &mut self,
        data: &[u8],
        reframed: bool,
        frame: &Frame<'_>,
        kept: &mut Kept<'_>,
        output: &mut Output<'_>,
    ) -> Result<(), BoxError> {
        self.events.learn(data);
        kept.flush(output)?;
        self.release(output)?;
        let is_error = reframed || frame.event() == Some(b"error");
        let (mut step, mut repairs) = self.events.step(data, is_error);
        if reframed {
            repairs.add(Repair::Error);
            let error = step.failure.filter(|event| !event.is_empty());
            step = Step {
                own: Edited::Drop,
                failure: Some(error.unwrap_or_else(|| event(None, data))),
            };
        }
        self.tally.count(repairs);
        if self.policy == NormalizePolicy::Strict
            && let Some(fault) = repairs.first()
            && step.failure.is_none()
        {
            step = Step::refused(fault);
        }
        if step.failure.is_some() {
            self.state = State::Failed;
        }
        let thought = if step.failure.is_some() {
            self.events.held()
        } else {
            Bytes::new()
        };
        let left_out = matches!(step.own, Edited::Drop) && self.policy != NormalizePolicy::Observe;
        self.gone_unended = left_out && frame.raw().ends_with(b"\r");
        self.unless_observed(frame, kept, output, |kept, output| {
            output.push(thought)?;
            match step.own {
                Edited::Keep => kept.push(frame, output)?,
                Edited::Replace(data) => output.push(frame.with_data(&data))?,
                Edited::Drop => {}
            }
            let Some(error) = step.failure else {
                return Ok(());
            };
            kept.flush(output)?;
            output.push(error)
        })
    }

    /// The frame that ends the stream, and what has to come before it.
    fn done(
        &mut self,
        frame: &Frame<'_>,
        kept: &mut Kept<'_>,
        output: &mut Output<'_>,
    ) -> Result<(), BoxError> {
        kept.flush(output)?;
        self.release(output)?;
        self.state = State::Done;
        let thought = self.events.held();
        let closing = self.closing(Repairs::default());
        let failed = self.state == State::Failed;
        self.unless_observed(frame, kept, output, |kept, output| {
            output.push(thought)?;
            output.push(closing)?;
            if failed {
                return Ok(());
            }
            kept.push(frame, output)
        })
    }

    /// What comes before `[DONE]`, or in its place: an error, where the policy is strict and anything was missing.
    fn closing(&mut self, mut repairs: Repairs) -> Bytes {
        let closing = self.events.closing(&mut repairs);
        self.tally.count(repairs);
        match repairs.first() {
            Some(fault) if self.policy == NormalizePolicy::Strict => {
                self.state = State::Failed;
                Step::refused(fault).failure.unwrap_or_default()
            }
            _ => closing,
        }
    }

    /// Lets go of what was held, with the names that are known by now.
    fn release(&mut self, output: &mut Output<'_>) -> Result<(), BoxError> {
        let Some(data) = self.held.take() else {
            return Ok(());
        };
        let (step, repairs) = self.events.step(&data, false);
        self.tally.count(repairs);
        match step.own {
            Edited::Keep => output.push(event(None, &data)),
            Edited::Replace(data) => output.push(event(None, &data)),
            Edited::Drop => Ok(()),
        }
    }

    /// Keeps `frame` where nothing is to be changed, and otherwise does what has to be done.
    fn unless_observed(
        &self,
        frame: &Frame<'_>,
        kept: &mut Kept<'_>,
        output: &mut Output<'_>,
        act: impl FnOnce(&mut Kept<'_>, &mut Output<'_>) -> Result<(), BoxError>,
    ) -> Result<(), BoxError> {
        if self.policy == NormalizePolicy::Observe {
            kept.push(frame, output)
        } else {
            act(kept, output)
        }
    }
}

/// The data of an error that does not come as an event: `error: {...}`, which llama.cpp wrote until September 2025
/// (ggml-org/llama.cpp#16109), or an object by itself, as some proxies do (lemonade-sdk/lemonade#2826).
fn unframed_error(frame: &Frame<'_>) -> Option<Vec<u8>> {
    let raw = frame.raw().trim_ascii();
    let data = match raw.strip_prefix(b"error:") {
        Some(error) => [b"{\"error\":", error.trim_ascii(), b"}"].concat(),
        None if raw.starts_with(b"{") => raw.to_vec(),
        None => return None,
    };
    ApiError::in_answer(&data).map(|_| data)
}

impl Transform for Stream {
    fn data(&mut self, chunk: Bytes, output: &mut Output<'_>) -> Result<(), BoxError> {
        let mut framer = std::mem::take(&mut self.framer);
        let mut kept = Kept::of(&chunk);
        let mut frames = framer.push(&chunk);
        let result = loop {
            match frames.next() {
                Ok(Some(frame)) => {
                    if let Err(error) = self.frame(frame, &mut kept, output) {
                        break Err(error);
                    }
                }
                Ok(None) => break Ok(()),
                Err(error) => break Err(error.into()),
            }
        };
        drop(frames);
        self.framer = framer;
        kept.flush(output)?;
        result
    }

    fn end(&mut self, output: &mut Output<'_>) -> Result<(), BoxError> {
        let mut framer = std::mem::take(&mut self.framer);
        let mut unended = false;
        if let Some(frame) = framer.finish()? {
            unended = !frame.is_blank();
            let nothing = Bytes::new();
            let mut kept = Kept::of(&nothing);
            self.frame(frame, &mut kept, output)?;
            kept.flush(output)?;
        }
        self.release(output)?;
        if self.state == State::Open && self.policy != NormalizePolicy::Observe {
            let thought = self.events.held();
            if !thought.is_empty() && std::mem::take(&mut unended) {
                output.push(Bytes::from_static(b"\n\n"))?;
            }
            output.push(thought)?;
        }
        if self.state != State::Open || !self.events.is_finished() || self.events.are_openais() {
            return Ok(());
        }
        let mut repairs = Repairs::default();
        repairs.add(Repair::Done);
        let closing = self.closing(repairs);
        if self.policy == NormalizePolicy::Observe {
            return Ok(());
        }
        if unended {
            output.push(Bytes::from_static(b"\n\n"))?;
        }
        output.push(closing)?;
        if self.state == State::Failed {
            return Ok(());
        }
        output.push(Bytes::from_static(DONE))
    }

    /// What came of an unfinished event is the caller's all the same.
    fn fail(&mut self, error: BoxError, output: &mut Output<'_>) -> BoxError {
        let _ = self.release(output);
        if self.policy != NormalizePolicy::Observe {
            let _ = output.push(self.events.held());
        }
        if self.state != State::Failed
            && let Ok(Some(frame)) = self.framer.finish()
        {
            let _ = output.push(frame.to_bytes());
        }
        error
    }
}

impl Step {
    fn refused(fault: impl std::fmt::Display) -> Self {
        Self {
            own: Edited::Drop,
            failure: Some(errors::nonconformant(fault).to_event(Dialect::OpenAi)),
        }
    }
}
