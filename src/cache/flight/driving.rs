//! One poll of the call, by whoever waits for it.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, Response};
use http_body::Body;

use super::{Flight, Head, state::Driver};
use crate::message::{BodyError, ResponseBody};

/// What one poll of the driver brought.
pub(super) enum Step {
    Pending,
    Answered(Option<Response<ResponseBody>>),
    Data(Bytes),
    Trailers(HeaderMap),
    Ended(Result<(), BodyError>),
}

/// The call, taken out to be polled. If that panics, the flight is over for all.
pub(super) struct Driving<'a> {
    pub(super) flight: &'a Arc<Flight>,
    pub(super) driver: Driver,
    /// What it waits for wakes everyone.
    pub(super) wakes_all: bool,
}

impl Driving<'_> {
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Step {
        match &mut self.driver {
            Driver::None => Step::Pending,
            Driver::Call(call) => match call.as_mut().poll(cx) {
                Poll::Pending => Step::Pending,
                Poll::Ready(answer) => Step::Answered(answer),
            },
            Driver::Body(body) => match Pin::new(&mut **body).poll_frame(cx) {
                Poll::Pending => Step::Pending,
                Poll::Ready(None) => Step::Ended(Ok(())),
                Poll::Ready(Some(Err(error))) => Step::Ended(Err(error)),
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => Step::Data(data),
                    Err(frame) => Step::Trailers(frame.into_trailers().unwrap_or_default()),
                },
            },
        }
    }

    /// Takes note of what came, and wakes those who wait for it.
    pub(super) fn put_back(
        mut self,
        step: Step,
        polling: usize,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Bytes>> {
        let flight = Arc::clone(self.flight);
        let driver = std::mem::take(&mut self.driver);
        let wakes_all = self.wakes_all;
        drop(self);
        let mut state = flight.state();
        let (mut spent, mut own) = (None, None);
        let (mut settles, mut unlists) = (false, false);
        match step {
            Step::Pending => {
                state.driver = driver;
                let is_woken = std::mem::take(&mut state.is_woken);
                drop(state);
                if is_woken {
                    cx.waker().wake_by_ref();
                }
                if !wakes_all {
                    // Those who joined meanwhile would hear of nothing: let them see to it.
                    flight.wake_all(Some(polling));
                }
                return Poll::Pending;
            }
            Step::Answered(answer) => {
                spent = Some(driver);
                if let Some(response) = answer {
                    unlists = !state.answered(response, &flight);
                } else {
                    state.head = Head::Own(None);
                    unlists = true;
                }
                state.is_closed |= unlists;
                if state.end.is_some() {
                    (spent, settles) = (Some(std::mem::take(&mut state.driver)), true);
                }
            }
            Step::Data(data) => {
                let Driver::Body(body) = &driver else {
                    return Poll::Pending;
                };
                let is_last = body.is_end_stream();
                let end = state.log.end();
                let is_alone = state.seats.iter().flatten().count() == 1;
                let is_read = state.seat(polling).is_some_and(|seat| seat.at == end);
                let was_whole = state.log.is_whole();
                if is_alone && is_read && !state.log.is_whole() {
                    state.log.trim(usize::MAX, usize::MAX);
                    state.log.skip();
                } else {
                    state.log.push(&data);
                }
                if is_read && let Some(seat) = state.seat(polling) {
                    seat.at += 1;
                    own = Some(data);
                }
                state.trim();
                // There is nothing more for others here.
                unlists = was_whole && !state.log.is_whole();
                if is_last {
                    state.end = Some(Ok(()));
                    (spent, settles) = (Some(driver), true);
                } else {
                    state.driver = driver;
                }
            }
            Step::Trailers(trailers) => {
                state.trailers = Some(trailers);
                state.driver = driver;
            }
            Step::Ended(end) => {
                state.end = Some(end.map_err(Arc::new));
                (spent, settles) = (Some(driver), true);
            }
        }
        drop(state);
        // It may call back.
        drop(spent);
        if settles {
            flight.settle();
        } else if unlists {
            flight.unlist();
        }
        flight.wake_all(Some(polling));
        Poll::Ready(own)
    }
}

impl Drop for Driving<'_> {
    fn drop(&mut self) {
        if matches!(self.driver, Driver::None) {
            return;
        }
        // Only a panic leaves it here.
        let mut state = self.flight.state();
        if matches!(state.head, Head::Awaited) {
            state.head = Head::Own(None);
        }
        state.end = Some(Err(Arc::new(BodyError::new("the call panicked"))));
        state.is_closed = true;
        drop(state);
        self.flight.unlist();
        self.flight.wake_all(None);
    }
}
