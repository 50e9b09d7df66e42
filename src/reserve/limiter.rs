//! What keeps the buckets.

use std::{
    fmt,
    future::Future,
    hash::{BuildHasher, RandomState},
    pin::Pin,
    sync::OnceLock,
    task::{Context, Poll},
    time::Duration,
};

use super::{Amounts, Dimension, Level, Limit, MAX_LIMITS, Quota};
use crate::key::Key;

/// A store of buckets: in this process ([`LocalLimiter`](super::LocalLimiter)), or one that several replicas share.
///
/// It has its own clock, so that replicas go by the server's. Reserving is one step for everyone to see, across all limits of a quota.
pub trait Limiter: fmt::Debug + Send + Sync + 'static {
    /// Takes `amounts` from every bucket of `account`, or nothing from any.
    fn reserve(&self, account: &Account, quota: &Quota, amounts: Amounts) -> Answer<Decision>;

    /// Corrects a reservation by what was really used: gives back what is left over, charges what is missing as a debt.
    ///
    /// Called once for each reservation, perhaps from `Drop`: it neither blocks nor waits. A store that is far away queues it for its
    /// [`Worker`](crate::worker::Worker).
    fn settle(&self, settlement: &Settlement<'_>);

    /// What `account` has left, without taking anything.
    fn levels(&self, account: &Account, quota: &Quota) -> Answer<Levels>;

    /// Fills the buckets of `account`.
    fn reset(&self, account: &Account) -> Answer<()>;
}

/// A [`Key`] with its hash, which is computed once for a request. Seeded at random in each process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    hash: u64,
    key: Key,
}

impl Account {
    /// The account of `key`.
    pub fn new(key: Key) -> Self {
        static SEED: OnceLock<RandomState> = OnceLock::new();
        let hash = SEED.get_or_init(RandomState::new).hash_one(&key);
        Self { hash, key }
    }

    /// Whose it is.
    pub fn key(&self) -> &Key {
        &self.key
    }

    pub(super) fn hash_code(&self) -> u64 {
        self.hash
    }
}

impl std::hash::Hash for Account {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

/// A reservation that has come to its end.
#[non_exhaustive]
#[derive(Debug, Clone, Copy)]
pub struct Settlement<'a> {
    /// Whose it was.
    pub account: &'a Account,
    /// By which quota.
    pub quota: &'a Quota,
    /// Where it was taken: [`Decision::place`].
    pub place: Place,
    /// What was reserved.
    pub reserved: Amounts,
    /// What was used.
    pub used: Amounts,
}

/// What came of an attempt to reserve.
#[non_exhaustive]
#[derive(Debug, Clone, Copy)]
pub struct Decision {
    /// Whether everything was taken; otherwise nothing was.
    pub verdict: Verdict,
    /// What is left after that.
    pub levels: Levels,
    /// Whose buckets it was taken from.
    pub place: Place,
}

/// The buckets that a reservation was taken from, so that it is settled with the same.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Place {
    /// The key's own.
    #[default]
    Own,
    /// Those that keys share for which there is no room.
    Shared,
    /// The key's own of what stands in for a store that does not answer.
    StandIn,
    /// The shared ones of that.
    StandInShared,
    /// None: it was admitted without being counted.
    Nowhere,
}

/// Whether a reservation was made.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It was.
    Admitted,
    /// Not now.
    Full {
        /// When there is room for it, if nobody else takes it.
        wait: Duration,
        /// The limit that takes longest, as an index into the quota's.
        limit: usize,
    },
    /// Never: it is more than a limit gives at once.
    TooLarge {
        /// That limit, as an index into the quota's.
        limit: usize,
    },
    /// The store does not answer, and nothing is admitted without it.
    Unavailable {
        /// When it is asked again.
        wait: Duration,
    },
}

impl Decision {
    /// Whether everything was taken.
    pub fn is_admitted(&self) -> bool {
        self.verdict == Verdict::Admitted
    }

    /// Everything was taken, and so much is left.
    pub fn admitted(levels: Levels) -> Self {
        Self {
            verdict: Verdict::Admitted,
            levels,
            place: Place::Own,
        }
    }

