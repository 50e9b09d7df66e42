//! Timers that are used again.
//!
//! Nearly every timer of a relay is a deadline that is never reached. To register one with tokio and take it back costs a
//! microsecond, a twentieth of what a whole request costs; to move a registered one to a later moment costs a few
//! nanoseconds. So a timer that was not reached is kept registered for the next request of its thread.

use std::{
    cell::RefCell,
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::{
    runtime::{self, Handle},
    time::{Instant, Sleep, sleep_until},
};

/// The most timers that a thread keeps. One that is kept costs its memory and that of the task that waited for it last, which is
/// woken once for nothing when the moment comes.
const MAX_KEPT: usize = 256;

thread_local! {
    static KEPT: RefCell<Vec<Registered>> = const { RefCell::new(Vec::new()) };
}

/// Completes at a moment.
pub(crate) struct Timer(Option<Registered>);

struct Registered {
    sleep: Pin<Box<Sleep>>,
    /// A timer belongs to the runtime that it was registered with, and fails when that has ended.
    runtime: runtime::Id,
}

impl Timer {
    /// A timer for `at`.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime, as every use of tokio's time.
    pub(crate) fn until(at: Instant) -> Self {
        let runtime = Handle::current().id();
        let kept = KEPT.with_borrow_mut(Vec::pop);
        let registered = match kept.filter(|kept| kept.runtime == runtime) {
            Some(mut kept) => {
                kept.sleep.as_mut().reset(at);
                kept
            }
            None => Registered {
                sleep: Box::pin(sleep_until(at)),
                runtime,
            },
        };
        Self(Some(registered))
    }

    /// Ready once the moment has come.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.0 {
            Some(registered) => registered.sleep.as_mut().poll(cx),
            None => Poll::Ready(()),
        }
    }

    /// Whether the moment is known to have come; reads no clock.
    pub(crate) fn has_fired(&self) -> bool {
        self.0
            .as_ref()
            .is_none_or(|registered| registered.sleep.is_elapsed())
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        let Some(registered) = self.0.take() else {
            return;
        };
        if registered.sleep.is_elapsed() {
            return;
        }
        // Where the thread is ending, or lends its timers at this very moment, this one just goes.
        let _ = KEPT.try_with(|kept| {
            if let Ok(mut kept) = kept.try_borrow_mut()
                && kept.len() < MAX_KEPT
            {
                kept.push(registered);
            }
        });
    }
}

impl fmt::Debug for Timer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timer")
            .field("fired", &self.has_fired())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, time::Duration};

    use tokio::time::advance;

    use super::*;

    fn after(seconds: u64) -> Timer {
        Timer::until(Instant::now() + Duration::from_secs(seconds))
    }

    async fn waited(mut timer: Timer) -> Duration {
        let start = Instant::now();
        poll_fn(|cx| timer.poll(cx)).await;
        start.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_timer_that_is_used_again_keeps_its_new_moment() {
        for (first, second) in [(10, 60), (60, 10), (10, 10)] {
            let mut unreached = after(first);
            assert!(
                poll_fn(|cx| Poll::Ready(unreached.poll(cx)))
                    .await
                    .is_pending()
            );
            drop(unreached);
            assert_eq!(
                waited(after(second)).await.as_secs(),
                second,
                "after one of {first} s"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_was_reached_while_it_was_kept_starts_anew() {
        let mut unreached = after(10);
        assert!(
            poll_fn(|cx| Poll::Ready(unreached.poll(cx)))
                .await
                .is_pending()
        );
        drop(unreached);
        advance(Duration::from_secs(20)).await;
        assert_eq!(waited(after(5)).await.as_secs(), 5);
    }

    #[tokio::test(start_paused = true)]
    async fn a_reached_timer_stays_reached() {
        let mut timer = after(1);
        poll_fn(|cx| timer.poll(cx)).await;
        assert!(timer.has_fired());
        drop(timer);
        assert_eq!(waited(after(2)).await.as_secs(), 2);
    }

    #[test]
    fn a_timer_does_not_outlive_its_runtime() {
        for _ in 0..3 {
            let runtime = runtime::Builder::new_current_thread()
                .enable_time()
                .start_paused(true)
                .build()
                .unwrap();
            runtime.block_on(async {
                let mut timer = after(100);
                assert!(poll_fn(|cx| Poll::Ready(timer.poll(cx))).await.is_pending());
                drop(timer);
                assert_eq!(waited(after(1)).await.as_secs(), 1);
            });
        }
    }

    #[test]
    fn many_timers_at_once_are_kept_within_bounds() {
        let runtime = runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let timers: Vec<_> = (0..2 * MAX_KEPT as u64).map(|i| after(100 + i)).collect();
            drop(timers);
            assert_eq!(KEPT.with_borrow(Vec::len), MAX_KEPT);
        });
    }
}
