use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::Response;
use pin_project_lite::pin_project;

use super::{
    holding::{Call, Holding},
    verdict::Trouble,
};
use crate::message::{Alarm, Outcome, Phase, ResponseBody, give_up};

pin_project! {
    /// The future of [`CommitGuard`](super::CommitGuard).
    pub struct CommitGuardFuture<F> {
        // Let go of at a deadline, so that the attempt does not go on until its caller has read the answer.
        #[pin]
        future: Option<F>,
        call: Option<Call>,
        alarm: Alarm,
        // Only of an answer that is not there at once.
        holding: Option<Box<Holding>>,
    }
}

impl<F> CommitGuardFuture<F> {
    /// Without a `call` the answer passes as it is.
    pub(super) fn new(future: F, call: Option<Call>) -> Self {
        Self {
            future: Some(future),
            call,
            alarm: Alarm::default(),
            holding: None,
        }
    }
}

impl<F, E> Future for CommitGuardFuture<F>
where
    F: Future<Output = Result<Response<ResponseBody>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let mut this = self.project();
        if let Some(holding) = this.holding {
            return holding.poll(cx).map(Ok);
        }
        // A future that has answered is never polled again.
        let Some(future) = this.future.as_mut().as_pin_mut() else {
            return Poll::Pending;
        };
        let Poll::Ready(answered) = future.poll(cx) else {
            let Some(call) = this.call.as_ref().filter(|call| call.wants_stream) else {
                return Poll::Pending;
            };
            let Some(due) = call.first_token_by else {
                return Poll::Pending;
            };
            ready!(this.alarm.poll(due, cx));
            let late = Trouble::FirstToken.refuse(call.dialect);
            let phase = Phase::FirstToken;
            give_up(Outcome::Timeout { phase }, || this.future.set(None));
            return Poll::Ready(Ok(late));
        };
        let response = answered?;
        let Some(call) = this.call.take() else {
            return Poll::Ready(Ok(response));
        };
        let alarm = std::mem::take(this.alarm);
        if !Holding::wants(&response) {
            return Poll::Ready(Ok(call.pass(response, alarm)));
        }
        let mut holding = Holding::new(call, response, alarm);
        match holding.poll(cx) {
            Poll::Ready(response) => Poll::Ready(Ok(response)),
            Poll::Pending => {
                *this.holding = Some(Box::new(holding));
                Poll::Pending
            }
        }
    }
}

impl<F> fmt::Debug for CommitGuardFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CommitGuardFuture")
            .field("holding", &self.holding.is_some())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_stays_small() {
        let size = size_of::<CommitGuardFuture<()>>();
        assert!(size <= 160, "{size} bytes");
    }
}
