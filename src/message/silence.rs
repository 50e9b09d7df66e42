//! How long an upstream may say nothing while it is waited for.

use std::{
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::time::Instant;

use super::Deadline;
use crate::timer::Timer;

/// How long an upstream may be silent within its answer, zero for as long as it likes: for whoever reads one to its end before its head
/// is handed on. Stands in a request's extensions, by a layer further out that cannot see that there is an answer until then.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MaxSilence(pub(crate) Duration);

/// An answer of which no more was read, as its upstream was silent for [as long as it may](MaxSilence). Stands in its extensions.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FellSilent;

/// A timer whose moment moves later more often than it is reached: it is left where it was, and looks again when it fires.
#[derive(Debug, Default)]
pub(crate) struct Alarm(Option<(Timer, Instant)>);

impl Alarm {
    /// Ready once `due` has come.
    pub(crate) fn poll(&mut self, due: Instant, cx: &mut Context<'_>) -> Poll<()> {
        self.0.take_if(|(_, set_for)| *set_for > due);
        loop {
            let (timer, set_for) = self.0.get_or_insert_with(|| (Timer::until(due), due));
            ready!(timer.poll(cx));
            if *set_for >= due {
                return Poll::Ready(());
            }
            self.0 = None;
        }
    }
}

/// How long the upstream has been silent while somebody waited for it.
///
/// It counts from the first time that it was asked and had nothing, not from its last event: a caller who reads slowly keeps it
/// from sending, which is no silence of its own.
#[derive(Debug)]
pub(crate) struct Silence {
    /// Zero for no limit.
    limit: Duration,
    since: Option<Instant>,
}

impl Silence {
    pub(crate) fn new(limit: Duration) -> Self {
        Self { limit, since: None }
    }

    /// The upstream was asked and had nothing; when that is too long, where it ever is.
    pub(crate) fn wait(&mut self) -> Option<Instant> {
        if self.limit.is_zero() {
            return None;
        }
        Some(self.linger(self.limit))
    }

    /// The upstream was asked and had nothing; when that has been so for as long as `span`, whatever the limit.
    pub(crate) fn linger(&mut self, span: Duration) -> Instant {
        let since = *self.since.get_or_insert_with(Instant::now);
        let until = since.checked_add(span);
        until.unwrap_or_else(|| Deadline::after(span).instant())
    }

    /// The upstream is heard from; how long it was waited for.
    pub(crate) fn break_off(&mut self) -> Duration {
        self.since
            .take()
            .map_or(Duration::ZERO, |since| since.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_alarm_follows_its_moment_both_ways() {
        let start = Instant::now();
        let mut alarm = Alarm::default();
        let mut set = |seconds| {
            let due = start + Duration::from_secs(seconds);
            let mut polled = tokio_test::task::spawn(poll_fn(|cx| alarm.poll(due, cx)));
            polled.poll().is_pending()
        };
        assert!(set(10) && set(20) && set(5));
        poll_fn(|cx| alarm.poll(start + Duration::from_secs(15), cx)).await;
        assert_eq!(start.elapsed().as_secs(), 15);
    }

    #[tokio::test(start_paused = true)]
    async fn silence_counts_from_the_first_wait_after_an_event() {
        let second = Duration::from_secs(1);
        let mut silence = Silence::new(30 * second);
        tokio::time::advance(100 * second).await;
        let start = Instant::now();
        assert_eq!(silence.wait(), Some(start + 30 * second));
        tokio::time::advance(10 * second).await;
        assert_eq!(silence.wait(), Some(start + 30 * second));
        assert_eq!(silence.break_off(), 10 * second);
        tokio::time::advance(10 * second).await;
        assert_eq!(silence.wait(), Some(start + 50 * second));
        assert_eq!(Silence::new(Duration::ZERO).wait(), None);
        assert!(Silence::new(Duration::MAX).wait().is_some());
    }
}
