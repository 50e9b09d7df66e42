//! How often a request was sent until its answer came.

use std::{fmt::Write, sync::Arc};

use http::{HeaderName, HeaderValue, Response};

use crate::message::{Outcome, Served};

/// The header that tells how many attempts an answer took. Only there when it took more than one.
pub const X_RELAY_ATTEMPTS: HeaderName = HeaderName::from_static("x-relay-attempts");

/// The header that lists the attempts that were not answered with, in their order, each by upstream and
/// [`Outcome::as_str`]: `openai server_error, azure rate_limited`. At most 32 of them.
pub const X_RELAY_FAILED_ATTEMPTS: HeaderName = HeaderName::from_static("x-relay-failed-attempts");

/// The most attempts that the header lists.
const MAX_LISTED: usize = 32;

/// The attempts that an answer took, where it took more than one. Stands in the answer's extensions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attempts {
    failed: Vec<Attempt>,
}

/// An attempt that was not answered with.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The upstream that was asked, where that is known.
    pub upstream: Option<Arc<str>>,
    /// What came of it.
    pub outcome: Outcome,
}

impl Attempts {
    /// The attempts noted in `response`; none noted means that there was one.
    pub fn of<B>(response: &Response<B>) -> Option<&Self> {
        response.extensions().get()
    }

    /// How many attempts were made, the one that was answered with among them.
    pub fn made(&self) -> usize {
        self.failed.len() + 1
    }

    /// The attempts that were not answered with, in their order.
    pub fn failed(&self) -> &[Attempt] {
        &self.failed
    }

    /// Notes an attempt that is not answered with: what `response` came to, and what was noted in it of attempts further in.
    pub fn push<B>(&mut self, response: &mut Response<B>, outcome: Outcome) {
        self.push_at(response, outcome, None);
    }

    /// The same, of an attempt at `upstream`, unless the response says itself [who served it](Served).
    pub fn push_at<B>(
        &mut self,
        response: &mut Response<B>,
        outcome: Outcome,
        upstream: Option<&Arc<str>>,
    ) {
        let extensions = response.extensions_mut();
        if let Some(inner) = extensions.remove::<Self>() {
            self.failed.extend(inner.failed);
        }
        let served = extensions.get::<Served>().map(|served| &served.upstream);
        self.failed.push(Attempt {
            upstream: served.or(upstream).cloned(),
            outcome,
        });
    }

    /// Strikes out the attempt that was pushed when this many were there already: the request is answered with it after all.
    pub(crate) fn strike_out(&mut self, index: usize) {
        if index < self.failed.len() {
            self.failed.remove(index);
        }
    }

    /// Notes in `response`, with which the request is answered, that it took these attempts and those noted in it already. Does
    /// nothing where it took only one.
    pub fn note<B>(mut self, response: &mut Response<B>) {
        if self.failed.is_empty() {
            return;
        }
        if let Some(inner) = response.extensions_mut().remove::<Self>() {
            self.failed.extend(inner.failed);
        }
        let headers = response.headers_mut();
        headers.insert(X_RELAY_ATTEMPTS, self.made().into());
        match HeaderValue::try_from(self.listed()) {
            Ok(listed) => headers.insert(X_RELAY_FAILED_ATTEMPTS, listed),
            // A name that cannot stand in a header.
            Err(_) => headers.remove(X_RELAY_FAILED_ATTEMPTS),
        };
        response.extensions_mut().insert(self);
    }

    fn listed(&self) -> String {
        let mut listed = String::new();
        for attempt in self.failed.iter().take(MAX_LISTED) {
            let separator = if listed.is_empty() { "" } else { ", " };
            let upstream = attempt.upstream.as_deref().unwrap_or("?");
            // Writing to a string cannot fail.
            let _ = write!(listed, "{separator}{upstream} {}", attempt.outcome.as_str());
        }
        listed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_of_layers_that_nest_add_up() {
        let mut within = Attempts::default();
        within.push(&mut Response::new(()), Outcome::ServerError);
        let mut first = Response::new(());
        within.clone().note(&mut first);
        assert_eq!(first.headers()[X_RELAY_ATTEMPTS], "2");

        let mut outer = Attempts::default();
        first
            .extensions_mut()
            .insert(Served::by(Arc::from("openai")));
        outer.push_at(
            &mut first,
            Outcome::QuotaExhausted,
            Some(&Arc::from("chain")),
        );
        let mut second = Response::new(());
        within.note(&mut second);
        outer.note(&mut second);
        assert_eq!(second.headers()[X_RELAY_ATTEMPTS], "4");
        assert_eq!(
            second.headers()[X_RELAY_FAILED_ATTEMPTS],
            "? server_error, openai quota_exhausted, ? server_error"
        );
        let failed = Attempts::of(&second).unwrap().failed();
        assert_eq!(
            failed
                .iter()
                .map(|attempt| attempt.outcome)
                .collect::<Vec<_>>(),
            [
                Outcome::ServerError,
                Outcome::QuotaExhausted,
                Outcome::ServerError
            ]
        );
    }

    #[test]
    fn what_is_answered_with_after_all_is_struck_out() {
        let mut attempts = Attempts::default();
        let [first, second] = ["openai", "azure"].map(Arc::from);
        attempts.push_at(&mut Response::new(()), Outcome::ServerError, Some(&first));
        attempts.push_at(&mut Response::new(()), Outcome::ServerError, Some(&second));
        attempts.strike_out(0);
        assert_eq!(attempts.made(), 2);
        assert_eq!(attempts.listed(), "azure server_error");
    }

    #[test]
    fn a_list_for_a_header_is_bounded_and_never_breaks_one() {
        let mut attempts = Attempts::default();
        for _ in 0..100 {
            attempts.push_at(
                &mut Response::new(()),
                Outcome::ServerError,
                Some(&Arc::from("a\nb")),
            );
        }
        assert_eq!(attempts.listed().matches(", ").count(), MAX_LISTED - 1);
        let mut response = Response::new(());
        attempts.note(&mut response);
        assert_eq!(response.headers()[X_RELAY_ATTEMPTS], "101");
        assert!(!response.headers().contains_key(X_RELAY_FAILED_ATTEMPTS));
    }

    #[test]
    fn a_single_attempt_leaves_no_trace() {
        let mut response = Response::new(());
        Attempts::default().note(&mut response);
        assert!(response.headers().is_empty());
        assert_eq!(Attempts::of(&response), None);
    }
}
