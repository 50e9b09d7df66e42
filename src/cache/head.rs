//! The head of an answer, as it is given to others than whoever asked for it.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Response, StatusCode, header};
use http_body::Body;

use super::{
    Entry,
    entry::{kept_headers, mark},
    said,
    state::{ended_well, may_be_stood_in_for},
};
use crate::message::{
    Cached, Completion, Media, Outcome, Reason, Refusal, Rejection, ResponseBody, catalog::Cost,
};

/// What is for all of the head of an answer.
pub(super) struct SharedHead {
    status: StatusCode,
    headers: HeaderMap,
    outcome: Option<Outcome>,
    rejection: Option<Rejection>,
    media: Media,
    /// The length of the body, where it is known.
    pub(super) length: Option<u64>,
}

/// What an error says about when to ask again, besides what is kept of every answer.
const OF_ERRORS: [HeaderName; 2] = [
    header::RETRY_AFTER,
    HeaderName::from_static("x-should-retry"),
];

impl SharedHead {
    pub(super) fn of(response: &Response<ResponseBody>) -> Self {
        let mut headers = kept_headers(response.headers());
        if !response.status().is_success() {
            for name in &OF_ERRORS {
                if let Some(value) = response.headers().get(name) {
                    headers.insert(name, value.clone());
                }
            }
        }
        Self {
            status: response.status(),
            headers,
            outcome: Outcome::of_head(response),
            rejection: response.extensions().get().copied(),
            media: response.body().media(),
            length: response.body().size_hint().exact(),
        }
    }

    /// Whether an answer is for nobody but whoever asked: their time was over, or it is they who may not ask.
    pub(super) fn is_callers_own(response: &Response<ResponseBody>) -> bool {
        let rejection = response.extensions().get::<Rejection>();
        matches!(
            response.status(),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN
        ) || rejection.is_some_and(|rejection| {
            matches!(rejection.reason, Reason::Timeout(_))
                || Outcome::from(rejection) == Outcome::Refused(Refusal::Tenant)
        })
    }

    pub(super) fn is_success(&self) -> bool {
        self.status.is_success() && self.outcome == Some(Outcome::Success)
    }

    /// Whether an old answer is better than this one.
    pub(super) fn may_be_stood_in_for(&self) -> bool {
        may_be_stood_in_for(self.status.as_u16(), self.outcome)
    }

    pub(super) fn media(&self) -> Media {
        self.media
    }

    /// Whether an answer with this head is one to be kept: of a kind whose end can be told.
    pub(super) fn may_be_kept(&self) -> bool {
        self.status == StatusCode::OK
            && self.is_success()
            && matches!(self.media, Media::Json | Media::EventStream)
    }

    /// What is to be kept of an answer that has ended.
    pub(super) fn entry<'a>(
        &self,
        tool_calls: bool,
        completion: &Completion,
        pieces: impl Iterator<Item = &'a Bytes> + Clone,
        saved: Option<Cost>,
    ) -> Option<Entry> {
        if !ended_well(completion) {
            return None;
        }
        let entry = Entry::new(self.headers.clone(), self.media, pieces, saved);
        let body = entry.body();
        let is_kept =
            !body.is_empty() && !said::refuses(body) && (tool_calls || !said::calls_tools(body));
        is_kept.then_some(entry)
    }

    /// The head of a follower's answer.
    pub(super) fn response(&self, body: ResponseBody) -> Response<ResponseBody> {
        let mut response = Response::new(body.with_media(self.media));
        *response.status_mut() = self.status;
        response.headers_mut().clone_from(&self.headers);
        if self.is_success() {
            let cached = Cached::new(std::time::Duration::ZERO);
            mark(response.headers_mut(), &cached);
            response.extensions_mut().insert(cached);
        }
        let extensions = response.extensions_mut();
        if let Some(outcome) = self.outcome {
            extensions.insert(outcome);
        }
        if let Some(rejection) = self.rejection {
            extensions.insert(rejection);
        }
        response
    }
}
