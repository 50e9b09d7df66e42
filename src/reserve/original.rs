//! A request that may be sent more than once.

use std::sync::OnceLock;

use http::Request;

use super::AttemptLimit;
use crate::message::{Deadline, RequestBody, Saved};

/// A request as it came, and what its attempts share.
pub(crate) struct Original {
    /// Taken before the limit and the deadline were added: a copy of extensions costs a box for each of them. Boxed, as it is
    /// large, and the future that it is part of is moved by every layer further out.
    saved: Box<Saved>,
    /// Made of that once somebody asks, which is when an attempt has failed.
    request: OnceLock<Box<Request<RequestBody>>>,
    limit: AttemptLimit,
    deadline: Option<Deadline>,
}

impl Original {
    /// Puts `own`, the deadline of a layer that sets one, into `request`, and keeps what it takes to send it again; `None` where its
    /// body can be sent once only. Attempts share a limit: one of `attempts`, unless a layer further out has set one.
    pub(crate) fn keep(
        request: &mut Request<RequestBody>,
        attempts: u32,
        own: Option<Deadline>,
    ) -> Option<Self> {
        let saved = Saved::new(request).map(Box::new);
        let extensions = request.extensions_mut();
        if let Some(own) = own {
            extensions.insert(own);
        }
        let saved = saved?;
        let limit = extensions
            .get_or_insert_with(|| AttemptLimit::new(attempts))
            .clone();
        Some(Self {
            deadline: own.or_else(|| Deadline::of(extensions)),
            saved,
            request: OnceLock::new(),
            limit,
        })
    }

    /// The request once more.
    pub(crate) fn again(&self) -> Request<RequestBody> {
        let mut request = self.saved.restore();
        let extensions = request.extensions_mut();
        extensions.insert(self.limit.clone());
        if let Some(deadline) = self.deadline {
            extensions.insert(deadline);
        }
        request
    }

    /// The request as it came: without what its attempts share.
    pub(crate) fn request(&self) -> &Request<RequestBody> {
        self.request.get_or_init(|| Box::new(self.saved.restore()))
    }

    pub(crate) fn limit(&self) -> &AttemptLimit {
        &self.limit
    }

    pub(crate) fn deadline(&self) -> Option<Deadline> {
        self.deadline
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http_body_util::BodyExt;

    use super::*;

    fn chat(body: RequestBody) -> Request<RequestBody> {
        Request::post("/v1/chat/completions?a=b")
            .header("x-one", "1")
            .extension("of the caller")
            .body(body)
            .unwrap()
    }

    #[test]
    fn every_attempt_is_the_same_and_draws_on_the_same_limit() {
        let mut first = chat(RequestBody::json("{}"));
        let own = Deadline::after(Duration::from_secs(9));
        let original = Original::keep(&mut first, 3, Some(own)).unwrap();
        let again = original.again();
        for request in [&first, &again] {
            assert_eq!(request.uri(), "/v1/chat/completions?a=b");
            assert_eq!(request.headers()["x-one"], "1");
            assert_eq!(request.extensions().get(), Some(&"of the caller"));
            assert_eq!(Deadline::of(request.extensions()), Some(own));
            assert!(AttemptLimit::of(request.extensions()).unwrap().take());
        }
        assert_eq!(original.limit().left(), 0);
    }

    #[test]
    fn the_limit_and_the_deadline_of_a_layer_further_out_stand() {
        let mut request = chat(RequestBody::json("{}"));
        let outer = Deadline::after(Duration::from_secs(9));
        request.extensions_mut().insert(outer);
        request.extensions_mut().insert(AttemptLimit::new(2));
        let original = Original::keep(&mut request, 7, None).unwrap();
        assert_eq!(original.limit().left(), 1);
        assert_eq!(original.deadline(), Some(outer));
    }

    #[test]
    fn a_stream_is_not_kept_and_has_its_deadline_all_the_same() {
        let mut request = chat(RequestBody::new(RequestBody::json("{}").boxed()));
        let own = Deadline::after(Duration::from_secs(9));
        assert!(Original::keep(&mut request, 3, Some(own)).is_none());
        assert_eq!(Deadline::of(request.extensions()), Some(own));
        assert!(AttemptLimit::of(request.extensions()).is_none());
    }
}
