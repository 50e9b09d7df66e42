//! One line for each answer.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tokio::time::Instant;
use tower_layer::Layer;
use tower_service::Service;

use crate::{
    message::{
        Bill, Cached, Completion, Endpoint, RequestBody, RequestId, ResponseBody, Served,
        usage::Usage,
    },
    server::tenants::Caller,
};

/// Writes a `tracing` event at info level when an answer has ended: who answered, how it ended, how long it took and what it used.
/// Never what was said.
#[derive(Debug, Clone, Copy)]
pub(super) struct AccessLogLayer;

/// The service of [`AccessLogLayer`].
#[derive(Debug, Clone)]
pub(super) struct AccessLog<S> {
    inner: S,
}

impl<S> Layer<S> for AccessLogLayer {
    type Service = AccessLog<S>;

    fn layer(&self, inner: S) -> AccessLog<S> {
        AccessLog { inner }
    }
}

impl<S> Service<Request<RequestBody>> for AccessLog<S>
where
    S: Service<Request<RequestBody>, Response = Response<ResponseBody>>,
{
    type Response = Response<ResponseBody>;
    type Error = S::Error;
    type Future = AccessLogFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        // Not only where `tracing::enabled!` says so: where layers have filters of their own, to ask takes the next event from them.
        let entry = Entry {
            started: Instant::now(),
            endpoint: Endpoint::of(&request),
            id: request.extensions().get().cloned(),
            caller: request.extensions().get::<Caller>().cloned(),
        };
        AccessLogFuture {
            future: self.inner.call(request),
            entry: Some(entry),
        }
    }
}

pin_project! {
    /// The future of [`AccessLog`].
    pub(super) struct AccessLogFuture<F> {
        #[pin]
        future: F,
        entry: Option<Entry>,
    }
}

/// What is known when a request comes.
struct Entry {
    started: Instant,
    endpoint: Endpoint,
    id: Option<RequestId>,
    caller: Option<Caller>,
}

/// What is known when its answer begins.
struct Head {
    status: u16,
    served: Option<Served>,
    bill: Option<Bill>,
    is_cached: bool,
}

impl Head {
    fn of(response: &Response<ResponseBody>) -> Self {
        let extensions = response.extensions();
        Self {
            status: response.status().as_u16(),
            served: extensions.get().cloned(),
            bill: Bill::find(extensions),
            is_cached: extensions.get::<Cached>().is_some(),
        }
    }
}

impl<F, E> Future for AccessLogFuture<F>
where
    F: Future<Output = Result<Response<ResponseBody>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let response = ready!(this.future.poll(cx))?;
        Poll::Ready(Ok(match this.entry.take() {
            Some(entry) => {
                let head = Head::of(&response);
                response.map(|body| body.on_end(move |end| entry.write(&head, end)))
            }
            None => response,
        }))
    }
}

impl Entry {
    fn write(&self, head: &Head, completion: &Completion) {
        let since = |at: Instant| at.saturating_duration_since(self.started).as_millis();
        let usage = completion.used(head.is_cached);
        let usage = usage.as_ref();
        // An error in the place of an answer that was paid for has no meter of its own.
        let bill = completion.bill.as_ref().or(head.bill.as_ref());
        let served = head.served.as_ref();
        tracing::info!(
            id = self.id.as_ref().map(tracing::field::display),
            caller = self.caller.as_ref().map(|caller| tracing::field::display(caller.key())),
            endpoint = self.endpoint.as_str(),
            status = head.status,
            upstream = served.map(|served| &*served.upstream),
            model = served.and_then(|served| served.model.as_deref()),
            end = ?completion.end,
            finish_reason = completion.finish_reason.as_deref(),
            input_tokens = usage.map(Usage::total_input),
            output_tokens = usage.map(Usage::total_output),
            cost_usd = bill.map(Bill::cost).map(tracing::field::display),
            first_token_ms = completion.first_token_at.map(since),
            total_ms = since(completion.ended_at),
            bytes = completion.bytes,
            "answered"
        );
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{Arc, Mutex},
    };

