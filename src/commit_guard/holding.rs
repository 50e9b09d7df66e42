//! An answer of which nothing has been handed on yet.

use std::{
    ops::ControlFlow,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body::Body;
use tokio::time::Instant;

use super::{
    framing::Framing,
    layer::Shared,
    state::{Commit, Held, Limits},
    tail::Tail,
    verdict::Trouble,
};
use crate::message::{
    Alarm, Deadline, Dialect, End, Failure, FellSilent, HeldBytes, Media, Outcome, ResponseBody,
    Seen, Silence, Verdict, transform,
};

/// What is to be known of the request when its answer comes.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) shared: Arc<Shared>,
    pub(super) limits: Limits,
    pub(super) dialect: Dialect,
    pub(super) first_token_by: Option<Instant>,
    /// Whether a stream was asked for, so that the first token is waited for before there is a head.
    pub(super) wants_stream: bool,
}

impl Call {
    /// An answer that is not held, with no more silence than any other.
    pub(super) fn pass(
        &self,
        response: Response<ResponseBody>,
        alarm: Alarm,
    ) -> Response<ResponseBody> {
        if self.limits.idle.is_zero() || response.body().is_end_stream() {
            return response;
        }
        // Of whatever form: its status has said that it is no stream to be ended well.
        transform(response, Tail::of(self, Media::Opaque, alarm))
    }
}

/// Reads an answer ahead until it is worth handing on, or known not to be.
#[derive(Debug)]
pub(super) struct Holding {
    call: Call,
    /// Taken when it is decided.
    response: Option<Response<ResponseBody>>,
    media: Media,
    framing: Framing,
    held: Held,
    /// This answer's part of what all together hold, and whether it could have no more.
    share: HeldBytes,
    is_share_spent: bool,
    silence: Silence,
    /// As a layer further in found, which read it to its end.
    fell_silent: bool,
    alarm: Alarm,
    commit_by: Option<Instant>,
}

/// What is to become of an answer.
enum Decision {
    HandOn(Option<Commit>, Option<Outcome>),
    Refuse(Trouble),
}

impl Holding {
    /// Whether an answer is held at all: one that succeeded, as far as its head tells, and has a body.
    pub(super) fn wants(response: &Response<ResponseBody>) -> bool {
        let status = response.status();
        let has_none = matches!(status, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT);
        status.is_success() && !has_none
    }

    pub(super) fn new(call: Call, response: Response<ResponseBody>, alarm: Alarm) -> Self {
        let mut response = response.map(ResponseBody::watched);
        let fell_silent = response.extensions_mut().remove::<FellSilent>().is_some();
        let media = response.body().source_media();
        let mut holding = Self {
            media,
            framing: Framing::of(media),
            held: Held::default(),
            share: call.shared.held.hold(),
            is_share_spent: false,
            silence: Silence::new(call.limits.idle),
            fell_silent,
            alarm,
            commit_by: None,
            response: None,
            call,
        };
        // A layer further in may have had to read it, too.
        for data in response.body().read_so_far() {
            holding.take(data);
        }
        holding.response = Some(response);
        holding
    }

