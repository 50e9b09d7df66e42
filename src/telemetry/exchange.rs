//! One request and its answer, from its coming to its settlement.

use std::{fmt, sync::Arc, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use tokio::time::Instant;
use tracing::Span;

use super::{
    contents::{self, Kept},
    conventions::attribute,
    layer::Shared,
    propagation,
    span::{self, put},
};
use crate::{
    message::{
        Bill, Cached, Completion, Deadline, Endpoint, Media, Outcome, Phase, Refusal, Rejection,
        RequestBody, RequestId, ResponseBody, Selection, Served, Trail, X_RELAY_REQUEST_ID,
        X_RELAY_UPSTREAM, usage::Usage,
    },
    stats::{OpenRequest, RequestEnd},
};

/// The header that tells how long the head of an answer took, in milliseconds, from the request's coming.
pub const X_RESPONSE_TIME_MS: HeaderName = HeaderName::from_static("x-response-time-ms");

/// A request under way. Settled once: by the end of its answer, by an error, or by being dropped.
pub(super) struct Exchange {
    about: Option<Box<About>>,
    span: Span,
}

/// What is known of a request, and later of its answer.
pub(super) struct About {
    pub(super) shared: Arc<Shared>,
    pub(super) open: OpenRequest,
    pub(super) endpoint: Endpoint,
    pub(super) id: RequestId,
    pub(super) trail: Trail,
    pub(super) bill: Bill,
    /// The label of the model that was asked for, where the request was read.
    #[cfg_attr(
        not(feature = "metrics"),
        allow(dead_code, reason = "a label of metrics")
    )]
    pub(super) model: Option<Arc<str>>,
    deadline: Option<Deadline>,
    pub(super) head: Option<Head>,
    kept: Option<Kept>,
}

/// The head of an answer.
pub(super) struct Head {
    pub(super) status: StatusCode,
    /// What it means, as far as it is known without its body.
    pub(super) outcome: Outcome,
    pub(super) rejection: Option<Rejection>,
    pub(super) served: Option<Served>,
    pub(super) is_stream: bool,
    /// No upstream was asked for it.
    is_cached: bool,
}

/// All that is known in the end.
pub(super) struct Settled<'a> {
    pub(super) about: &'a About,
    pub(super) completion: Option<&'a Completion>,
    pub(super) end: RequestEnd,
    /// What went wrong, as a label.
    pub(super) error: Option<&'static str>,
    pub(super) ended_at: Instant,
}

impl Exchange {
    /// `None` for a route that is none of an LLM API and that no edge guards: an application's own.
    pub(super) fn begin(shared: &Arc<Shared>, request: &mut Request<RequestBody>) -> Option<Self> {
        let endpoint = Endpoint::of(request);
        let known = request.extensions().get::<RequestId>().cloned();
        if endpoint == Endpoint::Other && known.is_none() {
            return None;
        }
        let open = shared.stats.open_request(Instant::now());
        let incoming = propagation::take(request.headers_mut());
        let span = if shared.spans {
            span::request(request, endpoint)
        } else {
            Span::none()
        };
        #[cfg(feature = "otlp")]
        if let Some(parent) = incoming {
            super::otel::continue_from(&span, parent);
        }
        if shared.propagate {
            let context = propagation::of_span(&span, incoming);
            propagation::put(request.headers_mut(), context);
            request.extensions_mut().insert(context);
        } else {
            propagation::remove(request.headers_mut());
        }
        let id = known.unwrap_or_else(|| {
            let id = RequestId::from_headers(request.headers()).unwrap_or_else(RequestId::generate);
            request.extensions_mut().insert(id.clone());
            id
        });
        if !span.is_disabled() {
            put(&span, attribute::REQUEST_ID, tracing::field::display(&id));
            if shared.max_content > 0 && endpoint.reads_json() {
                let asked = contents::asked(request.body(), shared.max_content);
                put(&span, attribute::INPUT_MESSAGES, asked.as_deref());
            }
        }
        // Those further in read the model in any case, and share what is read here.
        let model = if cfg!(feature = "metrics") && endpoint.reads_json() {
            let model = request.body().model();
            model.map(|model| shared.labels.model(&model))
        } else {
            None
        };
        let trail = Trail::of(request.extensions_mut());
        let bill = Bill::of(request.extensions_mut());
        let about = About {
            shared: Arc::clone(shared),
            open,
            endpoint,
            id,
            trail,
            bill,
            model,
            deadline: Deadline::of(request.extensions()),
            head: None,
            kept: None,
        };
        Some(Self {
            about: Some(Box::new(about)),
            span,
        })
    }

    pub(super) fn span(&self) -> &Span {
        &self.span
    }

