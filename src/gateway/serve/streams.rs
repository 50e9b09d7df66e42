//! The streams of HTTP/2 connections, each a task of its own.

use std::{
    cell::Cell,
    pin::Pin,
    task::{Context, Poll, ready},
};

use hyper::rt::Executor;
use pin_project_lite::pin_project;
use tokio::time::Instant;

use crate::timer::Timer;

thread_local! {
    /// When the answer is due of the stream that this thread polls: told by the service in it, heard by the task around it.
    static DUE: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Spawns streams, and resets those whose callers do not take their answers in time.
///
/// A body is asked for more only when the caller takes what came before, so it cannot keep its deadline against one who opens no
/// window.
#[derive(Debug, Clone)]
pub(super) struct Streams;

/// The stream that is being polled is reset at `due`, unless it has ended by then.
pub(super) fn answer_by(due: Instant) {
    DUE.set(Some(due));
}

impl<F> Executor<F> for Streams
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        tokio::spawn(InTime {
            stream,
            timer: None,
        });
    }
}

pin_project! {
    struct InTime<F> {
        #[pin]
        stream: F,
        timer: Option<Timer>,
    }
}

impl<F: Future<Output = ()>> Future for InTime<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        DUE.set(None);
        if this.stream.poll(cx).is_ready() {
            return Poll::Ready(());
        }
        if let Some(due) = DUE.take() {
            *this.timer = Some(Timer::until(due));
        }
        let Some(timer) = this.timer else {
            return Poll::Pending;
        };
        ready!(timer.poll(cx));
        tracing::debug!("a caller did not take an answer in time");
        Poll::Ready(())
    }
}

#[cfg(test)]
mod tests {
    use std::{future, time::Duration};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_a_stream_whose_answer_is_due_is_ended() {
        let start = Instant::now();
        let due = start + Duration::from_secs(5);
        let answered = InTime {
            stream: async {
                answer_by(due);
                future::pending::<()>().await;
            },
            timer: None,
        };
        answered.await;
        assert_eq!(Instant::now(), due);

        // What an answer on another connection left behind on this thread is no stream's.
        answer_by(Instant::now());
        let mut other = tokio_test::task::spawn(InTime {
            stream: future::pending(),
            timer: None,
        });
        assert!(other.poll().is_pending());
        tokio::time::advance(Duration::from_secs(3600)).await;
        assert!(other.poll().is_pending());
    }
}