    fn is_stream(&self) -> bool {
        matches!(self.media, Media::EventStream | Media::JsonLines)
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Response<ResponseBody>> {
        let decision = ready!(self.poll_decision(cx));
        // What was decided on is gone; a future that has answered is never polled again.
        let Some(response) = self.response.take() else {
            return Poll::Pending;
        };
        Poll::Ready(match decision {
            Decision::Refuse(trouble) => trouble.replace(response, self.call.dialect),
            Decision::HandOn(commit, outcome) => self.hand_on(response, commit, outcome),
        })
    }

    fn poll_decision(&mut self, cx: &mut Context<'_>) -> Poll<Decision> {
        if self.fell_silent {
            return Poll::Ready(Decision::Refuse(Trouble::Idle));
        }
        let bounds = self.call.shared.bounds;
        let Some(response) = &mut self.response else {
            return Poll::Pending;
        };
        // One that says that it is longer than is held need not be begun.
        let is_long = response.body().size_hint().lower() > bounds.bytes;
        if is_long && self.media == Media::Json {
            return Poll::Ready(Decision::HandOn(Some(Commit::Bytes), None));
        }
        // What a layer further in has read may be enough.
        if !self.held.is_empty()
            && let Some(decision) = self.decide(false)
        {
            return Poll::Ready(decision);
        }
        loop {
            let Some(response) = &mut self.response else {
                return Poll::Pending;
            };
            let Poll::Ready(data) = response.body_mut().poll_ahead(cx) else {
                break;
            };
            if let Some(data) = &data {
                self.take(data);
            }
            if let Some(decision) = self.decide(data.is_none()) {
                return Poll::Ready(decision);
            }
        }
        self.wait(cx)
    }

    fn take(&mut self, data: &Bytes) {
        let comments_count = self.call.shared.comments_count;
        let mut events = 0;
        let mut heard = matches!(self.framing, Framing::Bytes);
        self.framing.each(data, |piece| {
            events += u32::from(!piece.is_silent);
            heard |= comments_count || !piece.is_silent;
            ControlFlow::<()>::Continue(())
        });
        let counted = self.held.add(data, events);
        self.is_share_spent |= !self.share.grow(counted);
        if heard {
            self.silence.break_off();
        }
    }

    /// Decides by what was read, if that is enough.
    fn decide(&self, ended: bool) -> Option<Decision> {
        let seen = self.response.as_ref()?.body().seen()?;
        if let Some(error) = seen.error {
            return Some(Decision::Refuse(Trouble::Stated(Box::new(error.clone()))));
        }
        match seen.end {
            Some(End::Complete) if self.media != Media::Opaque => return Some(self.whole(&seen)),
            Some(End::Failed(Failure::Truncated)) if self.held.is_empty() => {
                return Some(Decision::Refuse(Trouble::Empty));
            }
            Some(End::Failed(failure)) => return Some(Decision::Refuse(Trouble::of(failure))),
            _ => {}
        }
        let has_begun = match self.media {
            Media::EventStream | Media::JsonLines => seen.output,
            Media::Json => false,
            Media::Opaque => true,
        };
        if ended || has_begun {
            return Some(Decision::HandOn(None, None));
        }
        let full = self.held.full(&self.call.shared.bounds);
        let full = full.or(self.is_share_spent.then_some(Commit::Held));
        full.map(|bound| Decision::HandOn(Some(bound), None))
    }

    /// Decides on an answer that came to its end before it was handed on.
    fn whole(&self, seen: &Seen<'_>) -> Decision {
        let finish = seen.finish_reason.and_then(Outcome::of_finish_reason);
        if let Some(outcome) = finish.filter(|outcome| outcome.verdict() == Verdict::Failure) {
            return Decision::Refuse(Trouble::Finish(outcome));
        }
        let says_nothing = match self.media {
            // `[DONE]` and no more.
            Media::EventStream => {
                let is_said = seen.output || seen.usage || seen.finish_reason.is_some();
                !is_said && self.held.events() <= 1
            }
            _ => self.held.is_empty(),
        };
        let trouble = if says_nothing {
            Some(Trouble::Empty)
        } else {
            let is_cut = self.media == Media::Json && !self.held.looks_whole();
            is_cut.then_some(Trouble::NotJson)
        };
        trouble.map_or(Decision::HandOn(None, finish), Decision::Refuse)
    }

    /// Waits for more, as long as there is time.
    fn wait(&mut self, cx: &mut Context<'_>) -> Poll<Decision> {
        let idle = self.silence.wait();
        let (first_token, commit) = if self.is_stream() {
            let time = self.call.shared.bounds.time;
            let commit = *self
                .commit_by
                .get_or_insert_with(|| Deadline::after(time).instant());
            (self.call.first_token_by, Some(commit))
        } else {
            (None, None)
        };
        let Some(due) = [first_token, idle, commit].into_iter().flatten().min() else {
            return Poll::Pending;
        };
        ready!(self.alarm.poll(due, cx));
        Poll::Ready(if first_token == Some(due) {
            Decision::Refuse(Trouble::FirstToken)
        } else if idle == Some(due) {
            Decision::Refuse(Trouble::Idle)
        } else {
            Decision::HandOn(Some(Commit::Time), None)
        })
    }

    fn hand_on(
        &mut self,
        mut response: Response<ResponseBody>,
        commit: Option<Commit>,
        outcome: Option<Outcome>,
    ) -> Response<ResponseBody> {
        if let Some(commit) = commit {
            tracing::debug!(bound = commit.as_str(), "committed before any output");
            response.extensions_mut().insert(commit);
        }
        if let Some(outcome) = outcome {
            response.extensions_mut().insert(outcome);
        }
        let is_whole = !self.is_stream()
            && response
                .body()
                .seen()
                .is_some_and(|seen| seen.end.is_some());
        if is_whole || (!self.is_stream() && self.call.limits.idle.is_zero()) {
            return response;
        }
        let media = response.body().media();
        let alarm = std::mem::take(&mut self.alarm);
        let tail = Tail::of(&self.call, media, alarm);
        transform(response, tail)
    }
}
