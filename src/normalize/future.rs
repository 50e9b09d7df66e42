use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::{HeaderValue, Response, header};
use pin_project_lite::pin_project;

use super::{
    api::Api, asked::Asked, errors, events::Events, layer::Shared, native, reading::Reading,
    stream::Stream, tally::Tally, whole,
};
use crate::message::{MAX_JSON, Media, Rejection, ResponseBody, TransportError, transform};

pin_project! {
    /// The future of [`ResponseNormalize`](super::ResponseNormalize).
    #[derive(Debug)]
    pub struct ResponseNormalizeFuture<F> {
        #[pin]
        future: F,
        asked: Option<Asked>,
        reading: Option<Box<Reading>>,
        shared: Arc<Shared>,
    }
}

impl<F> ResponseNormalizeFuture<F> {
    pub(super) fn new(future: F, asked: Option<Asked>, shared: Arc<Shared>) -> Self {
        Self {
            future,
            asked,
            reading: None,
            shared,
        }
    }
}

impl<F, E> Future for ResponseNormalizeFuture<F>
where
    F: Future<Output = Result<Response<ResponseBody>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let mut this = self.project();
        loop {
            if let Some(reading) = this.reading {
                ready!(reading.poll(cx));
                let read = this.reading.take().map(|reading| reading.finish());
                if let (Some(read), Some(asked)) = (read, this.asked.take()) {
                    return Poll::Ready(Ok(whole::normalized(read, &asked, this.shared)));
                }
            }
            let response = ready!(this.future.as_mut().poll(cx))?;
            let Some(asked) = this.asked else {
                return Poll::Ready(Ok(response));
            };
            match kind(&response, asked) {
                Kind::Other => return Poll::Ready(Ok(response)),
                Kind::Stream => {
                    return Poll::Ready(Ok(streamed(response, asked, this.shared)));
                }
                Kind::Error => {
                    *this.reading = Some(Box::new(Reading::error(response, errors::MAX_KEPT)));
                }
                Kind::Json => {
                    *this.reading =
                        Some(Box::new(Reading::answer(response, MAX_JSON, asked.silence)));
                }
            }
        }
    }
}

/// What is done with an answer, as its head tells.
enum Kind {
    Error,
    Json,
    Stream,
    Other,
}

fn kind(response: &Response<ResponseBody>, asked: &Asked) -> Kind {
    let headers = response.headers();
    let extensions = response.extensions();
    let is_ours =
        extensions.get::<Rejection>().is_some() || extensions.get::<TransportError>().is_some();
    let is_plain = headers
        .get(header::CONTENT_ENCODING)
        .is_none_or(|encoding| encoding == "identity");
    if is_ours || !is_plain {
        return Kind::Other;
    }
    let has_streams = asked.api().is_some_and(Api::has_streams);
    match (response.status().as_u16(), response.body().media()) {
        (400.., _) => Kind::Error,
        (200..300, Media::Json) => Kind::Json,
        (200..300, Media::EventStream) if has_streams => Kind::Stream,
        (200..300, Media::JsonLines) if asked.api() == Some(Api::Chat) => Kind::Stream,
        // DeepSeek has been seen to send its JSON as `application/octet-stream`.
        (200..300, Media::Opaque)
            if has_streams
                && !asked.stream
                && headers.get(header::CONTENT_TYPE)
                    == Some(&HeaderValue::from_static("application/octet-stream")) =>
        {
            Kind::Json
        }
        _ => Kind::Other,
    }
}

fn streamed(
    response: Response<ResponseBody>,
    asked: &Asked,
    shared: &Arc<Shared>,
) -> Response<ResponseBody> {
    let Some(api) = asked.api() else {
        return response;
    };
    let answer = asked.answer(api, response.headers(), shared);
    let response = if api == Api::Chat {
        native::stream(response, &answer, asked, shared)
    } else {
        response
    };
    if response.body().media() != Media::EventStream {
        return response;
    }
    let events = Events::new(answer, asked.usage);
    let tally = Tally::new(Arc::clone(shared));
    transform(response, Stream::new(shared.settings.policy, events, tally))
}
