//! How often a request was sent until its answer came.

use http::{HeaderName, Response};

use crate::message::Outcome;

/// The header that tells how many attempts an answer took. Only there when it took more than one.
pub const X_RELAY_ATTEMPTS: HeaderName = HeaderName::from_static("x-relay-attempts");

/// The attempts that an answer took, where it took more than one. Stands in the answer's extensions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attempts {
    failed: Vec<Outcome>,
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

    /// What came of the attempts before the one that was answered with, in their order.
    pub fn failed(&self) -> &[Outcome] {
        &self.failed
    }

    /// Notes an attempt that is not answered with: what `response` came to, and what was noted in it of attempts further in.
    pub fn push<B>(&mut self, response: &mut Response<B>, outcome: Outcome) {
        if let Some(inner) = response.extensions_mut().remove::<Self>() {
            self.failed.extend(inner.failed);
        }
        self.failed.push(outcome);
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
        let made = self.made();
        response.headers_mut().insert(X_RELAY_ATTEMPTS, made.into());
        response.extensions_mut().insert(self);
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
        outer.push(&mut first, Outcome::QuotaExhausted);
        let mut second = Response::new(());
        within.note(&mut second);
        outer.note(&mut second);
        assert_eq!(second.headers()[X_RELAY_ATTEMPTS], "4");
        assert_eq!(
            Attempts::of(&second).unwrap().failed(),
            [
                Outcome::ServerError,
                Outcome::QuotaExhausted,
                Outcome::ServerError
            ]
        );
    }

    #[test]
    fn a_single_attempt_leaves_no_trace() {
        let mut response = Response::new(());
        Attempts::default().note(&mut response);
        assert!(response.headers().is_empty());
        assert_eq!(Attempts::of(&response), None);
    }
}
