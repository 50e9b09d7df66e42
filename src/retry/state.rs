//! Whether a request is sent again, and when.

use std::time::Duration;

use http::{Method, Request};

use super::Backoff;
use crate::message::{Effects, Outcome, Phase, RequestBody, Retry};

const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// The settings that decide.
#[derive(Debug, Clone)]
pub(super) struct Policy {
    pub(super) attempts: u32,
    pub(super) backoff: Backoff,
    pub(super) transport_backoff: Backoff,
    pub(super) max_retry_after: Duration,
    /// The same, where there is somewhere else to go.
    pub(super) max_retry_after_elsewhere: Duration,
    /// `None`: unless there is somewhere else to go.
    pub(super) transport: Option<bool>,
}

/// Why a failed attempt is the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// It did not fail, or would fail again.
    Final,
    /// The upstream said so.
    Told,
    /// What was sent may have had effects.
    Effects,
    /// There were as many attempts as may be.
    Attempts,
    /// The upstream asks for a longer wait than anybody would wait here.
    RetryAfter,
    /// The upstream asks for a wait, and another is there that need not be waited for.
    Elsewhere,
    /// The wait would be longer than what is left of the request's time.
    Deadline,
    /// Extra attempts make up as much of the load as they may.
    Budget,
}

impl Stop {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Final => "final",
            Self::Told => "told",
            Self::Effects => "effects",
            Self::Attempts => "attempts",
            Self::RetryAfter => "retry_after",
            Self::Elsewhere => "elsewhere",
            Self::Deadline => "deadline",
            Self::Budget => "budget",
        }
    }
}

/// What an attempt came to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Failed {
    pub(super) outcome: Outcome,
    /// How many attempts have failed, this one among them.
    pub(super) attempts: u32,
    /// Whether the upstream said that it should not be retried.
    pub(super) told_not_to: bool,
    /// What is left of the request's time; `None` for any time.
    pub(super) remaining: Option<Duration>,
    /// Whether a layer further out has somewhere else to send the request.
    pub(super) elsewhere: bool,
}

impl Policy {
    /// The wait before the next attempt at `request`.
    pub(super) fn decide(
        &self,
        failed: Failed,
        request: &Request<RequestBody>,
        random: u64,
    ) -> Result<Duration, Stop> {
        let is_transport = matches!(failed.outcome, Outcome::Transport { .. });
        let asked = match failed.outcome.retry() {
            Retry::Never => return Err(Stop::Final),
            _ if is_transport && !self.retries_transport(&failed, request) => {
                return Err(Stop::Final);
            }
            _ if failed.told_not_to => return Err(Stop::Told),
            Retry::Backoff => Duration::ZERO,
            Retry::After(wait) if wait > self.max_retry_after => return Err(Stop::RetryAfter),
            Retry::After(wait)
                if wait > self.max_retry_after_elsewhere && failed.goes_on(request) =>
            {
                return Err(Stop::Elsewhere);
            }
            Retry::After(wait) => wait,
        };
        if failed.attempts >= self.attempts {
            return Err(Stop::Attempts);
        }
        if !was_not_sent(failed.outcome) && !is_repeatable(request) {
            return Err(Stop::Effects);
        }
        let backoff = if is_transport {
            self.transport_backoff
        } else {
            self.backoff
        };
        let wait = asked.max(backoff.wait(failed.attempts, random));
        if failed.remaining.is_some_and(|remaining| wait >= remaining) {
            return Err(Stop::Deadline);
        }
        Ok(wait)
    }
}

impl Policy {
    fn retries_transport(&self, failed: &Failed, request: &Request<RequestBody>) -> bool {
        self.transport.unwrap_or_else(|| !failed.goes_on(request))
    }
}

impl Failed {
    /// Whether `request` will be sent elsewhere if it is not sent again here. What has effects goes nowhere else, whoever might send
    /// it there.
    fn goes_on(&self, request: &Request<RequestBody>) -> bool {
        self.elsewhere && Effects::of(request) == Effects::Generate
    }
}

/// Whether the upstream cannot have seen anything of the request.
fn was_not_sent(outcome: Outcome) -> bool {
    match outcome {
        Outcome::Refused(_) => true,
        Outcome::Transport { phase } | Outcome::Timeout { phase } => {
            matches!(phase, Phase::Connect | Phase::Credential)
        }
        _ => false,
    }
}