    use http_body_util::BodyExt;
    use tower::ServiceExt;
    use tracing::{Metadata, level_filters::LevelFilter};
    use tracing_subscriber::{Layer as _, Registry, filter::filter_fn, fmt, layer::SubscriberExt};

    use super::*;
    use crate::{
        commit_guard::CommitGuardLayer, cost_meter::CostMeterLayer, message::Media,
        testing::answering,
    };

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// As the program has them: `tracing::enabled!` is no event.
    #[tokio::test(flavor = "current_thread")]
    async fn an_answer_that_is_there_at_once_is_a_line_too_where_layers_have_filters() {
        let written = Written::default();
        let writer = written.clone();
        let lines = fmt::layer().with_writer(move || writer.clone());
        let lines = lines.with_filter(LevelFilter::INFO);
        let lines = lines.with_filter(filter_fn(|metadata: &Metadata<'_>| metadata.is_event()));
        let _default = tracing::subscriber::set_default(Registry::default().with(lines));

        let service = AccessLogLayer.layer(answering(|_| {
            Response::new(ResponseBody::from("{}").with_media(Media::Json))
        }));
        for _ in 0..3 {
            let request = Request::post("/v1/chat/completions").body(RequestBody::json("{}"));
            let response = service.clone().oneshot(request.unwrap()).await.unwrap();
            response.into_body().collect().await.unwrap();
        }
        let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.lines().count(), 3, "{text}");
    }

    #[tokio::test(flavor = "current_thread")]
    async fn an_error_in_the_place_of_an_answer_says_what_that_cost() {
        let written = Written::default();
        let writer = written.clone();
        let subscriber = fmt().with_ansi(false).with_writer(move || writer.clone());
        let subscriber = subscriber.finish();
        let _default = tracing::subscriber::set_default(subscriber);
        let meter = CostMeterLayer::new();
        let guard = CommitGuardLayer::default();
        let cut = answering(|_| {
            let cut = r#"{"choices":[{"message":{"content":"a"#;
            Response::new(ResponseBody::from(cut).with_media(Media::Json))
        });
        let service = (AccessLogLayer, guard, meter).layer(cut);
        let asked = r#"{"model":"gpt-4.1","messages":[{"content":"What is it?"}]}"#;
        let request = Request::post("/v1/chat/completions").body(RequestBody::json(asked));
        let response = service.oneshot(request.unwrap()).await.unwrap();
        assert_eq!(response.status(), 502);
        response.into_body().collect().await.unwrap();
        let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        assert!(text.contains("cost_usd=0.0000"), "{text}");
    }

    #[tokio::test(flavor = "current_thread")]
    async fn an_answer_is_one_line_with_what_it_used_and_nothing_that_was_said() {
        let written = Written::default();
        let writer = written.clone();
        let subscriber = fmt()
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        let _default = tracing::subscriber::set_default(subscriber);

        let service = AccessLogLayer.layer(answering(|_| {
            let answer = r#"{"choices":[{"message":{"content":"a secret"},"finish_reason":"stop"}],
                "usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7}}"#;
            Response::new(ResponseBody::from(answer).with_media(Media::Json))
        }));
        let request = Request::post("/v1/chat/completions")
            .body(RequestBody::json(r#"{"messages":[{"content":"another"}]}"#))
            .unwrap();
        let response = service.oneshot(request).await.unwrap();
        assert!(
            written.0.lock().unwrap().is_empty(),
            "not before it has ended"
        );
        response.into_body().collect().await.unwrap();

        let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.lines().count(), 1, "{text}");
        for part in [
            "endpoint=\"chat_completions\"",
            "status=200",
            "end=Complete",
            "input_tokens=3",
            "output_tokens=4",
            "finish_reason=\"stop\"",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert!(
            !text.contains("secret") && !text.contains("another"),
            "{text}"
        );
    }
}
