use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use hyper_util::server::graceful::GracefulConnection;
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};

use super::activity::{Activity, Limits, Verdict};

pin_project! {
    /// Drives a connection until it ends by itself, is idle for too long, or its caller is too slow with a head or with
    /// taking an answer; asks it to end when `stop` does.
    ///
    /// One timer serves all of this, and is set anew only when it fires, for a head that did not come in one piece, or for an
    /// answer with a short deadline.
    pub(super) struct Connection<C, F> {
        #[pin]
        inner: C,
        #[pin]
        stop: F,
        #[pin]
        timer: Sleep,
        activity: Activity,
        limits: Limits,
        is_stopped: bool,
        is_closing: bool,
    }
}

impl<C, F> Connection<C, F> {
    pub(super) fn new(inner: C, activity: Activity, limits: Limits, stop: F) -> Self {
        let now = Instant::now();
        let due = match activity.verdict(now, limits) {
            Verdict::Wait(due) => due,
            Verdict::Idle | Verdict::HeadLate | Verdict::Stuck | Verdict::Overdue => now,
        };
        let timer = sleep_until(due);
        Self {
            inner,
            stop,
            timer,
            activity,
            limits,
            is_stopped: false,
            is_closing: false,
        }
    }
}

impl<C, F> Future for Connection<C, F>
where
    C: GracefulConnection,
    F: Future<Output = ()>,
{
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        loop {
            // How it ended is of no interest: the caller is gone, or has got everything.
            if this.inner.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
            }
            if !*this.is_stopped && this.stop.as_mut().poll(cx).is_ready() {
                *this.is_stopped = true;
                this.inner.as_mut().graceful_shutdown();
                continue;
            }
            if let Some(due) = this.activity.due(*this.limits)
                && due < this.timer.deadline()
            {
                this.timer.as_mut().reset(due);
            }
            ready!(this.timer.as_mut().poll(cx));
            let now = Instant::now();
            match this.activity.verdict(now, *this.limits) {
                Verdict::Wait(due) => {
                    *this.is_closing = false;
                    this.timer.as_mut().reset(due);
                }
                Verdict::HeadLate => {
                    tracing::debug!("a request's head did not come in time");
                    return Poll::Ready(());
                }
                Verdict::Stuck => {
                    tracing::debug!("a caller took nothing of an answer for too long");
                    return Poll::Ready(());
                }
                Verdict::Overdue => {
                    tracing::debug!("a caller did not take an answer in time");
                    return Poll::Ready(());
                }
                // It was asked to end, and does not: the caller does not take what is left to send.
                Verdict::Idle if *this.is_closing => return Poll::Ready(()),
                Verdict::Idle => {
                    *this.is_closing = true;
                    this.inner.as_mut().graceful_shutdown();
                    this.timer
                        .as_mut()
                        .reset(now.checked_add(this.limits.head).unwrap_or(now));
                }
            }
        }
    }
}
