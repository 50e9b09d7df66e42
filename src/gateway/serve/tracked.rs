use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, Version};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use pin_project_lite::pin_project;
use tower_service::Service;

use super::{
    activity::{Activity, Open},
    streams,
};
use crate::{
    gateway::{GatewayFuture, GatewayService, Stack},
    message::{BoxError, RequestBody, ResponseBody},
};

/// How long after an answer's deadline it is ended from outside. By then its body has ended itself, and said so to the caller,
/// unless the caller took so little that it was not asked for more.
const GRACE: Duration = Duration::from_secs(1);

/// A gateway's service on one connection, which counts the requests that are under way.
pub(super) struct Tracked<S> {
    service: GatewayService<S>,
    activity: Activity,
}

impl<S> Tracked<S> {
    pub(super) fn new(service: GatewayService<S>, activity: Activity) -> Self {
        Self { service, activity }
    }
}

impl<S: Stack> hyper::service::Service<Request<Incoming>> for Tracked<S> {
    type Response = Response<TrackedBody>;
    type Error = Infallible;
    type Future = TrackedFuture<S>;

    fn call(&self, request: Request<Incoming>) -> TrackedFuture<S> {
        let version = request.version();
        TrackedFuture {
            future: self.service.handle(request),
            open: Some(self.activity.open()),
            version,
        }
    }
}

pin_project! {
    pub(super) struct TrackedFuture<S>
    where
        S: Service<Request<RequestBody>>,
    {
        #[pin]
        future: GatewayFuture<S, Incoming>,
        open: Option<Open>,
        version: Version,
    }
}

impl<S: Stack> Future for TrackedFuture<S> {
    type Output = Result<Response<TrackedBody>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = ready!(this.future.poll(cx))?;
        let open = this.open.take();
        if let (Some(deadline), Some(open)) = (response.body().deadline(), &open) {
            let due = deadline.instant() + GRACE;
            if *this.version == Version::HTTP_2 {
                streams::answer_by(due);
            } else {
                open.answer_by(due);
            }
        }
        Poll::Ready(Ok(response.map(|body| TrackedBody { body, _open: open })))
    }
}

/// An answer's body, which is under way until it is dropped.
pub(super) struct TrackedBody {
    body: ResponseBody,
    _open: Option<Open>,
}

impl Body for TrackedBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Pin::new(&mut self.body).poll_frame(cx).map_err(Into::into)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
