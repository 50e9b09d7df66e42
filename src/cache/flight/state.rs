//! What is known of an answer that is shared, and where those are who read it.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Weak},
    task::{Context, Waker},
};

use bytes::Bytes;
use http::{HeaderMap, Response, response::Parts};
use http_body::Body;

use super::Flight;
use crate::{
    cache::{head::SharedHead, log::Log},
    message::{BodyError, Completion, OpenLine, ResponseBody},
};

/// The answer, or `None` where the service failed of itself: whoever called knows why.
pub(in crate::cache) type Call =
    Pin<Box<dyn Future<Output = Option<Response<ResponseBody>>> + Send>>;

pub(in crate::cache) struct State {
    pub(super) driver: Driver,
    /// The driver was woken while it was polled.
    pub(super) is_woken: bool,
    pub(in crate::cache) head: Head,
    pub(in crate::cache) log: Log,
    pub(in crate::cache) trailers: Option<HeaderMap>,
    pub(in crate::cache) end: Option<Result<(), Arc<BodyError>>>,
    pub(super) completion: Option<Completion>,
    pub(in crate::cache) seats: Vec<Option<Seat>>,
    /// Nobody may join any more.
    pub(super) is_closed: bool,
    pub(super) is_unlisted: bool,
    /// The bill of the request that began it stays open though its caller has left.
    pub(super) line: Option<OpenLine>,
}

/// Where one of those who wait is.
pub(in crate::cache) struct Seat {
    pub(in crate::cache) waker: Option<Waker>,
    /// The number of the piece that comes next.
    pub(in crate::cache) at: usize,
    pub(in crate::cache) is_leader: bool,
}

#[derive(Default)]
pub(super) enum Driver {
    /// It is being polled, or there is nothing left to drive.
    #[default]
    None,
    Call(Call),
    Body(Box<ResponseBody>),
}

pub(in crate::cache) enum Head {
    Awaited,
    /// The leader's, whole, until it is taken; and that of all others.
    Known(Option<Box<Parts>>, Arc<SharedHead>),
    /// There is none that is for all: the others ask for themselves. The leader's answer is its own, where there is one.
    Own(Option<Box<Response<ResponseBody>>>),
}

impl State {
    pub(in crate::cache) fn seat(&mut self, number: usize) -> Option<&mut Seat> {
        self.seats.get_mut(number)?.as_mut()
    }

    pub(super) fn wake_by(&mut self, number: usize, cx: &Context<'_>) {
        if let Some(seat) = self.seat(number) {
            match &mut seat.waker {
                Some(waker) => waker.clone_from(cx.waker()),
                waker => *waker = Some(cx.waker().clone()),
            }
        }
    }

    /// Whether the leader has to read on first, or what it needs next would be lost.
    pub(in crate::cache) fn waits_for_leader(&self) -> bool {
        let start = self.log.start();
        self.log.is_full()
            && (self.seats.iter().flatten()).any(|seat| seat.is_leader && seat.at <= start)
    }

    /// Lets go of what nobody needs, where not all is kept.
    pub(in crate::cache) fn trim(&mut self) {
        if !self.log.is_whole() {
            let seats = || self.seats.iter().flatten();
            let read = seats().map(|seat| seat.at).min();
            let led = seats()
                .filter(|seat| seat.is_leader)
                .map(|seat| seat.at)
                .min();
            self.log
                .trim(read.unwrap_or(usize::MAX), led.unwrap_or(usize::MAX));
        }
    }

    /// The answer, where it is one that may be kept and all of it is there.
    pub(super) fn whole(&self) -> Option<(Arc<SharedHead>, Vec<Bytes>)> {
        let Head::Known(_, head) = &self.head else {
            return None;
        };
        let is_kept = head.may_be_kept() && self.log.is_whole();
        is_kept.then(|| (Arc::clone(head), self.log.pieces().cloned().collect()))
    }

    /// Takes in the head of the answer. Whether others may still join.
    pub(super) fn answered(
        &mut self,
        response: Response<ResponseBody>,
        flight: &Arc<Flight>,
    ) -> bool {
        let max = flight.shared.max_answer as u64;
        let declared = response.body().size_hint().lower();
        if SharedHead::is_callers_own(&response) || declared > max {
            self.head = Head::Own(Some(Box::new(response)));
            return false;
        }
        let head = SharedHead::of(&response);
        let is_success = head.is_success();
        let weak: Weak<Flight> = Arc::downgrade(flight);
        let (parts, body) = response.into_parts();
        let body = body.on_end(move |completion| {
            if let Some(flight) = weak.upgrade() {
                flight.ended(completion);
            }
        });
        self.head = Head::Known(Some(Box::new(parts)), Arc::new(head));
        if body.is_end_stream() {
            // The callback must not find the state locked: it is dropped as a body of its own, by whoever drives.
            self.end = Some(Ok(()));
        }
        self.driver = Driver::Body(Box::new(body));
        is_success
    }
}
