//! What a connection is doing, and until when it may.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// What an HTTP/2 connection begins with (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How long a connection may be in a state.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// From the first byte of a request's head to its last.
    pub(super) head: Duration,
    /// Without a request, or with an answer of which the caller takes nothing.
    pub(super) idle: Duration,
}

/// Shared by a connection's stream, which sees bytes come, and its requests, which are counted.
#[derive(Clone)]
pub(super) struct Activity {
    state: Arc<Mutex<State>>,
}

struct State {
    /// Requests whose answers have not ended.
    open: usize,
    /// Since when there are none.
    idle_since: Instant,
    /// When the first byte came of a head that is not complete.
    head_since: Option<Instant>,
    /// Since when the caller takes nothing of what is to be sent.
    stuck_since: Option<Instant>,
    /// When the answer must have been taken whole that is on its way, where there can be only one.
    answer_due: Option<Instant>,
    version: Version,
}

enum Version {
    /// So many bytes of the preface came, and no other.
    Unknown {
        matched: usize,
    },
    Http1,
    /// Frames come at any time, so a byte begins nothing.
    Http2,
}

/// What is to be done about a connection.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing before this moment.
    Wait(Instant),
    /// It serves no request for too long.
    Idle,
    /// Its request's head takes too long.
    HeadLate,
    /// Its caller has taken nothing of an answer for too long.
    Stuck,
    /// Its caller has taken something of an answer now and then, but not all of it in time.
    Overdue,
}

/// One request, until it is dropped.
pub(super) struct Open(Activity);

