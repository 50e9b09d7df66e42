//! One call, and all who wait for its answer.
//!
//! Nobody owns the call: whoever is polled and finds that more is needed drives it, for one poll, and then puts it back. So nothing is spawned,
//! whoever leaves takes nothing along, and the call ends when the last of them has left.

mod driving;
mod state;

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Wake, Waker},
};

use bytes::Bytes;

pub(super) use self::state::{Call, Head, State};
use self::{
    driving::Driving,
    state::{Driver, Seat},
};
use super::{
    CacheKey,
    layer::Shared,
    log::Log,
    member::{Member, Role},
};
use crate::message::{Bill, Completion, catalog::Cost};

/// A call whose answer is shared.
pub(super) struct Flight {
    pub(super) shared: Arc<Shared>,
    pub(super) key: CacheKey,
    /// What was purged before it began.
    pub(super) epoch: u64,
    /// Whether it is a stream, where others can find it.
    pub(super) listed: Option<bool>,
    /// The bill of the request that began it, and what stood in it.
    pub(super) bill: Option<(Bill, Billed)>,
    state: Mutex<State>,
}

/// What a bill came to at some time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Billed {
    attempts: u32,
    unpriced: u32,
    cost: Cost,
}

impl Flight {
    /// A flight with its leader aboard, before the call is known.
    pub(super) fn begin(
        shared: &Arc<Shared>,
        key: CacheKey,
        epoch: u64,
        listed: Option<bool>,
        bill: Option<Bill>,
    ) -> (Arc<Self>, Member) {
        let leader = Seat {
            waker: None,
            at: 0,
            is_leader: true,
        };
        let state = State {
            driver: Driver::None,
            is_woken: false,
            head: Head::Awaited,
            log: Log::new(shared.max_answer, &shared.held),
            trailers: None,
            end: None,
            completion: None,
            seats: vec![Some(leader)],
            is_closed: false,
            is_unlisted: false,
            line: None,
        };
        let bill = bill.map(|bill| {
            let billed = Billed::of(&bill);
            (bill, billed)
        });
        let flight = Arc::new(Self {
            shared: Arc::clone(shared),
            key,
            epoch,
            listed,
            bill,
            state: Mutex::new(state),
        });
        let member = Member::new(Arc::clone(&flight), 0, Role::Leader);
        (flight, member)
    }

    /// Sets the call going, once it is polled.
    pub(super) fn launch(&self, call: Call) {
        self.state().driver = Driver::Call(call);
        // Whoever joined in between found nothing to drive.
        self.wake_all(None);
    }

    /// One more who waits; `None` where it is too late, or there is no room.
    pub(super) fn join(self: &Arc<Self>) -> Option<Member> {
        let mut state = self.state();
        let aboard = state.seats.iter().flatten().count();
        if state.is_closed || !state.log.is_whole() || aboard > self.shared.max_followers {
            return None;
        }
        let seat = Seat {
            waker: None,
            at: 0,
            is_leader: false,
        };
        let free = state.seats.iter().position(Option::is_none);
        let number = free.unwrap_or(state.seats.len());
        match state.seats.get_mut(number) {
            Some(free) => *free = Some(seat),
            None => state.seats.push(Some(seat)),
        }
        drop(state);
        Some(Member::new(Arc::clone(self), number, Role::Follower))
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        // Each change is whole before anything can panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Polls the call once, where nobody else does; what came of it is in the state then. Whoever is `polling` is woken for what comes later.
    ///
    /// Pending where there is nothing to read yet.
    pub(super) fn drive(
        self: &Arc<Self>,
        mut state: MutexGuard<'_, State>,
        polling: usize,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Bytes>> {
        state.wake_by(polling, cx);
        let driver = std::mem::take(&mut state.driver);
        if matches!(driver, Driver::None) {
            return Poll::Pending;
        }
        // Of several each must be woken; the only one wakes itself.
        let is_alone = state.seats.iter().flatten().count() == 1;
        state.is_woken = false;
        drop(state);
        let mut driving = Driving {
            flight: self,
            driver,
            wakes_all: !is_alone,
        };
        let all;
        let step = if is_alone {
            driving.poll(cx)
        } else {
            all = Waker::from(Arc::clone(self));
            driving.poll(&mut Context::from_waker(&all))
        };
        driving.put_back(step, polling, cx)
    }

    /// Waits until another has read on.
    pub(super) fn wait(
        mut state: MutexGuard<'_, State>,
        polling: usize,
        cx: &Context<'_>,
    ) -> Poll<Option<Bytes>> {
        state.wake_by(polling, cx);
        Poll::Pending
    }

    /// The answer's end, seen from within its body.
    fn ended(&self, completion: &Completion) {
        self.state().completion = Some(completion.clone());
    }

    /// Keeps what has ended well, once, and takes the flight off the list: whoever comes then finds it kept.
    fn settle(self: &Arc<Self>) {
        let (ended, _line) = {
            let mut state = self.state();
            let completion = state.completion.take();
            let ended = completion.and_then(|completion| Some((completion, state.whole()?)));
            (ended, state.line.take())
        };
        let entry = ended.and_then(|(completion, (head, pieces))| {
            let tool_calls = self.shared.tool_calls;
            head.entry(tool_calls, &completion, pieces.iter(), self.cost())
        });
        if let Some(entry) = entry
            && self.shared.epoch() == self.epoch
        {
            self.shared.keep(&self.key, entry);
        }
        self.unlist();
    }

    fn unlist(self: &Arc<Self>) {
        if self.listed.is_some() && !std::mem::replace(&mut self.state().is_unlisted, true) {
            self.shared.flights.remove(self);
        }
    }

    /// Wakes everyone but `not`.
    pub(super) fn wake_all(&self, not: Option<usize>) {
        let wakers: Vec<Waker> = {
            let mut state = self.state();
            let seats = state.seats.iter_mut().enumerate();
            let others = seats.filter(|(number, _)| Some(*number) != not);
            others
                .filter_map(|(_, seat)| seat.as_mut()?.waker.take())
                .collect()
        };
        wakers.into_iter().for_each(Waker::wake);
    }

    /// One has left. The last takes the call along; if it was the leader, another leads.
    pub(super) fn leave(self: &Arc<Self>, number: usize) {
        let mut state = self.state();
        let left = state.seats.get_mut(number).and_then(Option::take);
        if let Some(next) = state.seats.iter_mut().flatten().next() {
            let was_leader = left.is_some_and(|seat| seat.is_leader);
            next.is_leader |= was_leader;
            if was_leader
                && state.end.is_none()
                && let Some((bill, _)) = &self.bill
            {
                // What its call comes to is still its own.
                state.line = Some(bill.open());
            }
            drop(state);
            // The call may have been about to wake the one who left.
            self.wake_all(None);
            return;
        }
        state.is_closed = true;
        let driver = std::mem::take(&mut state.driver);
        drop(state);
        // What is dropped here may call back.
        drop(driver);
        self.settle();
    }

    /// What the answer cost, where that is known.
    fn cost(&self) -> Option<Cost> {
        let (bill, before) = self.bill.as_ref()?;
        let now = Billed::of(bill);
        (now.attempts > before.attempts && now.unpriced == before.unpriced)
            .then(|| now.cost.saturating_sub(before.cost))
    }
}

impl Billed {
    fn of(bill: &Bill) -> Self {
        Self {
            attempts: bill.attempts(),
            unpriced: bill.unpriced(),
            cost: bill.cost(),
        }
    }
}

impl Wake for Flight {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.state().is_woken = true;
        self.wake_all(None);
    }
}

impl fmt::Debug for Flight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flight")
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}
