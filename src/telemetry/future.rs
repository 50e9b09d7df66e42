use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::Response;
use pin_project_lite::pin_project;

use super::exchange::Exchange;
use crate::message::ResponseBody;

pin_project! {
    /// The future of [`Telemetry`](super::Telemetry).
    pub struct TelemetryFuture<F> {
        #[pin]
        future: F,
        // Gone once it has been handed to the answer; none where nothing is recorded.
        exchange: Option<Exchange>,
    }
}

impl<F> TelemetryFuture<F> {
    pub(super) fn new(future: F, exchange: Option<Exchange>) -> Self {
        Self { future, exchange }
    }
}

impl<F, E> Future for TelemetryFuture<F>
where
    F: Future<Output = Result<Response<ResponseBody>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let answered = match this.exchange {
            Some(exchange) => {
                let _entered = exchange.span().enter();
                ready!(this.future.poll(cx))
            }
            None => ready!(this.future.poll(cx)),
        };
        let Some(exchange) = this.exchange.take() else {
            return Poll::Ready(answered);
        };
        Poll::Ready(match answered {
            Ok(response) => Ok(exchange.answered(response)),
            Err(error) => {
                exchange.failed();
                Err(error)
            }
        })
    }
}

impl<F> fmt::Debug for TelemetryFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TelemetryFuture")
            .field("exchange", &self.exchange)
            .finish_non_exhaustive()
    }
}