impl Activity {
    pub(super) fn new() -> Self {
        let state = State {
            open: 0,
            idle_since: Instant::now(),
            head_since: None,
            stuck_since: None,
            answer_due: None,
            version: Version::Unknown { matched: 0 },
        };
        Self {
            state: Arc::new(Mutex::new(state)),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No code that runs under the lock can panic half-way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of what was read.
    pub(super) fn read(&self, bytes: &[u8]) {
        let mut state = self.state();
        if let Version::Unknown { matched } = state.version {
            let rest = PREFACE.get(matched..).unwrap_or_default();
            let common = rest
                .iter()
                .zip(bytes)
                .take_while(|(expected, byte)| expected == byte)
                .count();
            state.version = if common == rest.len() {
                state.head_since = None;
                Version::Http2
            } else if common == bytes.len() {
                Version::Unknown {
                    matched: matched + common,
                }
            } else {
                Version::Http1
            };
        }
        if state.open == 0 && state.head_since.is_none() && !matches!(state.version, Version::Http2)
        {
            state.head_since = Some(Instant::now());
        }
    }

    /// Takes note of whether the socket took something of what was to be written.
    pub(super) fn wrote(&self, taken: bool) {
        let mut state = self.state();
        if taken {
            state.stuck_since = None;
        } else {
            state.stuck_since.get_or_insert_with(Instant::now);
        }
    }

    /// A request has come whole, up to its body.
    pub(super) fn open(&self) -> Open {
        let mut state = self.state();
        state.open += 1;
        state.head_since = None;
        Open(self.clone())
    }

    /// When what is on its way is late, a head or an answer.
    pub(super) fn due(&self, limits: Limits) -> Option<Instant> {
        let state = self.state();
        match state.head_since {
            Some(since) => since.checked_add(limits.head),
            None => state.answer_due,
        }
    }

    pub(super) fn verdict(&self, now: Instant, limits: Limits) -> Verdict {
        let state = self.state();
        let (since, limit, late) = match (state.head_since, state.stuck_since) {
            (Some(since), _) => (since, limits.head, Verdict::HeadLate),
            // A body that nobody takes is not polled either, so its deadline cannot end it.
            (None, Some(since)) => (since, limits.idle, Verdict::Stuck),
            (None, None) if state.open > 0 => (now, limits.idle, Verdict::Idle),
            (None, None) => (state.idle_since, limits.idle, Verdict::Idle),
        };
        let (due, late) = match (since.checked_add(limit), state.answer_due) {
            (due, Some(answer)) if due.is_none_or(|due| answer < due) => {
                (Some(answer), Verdict::Overdue)
            }
            (due, _) => (due, late),
        };
        match due {
            Some(due) if due <= now => late,
            Some(due) => Verdict::Wait(due),
            // Limits of centuries are none.
            None => Verdict::Wait(now + Duration::from_secs(24 * 3600)),
        }
    }
}

impl Open {
    /// The connection ends at `due`, unless this has been dropped by then: for one on which requests are answered in turn.
    pub(super) fn answer_by(&self, due: Instant) {
        self.0.state().answer_due = Some(due);
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.open = state.open.saturating_sub(1);
        if state.open == 0 {
            state.idle_since = Instant::now();
            state.answer_due = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const LIMITS: Limits = Limits {
        head: Duration::from_secs(10),
        idle: Duration::from_secs(75),
    };

    async fn after(activity: &Activity, seconds: u64) -> Verdict {
        advance(Duration::from_secs(seconds)).await;
        activity.verdict(Instant::now(), LIMITS)
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_has_less_time_than_a_connection_without_one() {
        let activity = Activity::new();
        assert!(matches!(after(&activity, 74).await, Verdict::Wait(_)));
        activity.read(b"POST /v1");
        assert_eq!(activity.due(LIMITS), Some(Instant::now() + LIMITS.head));
        assert!(matches!(after(&activity, 9).await, Verdict::Wait(_)));
        activity.read(b" HTTP/1.1");
        assert_eq!(after(&activity, 1).await, Verdict::HeadLate);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_may_take_its_time_and_the_connection_is_idle_from_its_end() {
        let activity = Activity::new();
        activity.read(b"GET / HTTP/1.1\r\n\r\n");
        let (first, second) = (activity.open(), activity.open());
        drop(first);
        activity.read(b"a body");
        assert!(matches!(after(&activity, 3600).await, Verdict::Wait(_)));
        drop(second);
        assert!(matches!(after(&activity, 74).await, Verdict::Wait(_)));
        assert_eq!(after(&activity, 1).await, Verdict::Idle);
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_who_takes_nothing_of_an_answer_is_waited_for_as_long_as_an_idle_one() {
        let activity = Activity::new();
        activity.read(b"GET / HTTP/1.1\r\n\r\n");
        let _open = activity.open();
        activity.wrote(false);
        assert!(matches!(after(&activity, 74).await, Verdict::Wait(_)));
        // It was slow, not stuck.
        activity.wrote(true);
        assert!(matches!(after(&activity, 3600).await, Verdict::Wait(_)));
        activity.wrote(false);
        assert!(matches!(after(&activity, 74).await, Verdict::Wait(_)));
        activity.wrote(false);
        assert_eq!(after(&activity, 1).await, Verdict::Stuck);
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_who_takes_an_answer_bit_by_bit_has_time_until_it_is_due() {
        let activity = Activity::new();
        activity.read(b"GET / HTTP/1.1\r\n\r\n");
        let open = activity.open();
        let due = Instant::now() + Duration::from_secs(100);
        open.answer_by(due);
        assert_eq!(activity.due(LIMITS), Some(due));
        for _ in 0..9 {
            activity.wrote(false);
            assert!(matches!(after(&activity, 11).await, Verdict::Wait(_)));
            activity.wrote(true);
        }
        activity.wrote(false);
        assert_eq!(after(&activity, 1).await, Verdict::Overdue);
        drop(open);
        assert_eq!(activity.due(LIMITS), None);
    }

    #[tokio::test(start_paused = true)]
    async fn half_a_preface_is_a_head_and_a_whole_one_is_a_connection() {
        let (stalled, whole) = (Activity::new(), Activity::new());
        for activity in [&stalled, &whole] {
            activity.read(b"PRI * HT");
        }
        whole.read(b"TP/2.0\r\n\r\nSM\r\n\r\nframes");
        whole.read(b"more frames");
        assert_eq!(after(&stalled, 10).await, Verdict::HeadLate);
        assert!(matches!(after(&whole, 64).await, Verdict::Wait(_)));
        assert_eq!(after(&whole, 1).await, Verdict::Idle);
    }
}
