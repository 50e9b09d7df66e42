//! One of those who wait for the answer of a flight.

use std::{
    error::Error,
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Response, response::Parts};
use http_body::{Body, Frame, SizeHint};

use super::{
    flight::{Flight, Head, State},
    head::SharedHead,
};
use crate::message::{BodyError, BoxError, ResponseBody};

/// A place aboard a flight, until it is dropped.
pub(super) struct Member {
    flight: Arc<Flight>,
    seat: usize,
    role: Role,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Its request is the one that was sent.
    Leader,
    Follower,
}

/// What is known once there is a head, or none for all.
pub(super) enum Boarded {
    /// The leader's head, whole.
    Leader(Box<Parts>, Arc<SharedHead>),
    Follower(Arc<SharedHead>),
    /// The leader's alone; `None` where its service failed of itself.
    Own(Option<Box<Response<ResponseBody>>>),
    /// Followers ask for themselves.
    Released,
}

impl Member {
    pub(super) fn new(flight: Arc<Flight>, seat: usize, role: Role) -> Self {
        Self { flight, seat, role }
    }

    pub(super) fn flight(&self) -> &Arc<Flight> {
        &self.flight
    }

    /// Waits for the head.
    pub(super) fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Boarded> {
        loop {
            let mut state = self.flight.state();
            let is_leader = self.role == Role::Leader;
            match &mut state.head {
                Head::Known(parts, head) => {
                    let head = Arc::clone(head);
                    let parts = if is_leader { parts.take() } else { None };
                    return Poll::Ready(match parts {
                        Some(parts) => Boarded::Leader(parts, head),
                        None => Boarded::Follower(head),
                    });
                }
                Head::Own(response) if is_leader => {
                    return Poll::Ready(Boarded::Own(response.take()));
                }
                Head::Own(_) => return Poll::Ready(Boarded::Released),
                Head::Awaited => {}
            }
            ready!(self.flight.drive(state, self.seat, cx));
        }
    }

    /// The body of the answer, whose head is known.
    pub(super) fn body(self, length: Option<u64>) -> SharedBody {
        SharedBody {
            member: self,
            left: length,
            is_over: false,
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.flight.leave(self.seat);
    }
}

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Member")
            .field("flight", &self.flight)
            .field("role", &self.role)
            .finish_non_exhaustive()
    }
}

/// The answer's body from its beginning, read at one's own pace.
pub(super) struct SharedBody {
    member: Member,
    /// Bytes that are still to come, where that is known.
    left: Option<u64>,
    is_over: bool,
}

impl SharedBody {
    /// Ends it with what is known of the answer's end.
    fn finish(
        &mut self,
        end: Option<Frame<Bytes>>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.is_over = true;
        Poll::Ready(end.map(Ok))
    }

    fn give(&mut self, piece: Bytes, ends: bool) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.is_over = ends;
        if let Some(left) = &mut self.left {
            *left = left.saturating_sub(piece.len() as u64);
        }
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }
}

/// Whether nothing comes after the piece before `at`.
fn ends_at(state: &State, at: usize) -> bool {
    matches!(state.end, Some(Ok(()))) && state.trailers.is_none() && at == state.log.end()
}

impl Body for SharedBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        let flight = Arc::clone(&self.member.flight);
        let number = self.member.seat;
        loop {
            let mut state = flight.state();
            let Some(at) = state.seat(number).map(|seat| seat.at) else {
                return self.finish(None);
            };
            if at < state.log.start() {
                drop(state);
                self.is_over = true;
                return Poll::Ready(Some(Err(BehindError.into())));
            }
            if let Some(piece) = state.log.get(at).cloned() {
                if let Some(seat) = state.seat(number) {
                    seat.at += 1;
                }
                let was_waited_for = !state.log.is_whole();
                state.trim();
                let ends = ends_at(&state, at + 1);
                drop(state);
                if was_waited_for {
                    flight.wake_all(Some(number));
                }
                return self.give(piece, ends);
            }
            match &state.end {
                Some(Ok(())) => {
                    let trailers = state.trailers.clone().map(Frame::trailers);
                    drop(state);
                    return self.finish(trailers);
                }
                Some(Err(error)) => {
                    let error = SharedError(Arc::clone(error));
                    drop(state);
                    self.is_over = true;
                    return Poll::Ready(Some(Err(error.into())));
                }
                None => {}
            }
            let piece = if state.waits_for_leader() {
                ready!(Flight::wait(state, number, cx))
            } else {
                ready!(flight.drive(state, number, cx))
            };
            if let Some(piece) = piece {
                let ends = ends_at(&flight.state(), at + 1);
                return self.give(piece, ends);
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.is_over
    }

    fn size_hint(&self) -> SizeHint {
        match self.left {
            _ if self.is_over => SizeHint::with_exact(0),
            Some(left) => SizeHint::with_exact(left),
            None => SizeHint::default(),
        }
    }
}

/// What broke an answer, for all who read it.
#[derive(Debug, Clone)]
struct SharedError(Arc<BodyError>);

impl fmt::Display for SharedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for SharedError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.0)
    }
}

/// One who reads so slowly that what comes next is no longer held.
#[derive(Debug, thiserror::Error)]
#[error("the answer is longer than is held, and was read too slowly to be shared")]
struct BehindError;
