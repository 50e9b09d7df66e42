//! One call, and all who wait for its answer.
//!
//! Nobody owns the call: whoever is polled and finds that more is needed drives it, for one poll, and then puts it back. So nothing is spawned,
//! whoever leaves takes nothing along, and the call ends when the last of them has left.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    task::{Context, Poll, Wake, Waker},
};

use bytes::Bytes;
use http::{HeaderMap, Response, response::Parts};
use http_body::Body;

use super::{
    CacheKey,
    head::SharedHead,
    layer::Shared,
    log::Log,
    member::{Member, Role},
};
use crate::message::{Bill, BodyError, Completion, OpenLine, ResponseBody, catalog::Cost};

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

/// The answer, or `None` where the service failed of itself: whoever called knows why.
pub(super) type Call = Pin<Box<dyn Future<Output = Option<Response<ResponseBody>>> + Send>>;

pub(super) struct State {
    driver: Driver,
    /// The driver was woken while it was polled.
    is_woken: bool,
    pub(super) head: Head,
    pub(super) log: Log,
    pub(super) trailers: Option<HeaderMap>,
    pub(super) end: Option<Result<(), Arc<BodyError>>>,
    completion: Option<Completion>,
    pub(super) seats: Vec<Option<Seat>>,
    /// Nobody may join any more.
    is_closed: bool,
    is_unlisted: bool,
    /// The bill of the request that began it stays open though its caller has left.
    line: Option<OpenLine>,
}

/// Where one of those who wait is.
pub(super) struct Seat {
    pub(super) waker: Option<Waker>,
    /// The number of the piece that comes next.
    pub(super) at: usize,
    pub(super) is_leader: bool,
}

#[derive(Default)]
enum Driver {
    /// It is being polled, or there is nothing left to drive.
    #[default]
    None,
    Call(Call),
    Body(Box<ResponseBody>),
}

pub(super) enum Head {
    Awaited,
    /// The leader's, whole, until it is taken; and that of all others.
    Known(Option<Box<Parts>>, Arc<SharedHead>),
    /// There is none that is for all: the others ask for themselves. The leader's answer is its own, where there is one.
    Own(Option<Box<Response<ResponseBody>>>),
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

impl State {
    pub(super) fn seat(&mut self, number: usize) -> Option<&mut Seat> {
        self.seats.get_mut(number)?.as_mut()
    }

    fn wake_by(&mut self, number: usize, cx: &Context<'_>) {
        if let Some(seat) = self.seat(number) {
            match &mut seat.waker {
                Some(waker) => waker.clone_from(cx.waker()),
                waker => *waker = Some(cx.waker().clone()),
            }
        }
    }

    /// Whether the leader has to read on first, or what it needs next would be lost.
    pub(super) fn waits_for_leader(&self) -> bool {
        let start = self.log.start();
        self.log.is_full()
            && (self.seats.iter().flatten()).any(|seat| seat.is_leader && seat.at <= start)
    }

    /// Lets go of what nobody needs, where not all is kept.
    pub(super) fn trim(&mut self) {
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
    fn whole(&self) -> Option<(Arc<SharedHead>, Vec<Bytes>)> {
        let Head::Known(_, head) = &self.head else {
            return None;
        };
        let is_kept = head.may_be_kept() && self.log.is_whole();
        is_kept.then(|| (Arc::clone(head), self.log.pieces().cloned().collect()))
    }

    /// Takes in the head of the answer. Whether others may still join.
    fn answered(&mut self, response: Response<ResponseBody>, flight: &Arc<Flight>) -> bool {
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

/// What one poll of the driver brought.
enum Step {
    Pending,
    Answered(Option<Response<ResponseBody>>),
    Data(Bytes),
    Trailers(HeaderMap),
    Ended(Result<(), BodyError>),
}

/// The call, taken out to be polled. If that panics, the flight is over for all.
struct Driving<'a> {
    flight: &'a Arc<Flight>,
    driver: Driver,
    /// What it waits for wakes everyone.
    wakes_all: bool,
}

impl Driving<'_> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Step {
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
    fn put_back(mut self, step: Step, polling: usize, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
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