    /// The head is there: the answer's end settles.
    pub(super) fn answered(
        mut self,
        mut response: Response<ResponseBody>,
    ) -> Response<ResponseBody> {
        let Some(about) = &mut self.about else {
            return response;
        };
        let extensions = response.extensions();
        let head = Head {
            status: response.status(),
            outcome: Outcome::of_unread(&response),
            rejection: extensions.get().copied(),
            served: extensions.get().cloned(),
            is_stream: matches!(
                response.body().media(),
                Media::EventStream | Media::JsonLines
            ),
            is_cached: extensions.get::<Cached>().is_some(),
        };
        if !self.span.is_disabled() {
            span::head(&self.span, about, &head, response.headers());
            if let Some(selection) = extensions.get::<Selection>() {
                put(&self.span, attribute::COMPLEXITY, &*selection.complexity);
                put(&self.span, attribute::SELECTION, &*selection.reason);
            }
            if about.shared.max_content > 0 && about.endpoint.reads_json() {
                about.kept = Some(Kept::default());
            }
        }
        if about.shared.headers {
            about.mark(response.headers_mut(), head.served.as_ref());
        }
        about.head = Some(head);
        let tap = about.kept.as_ref();
        let tap = tap.map(|kept| kept.tap(about.shared.max_content));
        response.map(|body| {
            let body = match tap {
                Some(tap) => body.transform(tap),
                None => body,
            };
            body.on_end(move |completion| self.settle(Some(completion), None))
        })
    }

    /// There is no answer, but an error of the service further in.
    pub(super) fn failed(mut self) {
        let outcome = Outcome::Transport { phase: Phase::Head };
        self.settle(None, Some(outcome));
    }

    fn settle(&mut self, completion: Option<&Completion>, failed: Option<Outcome>) {
        let Some(about) = self.about.take() else {
            return;
        };
        let outcome = match (&about.head, completion) {
            (Some(head), Some(completion)) => Outcome::of_completion(completion, head.outcome),
            _ => failed.unwrap_or_else(|| Outcome::of_leaving(about.deadline)),
        };
        let rejection = about.head.as_ref().and_then(|head| head.rejection);
        let end = end_of(outcome, rejection.is_some(), about.endpoint);
        let settled = Settled {
            about: &about,
            completion,
            end,
            error: match (outcome, rejection) {
                (Outcome::Success, _) => None,
                (_, Some(rejection)) => Some(rejection.reason.as_str()),
                (outcome, None) => Some(outcome.as_str()),
            },
            ended_at: completion.map_or_else(Instant::now, |completion| completion.ended_at),
        };
        if !self.span.is_disabled() {
            span::end(&self.span, &settled);
            if let Some(kept) = &about.kept {
                put(&self.span, attribute::ANSWER, kept.text().as_str());
            }
        }
        #[cfg(feature = "metrics")]
        about.shared.instruments.request(&settled);
        let (first_token, ended_at) = (settled.first_token_at(), settled.ended_at);
        let About {
            shared, bill, open, ..
        } = *about;
        open.end(ended_at, end, first_token);
        // What attempts cost is known when the last of them has ended, which may be after the answer.
        let span = std::mem::replace(&mut self.span, Span::none());
        bill.when_settled(move |bill| {
            if bill.attempts() > 0 {
                put(&span, attribute::COST, bill.cost().approx_usd());
            }
            #[cfg(feature = "metrics")]
            shared.instruments.bill(&shared.labels, bill);
            drop(shared);
        });
    }
}

impl About {
    fn mark(&self, headers: &mut HeaderMap, served: Option<&Served>) {
        let took = self.open.started().elapsed().as_millis();
        let took = u64::try_from(took).unwrap_or(u64::MAX);
        headers.insert(X_RESPONSE_TIME_MS, took.into());
        // Whoever is further in may say it more exactly.
        if let Some(served) = served
            && !headers.contains_key(X_RELAY_UPSTREAM)
            && let Ok(name) = HeaderValue::from_str(&served.upstream)
        {
            headers.insert(X_RELAY_UPSTREAM, name);
        }
        if !headers.contains_key(X_RELAY_REQUEST_ID) {
            headers.insert(X_RELAY_REQUEST_ID, self.id.to_header());
        }
    }
}

impl Settled<'_> {
    /// From the request's coming to `at`.
    pub(super) fn since(&self, at: Instant) -> Duration {
        at.saturating_duration_since(self.about.open.started())
    }

    /// What was used for the answer.
    pub(super) fn used(&self) -> Option<Usage> {
        let head = self.about.head.as_ref()?;
        self.completion?.used(head.is_cached)
    }

    /// When the first token of a stream came.
    pub(super) fn first_token_at(&self) -> Option<Instant> {
        let head = self.about.head.as_ref()?;
        self.completion?.first_token_at.filter(|_| head.is_stream)
    }

    /// When the first chunk of a stream came.
    pub(super) fn first_chunk_at(&self) -> Option<Instant> {
        let head = self.about.head.as_ref()?;
        self.completion?.first_byte_at.filter(|_| head.is_stream)
    }
}

fn end_of(outcome: Outcome, is_ours: bool, endpoint: Endpoint) -> RequestEnd {
    match outcome {
        Outcome::Success => RequestEnd::Successful,
        Outcome::Cancelled => RequestEnd::Cancelled,
        // It stands for an upstream that fails.
        Outcome::Refused(Refusal::CircuitOpen) => RequestEnd::Failed,
        Outcome::Refused(_) => RequestEnd::Rejected,
        Outcome::InvalidRequest | Outcome::ContextTooLong | Outcome::ContentFiltered => {
            RequestEnd::Invalid
        }
        // Nobody here serves such a model; or what is not there is none: a file, a path.
        Outcome::ModelNotFound if is_ours || !endpoint.reads_json() => RequestEnd::Invalid,
        _ => RequestEnd::Failed,
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.settle(None, None);
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange")
            .field("span", &self.span.metadata().map(tracing::Metadata::name))
            .finish_non_exhaustive()
    }
}