/// Whether sending `request` twice does no more than sending it once.
fn is_repeatable(request: &Request<RequestBody>) -> bool {
    let is_idempotent = matches!(
        *request.method(),
        Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE | Method::PUT | Method::DELETE
    );
    is_idempotent
        || request.headers().contains_key(IDEMPOTENCY_KEY)
        || Effects::of(request) == Effects::Generate
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Refusal;

    const SECOND: Duration = Duration::from_secs(1);

    fn policy() -> Policy {
        Policy {
            attempts: 3,
            backoff: Backoff::default(),
            transport_backoff: Backoff::default(),
            max_retry_after: 60 * SECOND,
            max_retry_after_elsewhere: SECOND,
            transport: None,
        }
    }

    fn failed(outcome: Outcome) -> Failed {
        Failed {
            outcome,
            attempts: 1,
            told_not_to: false,
            remaining: None,
            elsewhere: false,
        }
    }

    fn post(path: &str, body: &'static str) -> Request<RequestBody> {
        Request::post(path).body(RequestBody::json(body)).unwrap()
    }

    fn rate_limited(seconds: u32) -> Outcome {
        let retry_after = Some(SECOND * seconds);
        Outcome::RateLimited { retry_after }
    }

    #[test]
    fn the_longer_of_backoff_and_retry_after_is_waited() {
        let request = post("/v1/embeddings", "{}");
        let wait = |outcome, random| policy().decide(failed(outcome), &request, random);
        assert_eq!(
            wait(rate_limited(0), u64::MAX / 2).unwrap().as_millis(),
            249
        );
        assert_eq!(wait(rate_limited(7), u64::MAX), Ok(7 * SECOND));
        assert_eq!(wait(rate_limited(60), 0), Ok(60 * SECOND));
        assert_eq!(wait(rate_limited(61), 0), Err(Stop::RetryAfter));
    }

    #[test]
    fn no_wait_reaches_the_deadline() {
        let request = post("/v1/embeddings", "{}");
        let failed = Failed {
            remaining: Some(7 * SECOND),
            ..failed(rate_limited(7))
        };
        assert_eq!(policy().decide(failed, &request, 0), Err(Stop::Deadline));
    }

    #[test]
    fn what_may_have_had_effects_is_not_repeated() {
        let reset = Outcome::Transport { phase: Phase::Head };
        let refused = Outcome::Transport {
            phase: Phase::Connect,
        };
        let full = Outcome::Refused(Refusal::ProviderLimit { retry_after: None });
        let mut keyed = post("/v1/files", "{}");
        keyed
            .headers_mut()
            .insert(IDEMPOTENCY_KEY, "4711".parse().unwrap());
        let get = Request::get("/v1/files")
            .body(RequestBody::empty())
            .unwrap();
        for (request, repeated) in [
            (post("/v1/chat/completions", "{}"), true),
            (post("/v1/chat/completions", r#"{"store":true}"#), false),
            (post("/v1/responses", "{}"), false),
            (post("/v1/responses", r#"{"store":false}"#), true),
            (post("/v1/files", "{}"), false),
            (keyed, true),
            (get, true),
        ] {
            let decide = |outcome| policy().decide(failed(outcome), &request, 0);
            let expected = if repeated {
                Ok(Duration::ZERO)
            } else {
                Err(Stop::Effects)
            };
            assert_eq!(decide(reset), expected, "{request:?}");
            assert_eq!(decide(Outcome::ServerError), expected, "{request:?}");
            assert_eq!(decide(refused), Ok(Duration::ZERO), "{request:?}");
            assert_eq!(decide(full), Ok(Duration::ZERO), "{request:?}");
        }
    }

    #[test]
    fn a_connection_that_failed_is_left_to_whoever_has_somewhere_else_to_go() {
        let refused = Failed {
            elsewhere: true,
            ..failed(Outcome::Transport {
                phase: Phase::Connect,
            })
        };
        let asked = |transport| Policy {
            transport,
            ..policy()
        };
        let generate = post("/v1/embeddings", "{}");
        let stateful = post("/v1/files", "{}");
        for (transport, request, expected) in [
            (None, &generate, Err(Stop::Final)),
            (None, &stateful, Ok(Duration::ZERO)),
            (Some(true), &generate, Ok(Duration::ZERO)),
            (Some(false), &stateful, Err(Stop::Final)),
        ] {
            let decided = asked(transport).decide(refused, request, 0);
            assert_eq!(decided, expected, "{transport:?} {request:?}");
        }
    }

    #[test]
    fn a_wait_that_the_upstream_asks_for_is_left_to_whoever_need_not_wait() {
        let elsewhere = |outcome| Failed {
            elsewhere: true,
            ..failed(outcome)
        };
        let generate = post("/v1/embeddings", "{}");
        let mut keyed = post("/v1/files", "{}");
        let key = "4711".parse().unwrap();
        keyed.headers_mut().insert(IDEMPOTENCY_KEY, key);
        let retry_after = Some(2 * SECOND);
        let full = Outcome::Refused(Refusal::ProviderLimit { retry_after });
        for (request, outcome, expected) in [
            (&generate, rate_limited(1), Ok(SECOND)),
            (&generate, rate_limited(2), Err(Stop::Elsewhere)),
            (&generate, full, Err(Stop::Elsewhere)),
            (&generate, rate_limited(61), Err(Stop::RetryAfter)),
            // It goes nowhere else.
            (&keyed, rate_limited(2), Ok(2 * SECOND)),
        ] {
            let decided = policy().decide(elsewhere(outcome), request, 0);
            assert_eq!(decided, expected, "{outcome:?}");
        }
        // The wait of one's own backoff is one's own choice.
        let slow = Policy {
            backoff: Backoff {
                base: 5 * SECOND,
                jitter: super::super::Jitter::None,
                ..Backoff::default()
            },
            ..policy()
        };
        let decided = slow.decide(elsewhere(Outcome::ServerError), &generate, 0);
        assert_eq!(decided, Ok(5 * SECOND));
    }

    #[test]
    fn what_would_fail_again_is_not_tried_again() {
        let request = post("/v1/embeddings", "{}");
        for outcome in [
            Outcome::Success,
            Outcome::QuotaExhausted,
            Outcome::InvalidRequest,
            Outcome::ContextTooLong,
            Outcome::Refused(Refusal::CircuitOpen),
        ] {
            assert_eq!(
                policy().decide(failed(outcome), &request, 0),
                Err(Stop::Final)
            );
        }
        let told = Failed {
            told_not_to: true,
            ..failed(Outcome::ServerError)
        };
        assert_eq!(policy().decide(told, &request, 0), Err(Stop::Told));
        let last = Failed {
            attempts: 3,
            ..failed(Outcome::ServerError)
        };
        assert_eq!(policy().decide(last, &request, 0), Err(Stop::Attempts));
    }
}
