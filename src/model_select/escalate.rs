//! A second model, where the first had not enough room or gave an answer that will not do.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    sync::Arc,
};

use http::{Request, Response};
use tower_service::Service;

use super::{
    Answer,
    choose::Choice,
    layer::{Escalation, Selected, Shared, note},
};
use crate::{
    message::{
        self, Deadline, Gather, Media, Outcome, RequestBody, ResponseBody, Selection, classify,
        copy,
    },
    reserve::{AttemptLimit, Attempts},
};

/// The answer, and what was chosen for it where that is not what was chosen first.
pub(super) type Rest<E> =
    Pin<Box<dyn Future<Output = Result<(Response<ResponseBody>, Option<Selected>), E>> + Send>>;

/// What it takes to try another model.
pub(super) struct Again<S> {
    pub(super) service: S,
    pub(super) shared: Arc<Shared>,
    /// As it was sent first.
    pub(super) request: Request<RequestBody>,
    pub(super) selected: Selected,
}

impl<S> Again<S> {
    /// Whether the head of the first answer leaves it open that another model is tried.
    pub(super) fn may_follow(&self, response: &Response<ResponseBody>) -> bool {
        let Some(escalation) = &self.shared.escalation else {
            return false;
        };
        match Outcome::of_head(response) {
            Some(Outcome::Success) => escalation.reads(response),
            Some(outcome) => escalation.on_context && outcome == Outcome::ContextTooLong,
            None => escalation.on_context,
        }
    }
}

impl Escalation {
    /// Whether it looks into the body of a successful answer.
    fn reads(&self, response: &Response<ResponseBody>) -> bool {
        let is_read = match response.body().source_media() {
            Media::Json => true,
            Media::EventStream => self.streams,
            Media::JsonLines | Media::Opaque => false,
        };
        is_read && !self.checks.is_empty()
    }
}

impl<S> Again<S>
where
    S: Service<Request<RequestBody>, Response = Response<ResponseBody>>,
{
    /// Looks at the first answer, and tries another model if need be; the first answer stands where that does no better.
    pub(super) async fn run(
        mut self: Box<Self>,
        first: Response<ResponseBody>,
    ) -> Result<(Response<ResponseBody>, Option<Selected>), S::Error> {
        let (mut first, fault) = look(&self.shared, self.request.body(), first).await;
        let Some(fault) = fault else {
            return Ok((first, None));
        };
        let is_long = fault == CONTEXT;
        let Some(choice) = self.shared.next(&self.selected, &self.request, is_long) else {
            return Ok((first, None));
        };
        let extensions = self.request.extensions();
        let is_late = Deadline::of(extensions).is_some_and(|end| end.remaining().is_zero());
        let may_try = AttemptLimit::of(extensions).is_none_or(AttemptLimit::take);
        if is_late || !may_try {
            return Ok((first, None));
        }
        let selected = self.escalated(choice, fault);
        let Some(request) = self.next_request(&selected) else {
            return Ok((first, None));
        };
        if poll_fn(|cx| self.service.poll_ready(cx)).await.is_err() {
            return Ok((first, None));
        }
        let Ok(second) = self.service.call(request).await else {
            return Ok((first, None));
        };
        let mut second = classify(second).await;
        let outcome = Outcome::of(&second).unwrap_or(Outcome::Success);
        let mut attempts = Attempts::default();
        if outcome != Outcome::Success {
            attempts.push(&mut second, outcome);
            attempts.note(&mut first);
            return Ok((first, None));
        }
        let failed = Outcome::of(&first).unwrap_or(Outcome::Success);
        attempts.push(&mut first, failed);
        attempts.note(&mut second);
        self.shared.keep(selected.conversation, &selected.choice);
        Ok((second, Some(selected)))
    }

    fn escalated(&self, choice: Choice, fault: &str) -> Selected {
        let first = &self.selected.selection;
        let reason = format!("{}; escalated from {}: {fault}", first.reason, first.model);
        Selected {
            selection: Selection::new(Arc::clone(&choice.model), Arc::clone(&first.complexity))
                .because(reason),
            choice,
            ..self.selected.clone()
        }
    }

    fn next_request(&self, selected: &Selected) -> Option<Request<RequestBody>> {
        let body = self.request.body().try_clone()?;
        let mut request = copy(&self.request, body);
        message::edit(&mut request, |edit| {
            edit.set("model", &*selected.selection.model);
        })
        .ok()?;
        note(&selected.selection, &mut request);
        Some(request)
    }
}

/// What is wrong with the first answer, which is as good as new.
async fn look(
    shared: &Shared,
    request: &RequestBody,
    first: Response<ResponseBody>,
) -> (Response<ResponseBody>, Option<&'static str>) {
    let Some(escalation) = &shared.escalation else {
        return (first, None);
    };
    let first = classify(first).await;
    match Outcome::of(&first) {
        Some(Outcome::ContextTooLong) if escalation.on_context => (first, Some(CONTEXT)),
        Some(Outcome::Success) | None if escalation.reads(&first) => {
            let (head, body) = first.into_parts();
            let media = body.source_media();
            let (body, text) = read_ahead(body, escalation).await;
            let answer = text.and_then(|text| match media {
                Media::EventStream => Answer::read_events(&text),
                _ => Answer::read(&text),
            });
            let fault = answer.and_then(|answer| {
                let mut checks = escalation.checks.iter();
                checks.find_map(|check| check.fault(request, &answer))
            });
            (Response::from_parts(head, body), fault)
        }
        _ => (first, None),
    }
}

/// The fault of a request that was too long.
const CONTEXT: &str = "context_too_long";

/// Reads the body ahead of the caller; its text, where it is whole and within the bounds. A stream that has said its last word is whole, though its
/// upstream may leave it open.
async fn read_ahead(
    body: ResponseBody,
    escalation: &Escalation,
) -> (ResponseBody, Option<bytes::Bytes>) {
    let mut body = body.watched();
    let mut held = escalation.held.hold();
    let (mut text, mut read, mut place) = (Gather::default(), 0, 0);
    let is_whole = loop {
        let next = poll_fn(|cx| body.poll_ahead_from(&mut place, cx));
        let Some(data) = next.await else {
            break !body.is_broken_ahead();
        };
        // Empty frames must come to an end too.
        let bytes = (data.len() as u64).max(64);
        read += bytes;
        if read > escalation.max_answer || !held.grow(bytes) {
            break false;
        }
        text.push(data, 0);
        if body.seen().is_some_and(|seen| seen.end.is_some()) {
            break true;
        }
    };
    // They are held until the answer is gone.
    let body = body.on_end(move |_| drop(held));
    (body, is_whole.then(|| text.take()))
}
