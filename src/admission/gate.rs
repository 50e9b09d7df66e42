//! One key's limit as concurrent requests share it.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering::Relaxed},
    task::{Context, Poll},
};

use tokio::{sync::oneshot, time::Instant};

use super::{
    KeyState, Limits, Priority,
    counts::{Seat, Totals},
    gradient::{Gradient, Sample},
    state::{Place, State},
};
use crate::timer::Timer;

#[derive(Debug)]
pub(super) struct Gate {
    /// Held for a look at a tree of those who wait. Nothing is woken or dropped under it that could come back for it.
    inner: Mutex<Inner>,
    totals: Arc<Totals>,
}

#[derive(Debug)]
struct Inner {
    state: State<Waiter>,
    limits: Limits,
    gradient: Option<Gradient>,
}

/// One that waits: where its permit is handed to, and its share of the bound on all who wait.
#[derive(Debug)]
struct Waiter {
    turn: oneshot::Sender<Turn>,
    seat: Seat,
}

type Turn = Result<Permit, Shed>;

/// Why a request is not admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shed {
    Full,
    Displaced,
    Late,
}

/// The right to be in flight. Whatever becomes of it, wherever it is dropped (even on its way to one who has just left), the next in
/// line gets it.
#[derive(Debug)]
#[must_use]
pub(super) struct Permit {
    gate: Option<Arc<Gate>>,
    /// Where the limit adapts itself.
    since: Option<Instant>,
}

/// A wait in line. Dropping it leaves the line.
#[derive(Debug)]
pub(super) struct Waiting {
    gate: Arc<Gate>,
    place: Option<Place>,
    turn: oneshot::Receiver<Turn>,
    until: Timer,
}

/// What becomes of a newcomer.
#[derive(Debug)]
pub(super) enum Asked {
    Admitted(Permit),
    Waits(Waiting),
    Shed(Shed),
}

impl Gate {
    pub(super) fn new(limits: Limits, gradient: Option<Gradient>, totals: &Arc<Totals>) -> Self {
        Self {
            inner: Mutex::new(Inner {
                state: State::new(),
                limits,
                gradient,
            }),
            totals: Arc::clone(totals),
        }
    }

    /// Admits one of `priority`, or puts it in line until `until` says.
    pub(super) fn ask(
        self: &Arc<Self>,
        priority: Priority,
        until: impl FnOnce() -> Instant,
    ) -> Asked {
        let mut inner = self.lock();
        let limit = inner.limit();
        if inner.state.admit(limit) {
            let adapts = inner.gradient.is_some();
            drop(inner);
            return Asked::Admitted(Permit::new(self, adapts));
        }
        let has_place = inner.state.waiting() < inner.limits.pending;
        let seat = has_place.then(|| self.totals.seat()).flatten();
        let (seat, displaced) = if let Some(seat) = seat {
            (seat, None)
        } else if let Some(Waiter { turn, seat }) = inner.state.displace(priority) {
            (seat, Some(turn))
        } else {
            drop(inner);
            self.totals.full.fetch_add(1, Relaxed);
            return Asked::Shed(Shed::Full);
        };
        let (sender, turn) = oneshot::channel();
        let waiter = Waiter { turn: sender, seat };
        let place = inner.state.join(priority, waiter);
        drop(inner);
        if let Some(displaced) = displaced {
            self.totals.displaced.fetch_add(1, Relaxed);
            // Whoever has just left needs no answer.
            let _ = displaced.send(Err(Shed::Displaced));
        }
        Asked::Waits(Waiting {
            gate: Arc::clone(self),
            place: Some(place),
            turn,
            until: Timer::until(until()),
        })
    }

    pub(super) fn set_limits(self: &Arc<Self>, limits: Limits) {
        let mut inner = self.lock();
        inner.limits = limits;
        if let Some(gradient) = &mut inner.gradient {
            gradient.set(limits.in_flight);
        }
        drop(inner);
        self.hand_over(false);
    }

    pub(super) fn key_state(&self) -> KeyState {
        let inner = self.lock();
        KeyState {
            in_flight: inner.state.in_flight(),
            waiting: inner.state.waiting(),
            limit: inner.limit(),
        }
    }

    /// Lets in those for whom there is room, after one has ended, if it has. A loop, and not by dropping the permits of those who have
    /// left: however many leave at once, the stack stays as deep as it is.
    fn hand_over(self: &Arc<Self>, mut has_ended: bool) {
        loop {
            let mut inner = self.lock();
            if has_ended {
                inner.state.release();
            }
            let limit = inner.limit();
            let next = inner.state.grant(limit);
            let adapts = inner.gradient.is_some();
            drop(inner);
            let Some(Waiter { turn, seat }) = next else {
                return;
            };
            drop(seat);
            has_ended = match turn.send(Ok(Permit::new(self, adapts))) {
                Err(Ok(permit)) => {
                    permit.forget();
                    true
                }
                Ok(()) | Err(Err(_)) => false,
            };
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn limit(&self) -> usize {
        match &self.gradient {
            Some(gradient) => gradient.limit(),
            None => self.limits.in_flight,
        }
    }
}

impl Permit {
    fn new(gate: &Arc<Gate>, adapts: bool) -> Self {
        gate.totals.in_flight.fetch_add(1, Relaxed);
        gate.totals.admitted.fetch_add(1, Relaxed);
        Self {
            gate: Some(Arc::clone(gate)),
            since: adapts.then(Instant::now),
        }
    }

    /// Tells what came of the request at `at`, where the limit wants to know.
    pub(super) fn observe(&self, now: Instant, sample: impl FnOnce(Instant) -> Option<Sample>) {
        let (Some(gate), Some(since)) = (&self.gate, self.since) else {
            return;
        };
        let Some(sample) = sample(since) else {
            return;
        };
        let mut inner = gate.lock();
        let in_flight = inner.state.in_flight();
        if let Some(gradient) = &mut inner.gradient {
            gradient.sample(now, sample, in_flight);
        }
    }

    /// Counts as never given: its receiver had left.
    fn forget(mut self) {
        if let Some(gate) = self.gate.take() {
            gate.totals.in_flight.fetch_sub(1, Relaxed);
            gate.totals.admitted.fetch_sub(1, Relaxed);
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(gate) = self.gate.take() {
            gate.totals.in_flight.fetch_sub(1, Relaxed);
            gate.hand_over(true);
        }
    }
}

impl Waiting {
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Turn> {
        if let Poll::Ready(turn) = Pin::new(&mut self.turn).poll(cx) {
            self.place = None;
            // The sender leaves the line only to say whose turn it is.
            return Poll::Ready(turn.unwrap_or(Err(Shed::Full)));
        }
        // Who is out of line when the time is over was called at this very moment.
        if self.until.poll(cx).is_ready() && self.leave() {
            self.gate.totals.late.fetch_add(1, Relaxed);
            return Poll::Ready(Err(Shed::Late));
        }
        Poll::Pending
    }

    /// Whether it was in line still.
    fn leave(&mut self) -> bool {
        let Some(place) = self.place.take() else {
            return false;
        };
        let left = self.gate.lock().state.leave(place);
        left.is_some()
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.leave();
    }
}