    /// What keeps `amounts` from being taken at these levels; for a [`Limiter`] that learns no more from its store.
    pub fn refused(quota: &Quota, levels: Levels, amounts: Amounts) -> Self {
        let mut verdict = Verdict::Full {
            wait: Duration::ZERO,
            limit: 0,
        };
        for (index, (limit, backlog)) in quota.limits().iter().zip(levels.backlogs).enumerate() {
            let amount = amounts.get(limit.dimension());
            match Level::of(*limit, backlog).wait(backlog, amount) {
                None => {
                    verdict = Verdict::TooLarge { limit: index };
                    break;
                }
                Some(longer) => {
                    if let Verdict::Full { wait, .. } = verdict
                        && longer > wait
                        && amount > 0
                    {
                        verdict = Verdict::Full {
                            wait: longer,
                            limit: index,
                        };
                    }
                }
            }
        }
        Self {
            verdict,
            levels,
            place: Place::Own,
        }
    }
}

/// How far the limits of a quota are used up, in their order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Levels {
    backlogs: [u128; MAX_LIMITS],
}

impl Levels {
    /// From the [backlog](super::Bucket::backlog) of each limit.
    pub fn new(backlogs: impl IntoIterator<Item = u128>) -> Self {
        let mut levels = Self::default();
        levels.set(backlogs);
        levels
    }

    #[inline]
    pub(super) fn set(&mut self, backlogs: impl IntoIterator<Item = u128>) {
        for (level, backlog) in self.backlogs.iter_mut().zip(backlogs) {
            *level = backlog;
        }
    }

    /// What they are of `quota` where they are of a share of it, and each of those who share has used as much.
    #[cfg(feature = "redis")]
    pub(super) fn of_all(mut self, share: &Quota, quota: &Quota) -> Self {
        let limits = share.limits().iter().zip(quota.limits());
        for (backlog, (share, limit)) in self.backlogs.iter_mut().zip(limits) {
            // By the bursts, as a share is rounded down: who has used up a share is told that the limit is used up.
            let (part, all) = (u128::from(share.burst()), u128::from(limit.burst()));
            let rest = *backlog % part * all / part;
            *backlog = (*backlog / part).saturating_mul(all).saturating_add(rest);
        }
        self
    }

    /// The level of each limit.
    pub fn of<'a>(&'a self, quota: &'a Quota) -> impl Iterator<Item = Level> + 'a {
        let pairs = quota.limits().iter().zip(self.backlogs);
        pairs.map(|(limit, backlog)| Level::of(*limit, backlog))
    }

    /// The level of the limit at `index`.
    pub fn get(&self, quota: &Quota, index: usize) -> Option<Level> {
        let limit: &Limit = quota.limits().get(index)?;
        Some(Level::of(*limit, *self.backlogs.get(index)?))
    }

    /// Of the limits on one of `dimensions`, the one that is used up the furthest.
    pub fn tightest(&self, quota: &Quota, dimensions: &[Dimension]) -> Option<Level> {
        let pairs = quota.limits().iter().zip(self.backlogs);
        let counted = pairs.filter(|(limit, _)| dimensions.contains(&limit.dimension()));
        let levels = counted.map(|(limit, backlog)| Level::of(*limit, backlog));
        // Compared as shares of the bursts, by cross-multiplication.
        levels.min_by(|a, b| {
            let left = u128::from(a.remaining) * u128::from(b.limit.burst());
            let right = u128::from(b.remaining) * u128::from(a.limit.burst());
            left.cmp(&right)
        })
    }
}

/// What a [`Limiter`] answers: at once, or when its store has.
#[must_use = "futures do nothing unless polled"]
pub enum Answer<T> {
    /// At once. `None` once it was taken.
    Now(Option<T>),
    /// Later.
    Later(Pin<Box<dyn Future<Output = T> + Send>>),
}

impl<T> Answer<T> {
    /// An answer that is there.
    pub fn now(answer: T) -> Self {
        Self::Now(Some(answer))
    }
}

impl<T: Unpin> Future for Answer<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        match self.get_mut() {
            // A future that has answered is never polled again.
            Self::Now(answer) => answer.take().map_or(Poll::Pending, Poll::Ready),
            Self::Later(future) => future.as_mut().poll(cx),
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for Answer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Now(answer) => f.debug_tuple("Now").field(answer).finish(),
            Self::Later(_) => f.write_str("Later(..)"),
        }
    }
}
