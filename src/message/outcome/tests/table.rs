//! The table of the documentation, row by row.

use std::time::Duration;

use http::Response;

use crate::message::{
    FallBack, Outcome, Phase, Reason, Refusal, Rejection, Retry, TransportError, Verdict,
};

#[test]
fn every_row_of_the_table_holds() {
    let wait = Duration::from_secs(7);
    let (some, none) = (Some(wait), None);
    let phase = Phase::Head;
    let after = Retry::After(wait);
    for (outcome, retry, fall_back, verdict) in [
        (
            Outcome::Success,
            Retry::Never,
            FallBack::No,
            Verdict::Success,
        ),
        (
            Outcome::RateLimited { retry_after: some },
            after,
            FallBack::Yes,
            Verdict::RateLimited,
        ),
        (
            Outcome::RateLimited { retry_after: none },
            Retry::Backoff,
            FallBack::Yes,
            Verdict::RateLimited,
        ),
        (
            Outcome::QuotaExhausted,
            Retry::Never,
            FallBack::Yes,
            Verdict::Exhausted,
        ),
        (
            Outcome::Overloaded { retry_after: some },
            after,
            FallBack::Yes,
            Verdict::Failure,
        ),
        (
            Outcome::Overloaded { retry_after: none },
            Retry::Backoff,
            FallBack::Yes,
            Verdict::Failure,
        ),
        (
            Outcome::ServerError,
            Retry::Backoff,
            FallBack::Yes,
            Verdict::Failure,
        ),
        (
            Outcome::Timeout { phase },
            Retry::Backoff,
            FallBack::Yes,
            Verdict::Failure,
        ),
        (
            Outcome::Transport { phase },
            Retry::Backoff,
            FallBack::Yes,
            Verdict::Failure,
        ),
        (
            Outcome::ContextTooLong,
            Retry::Never,
            FallBack::ToLargerWindow,
            Verdict::Blameless,
        ),
        (
            Outcome::ContentFiltered,
            Retry::Never,
            FallBack::IfAsked,
            Verdict::Blameless,
        ),
        (
            Outcome::ModelNotFound,
            Retry::Never,
            FallBack::Yes,
            Verdict::Blameless,
        ),
        (
            Outcome::UpstreamAuth,
            Retry::Never,
            FallBack::Yes,
            Verdict::Blameless,
        ),
        (
            Outcome::InvalidRequest,
            Retry::Never,
            FallBack::No,
            Verdict::Blameless,
        ),
        (
            Outcome::Cancelled,
            Retry::Never,
            FallBack::No,
            Verdict::Neutral,
        ),
        (
            Outcome::Refused(Refusal::CircuitOpen),
            Retry::Never,
            FallBack::Yes,
            Verdict::Neutral,
        ),
        (
            Outcome::Refused(Refusal::ProviderLimit { retry_after: some }),
            after,
            FallBack::Yes,
            Verdict::Neutral,
        ),
        (
            Outcome::Refused(Refusal::Tenant),
            Retry::Never,
            FallBack::No,
            Verdict::Neutral,
        ),
    ] {
        let row = (outcome.retry(), outcome.falls_back(), outcome.verdict());
        assert_eq!(row, (retry, fall_back, verdict), "{outcome:?}");
    }
    let alerting = [Outcome::ModelNotFound, Outcome::UpstreamAuth];
    assert!(alerting.iter().all(|outcome| outcome.alerts()));
    assert!(!Outcome::InvalidRequest.alerts());
}

#[test]
fn what_a_layer_refused_is_told_from_what_the_upstream_answered() {
    for (reason, outcome) in [
        (Reason::InvalidRequest, Outcome::InvalidRequest),
        (Reason::BodyTooLarge, Outcome::InvalidRequest),
        (Reason::UpgradeUnsupported, Outcome::InvalidRequest),
        (Reason::ModelNotFound, Outcome::ModelNotFound),
        (Reason::Overloaded, Outcome::Refused(Refusal::Tenant)),
        (Reason::Unauthenticated, Outcome::Refused(Refusal::Tenant)),
        (Reason::LimitsUnavailable, Outcome::Refused(Refusal::Tenant)),
        (
            Reason::Timeout(Phase::Connect),
            Outcome::Timeout {
                phase: Phase::Connect,
            },
        ),
    ] {
        let mut response = Response::builder().status(503).body(()).unwrap();
        response
            .extensions_mut()
            .insert(Rejection::new("test", reason));
        assert_eq!(Outcome::of_head(&response), Some(outcome), "{reason:?}");
    }
}

#[test]
fn a_broken_connection_keeps_its_phase() {
    let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
    let late = std::io::Error::from(std::io::ErrorKind::TimedOut);
    for (error, outcome) in [
        (
            refused,
            Outcome::Transport {
                phase: Phase::Connect,
            },
        ),
        (late, Outcome::Timeout { phase: Phase::Head }),
    ] {
        let mut response = Response::builder().status(502).body(()).unwrap();
        response.extensions_mut().insert(TransportError::new(error));
        assert_eq!(Outcome::of_head(&response), Some(outcome));
    }
}

#[test]
fn a_noted_outcome_comes_first_and_an_unread_error_has_none() {
    let mut response = Response::builder().status(500).body(()).unwrap();
    assert_eq!(Outcome::of_head(&response), None);
    response
        .extensions_mut()
        .insert(Rejection::new("test", Reason::Overloaded));
    response.extensions_mut().insert(Outcome::QuotaExhausted);
    assert_eq!(Outcome::of_head(&response), Some(Outcome::QuotaExhausted));
    for status in [200, 204, 304] {
        let response = Response::builder().status(status).body(()).unwrap();
        assert_eq!(Outcome::of_head(&response), Some(Outcome::Success));
        assert_eq!(Outcome::of(&response), None);
    }
}
