use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::StatusCode;
use http_body::Body;
use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep};

use crate::message::{ApiError, BoxError, Gather, HeldBytes, HeldCap, Phase, Reason, RequestBody};

/// The most that is reserved for a body before its bytes have come: a declared length is only a claim.
const MAX_RESERVED: u64 = 1 << 20;

pin_project! {
    /// Collects a JSON body, within a cap of its own, a cap shared by all, and a time.
    pub(super) struct Collect<B> {
        #[pin]
        body: B,
        text: Gather,
        max: u64,
        held: Option<HeldBytes>,
        within: Duration,
        timer: Option<Pin<Box<Sleep>>>,
    }
}

/// Why a body was not taken.
pub(super) struct Refused {
    pub(super) reason: Reason,
    pub(super) error: ApiError,
}

impl<B> Collect<B> {
    pub(super) fn new(body: B, max: u64, held: &Arc<HeldCap>, within: Duration) -> Self {
        Self {
            body,
            text: Gather::default(),
            max,
            held: Some(held.hold()),
            within,
            timer: None,
        }
    }
}

impl<B> Future for Collect<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Output = Result<RequestBody, Refused>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if this.body.size_hint().lower() > *this.max {
            return Poll::Ready(Err(too_large(*this.max)));
        }
        loop {
            let Poll::Ready(frame) = this.body.as_mut().poll_frame(cx) else {
                let timer = this
                    .timer
                    .get_or_insert_with(|| Box::pin(sleep(*this.within)));
                ready!(timer.as_mut().poll(cx));
                return Poll::Ready(Err(too_slow(*this.within)));
            };
            let data = match frame {
                None => break,
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => data,
                    // Trailers have no meaning for a request that is sent with its length.
                    Err(_) => continue,
                },
                Some(Err(_)) => return Poll::Ready(Err(broken())),
            };
            if (this.text.len() + data.len()) as u64 > *this.max {
                return Poll::Ready(Err(too_large(*this.max)));
            }
            if !this
                .held
                .as_mut()
                .is_some_and(|held| held.grow(data.len() as u64))
            {
                return Poll::Ready(Err(too_much_held()));
            }
            let expected = this.body.size_hint().lower().min(MAX_RESERVED);
            this.text.push(data, usize::try_from(expected).unwrap_or(0));
            if this.body.is_end_stream() {
                break;
            }
        }
        Poll::Ready(Ok(RequestBody::held_json(
            this.text.take(),
            this.held.take(),
        )))
    }
}

fn too_large(max: u64) -> Refused {
    let message =
        format!("the request's body is larger than the {max} bytes that this endpoint takes");
    let error = ApiError::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "invalid_request_error",
        message,
    )
    .with_code("request_too_large");
    Refused {
        reason: Reason::BodyTooLarge,
        error,
    }
}

fn too_slow(within: Duration) -> Refused {
    let message = format!("the request's body did not arrive within {within:?}");
    let error = ApiError::new(
        StatusCode::REQUEST_TIMEOUT,
        "invalid_request_error",
        message,
    )
    .with_code("request_timeout");
    Refused {
        reason: Reason::Timeout(Phase::RequestBody),
        error,
    }
}

fn too_much_held() -> Refused {
    let message =
        "the relay holds as many bytes of other requests as it may; try again in a moment";
    let error = ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "server_error", message)
        .with_code("relay_overloaded")
        .with_retry_after(Duration::from_secs(1));
    Refused {
        reason: Reason::Overloaded,
        error,
    }
}

fn broken() -> Refused {
    let error = ApiError::invalid_request("the request's body broke off before its end");
    Refused {
        reason: Reason::InvalidRequest,
        error,
    }
}
