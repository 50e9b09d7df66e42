//! What the end of an answer makes of its head.

use std::time::Duration;

use tokio::time::Instant;

use crate::message::{ApiError, Completion, End, Failure, Outcome, Phase, Refusal};

fn ended(end: End) -> Completion {
    Completion {
        end,
        usage: None,
        usage_is_final: false,
        finish_reason: None,
        model: None,
        service_tier: None,
        error: None,
        first_byte_at: None,
        first_token_at: None,
        ended_at: Instant::now(),
        chunks: 0,
        bytes: 0,
        output_weight: None,
        stated_cost: None,
        bill: None,
    }
}

const ENDS: [End; 7] = [
    End::Complete,
    End::Failed(Failure::Body),
    End::Failed(Failure::Deadline),
    End::Failed(Failure::Truncated),
    End::Failed(Failure::Stated),
    End::Failed(Failure::Transform),
    End::Cancelled,
];

#[test]
fn every_end_overrules_a_success_as_the_table_says() {
    let phase = Phase::Body;
    let outcomes = [
        Outcome::Success,
        Outcome::Transport { phase },
        Outcome::Timeout { phase },
        Outcome::Transport { phase },
        Outcome::ServerError,
        Outcome::Success,
        Outcome::Cancelled,
    ];
    for (end, outcome) in ENDS.into_iter().zip(outcomes) {
        assert_eq!(
            Outcome::of_completion(&ended(end), Outcome::Success),
            outcome,
            "{end:?}"
        );
    }
}

#[test]
fn no_end_overrules_a_head_that_says_more_than_success() {
    let retry_after = Some(Duration::from_secs(7));
    for head in [
        Outcome::RateLimited { retry_after },
        Outcome::QuotaExhausted,
        Outcome::ServerError,
        Outcome::InvalidRequest,
        Outcome::Refused(Refusal::Tenant),
    ] {
        for end in ENDS {
            assert_eq!(
                Outcome::of_completion(&ended(end), head),
                head,
                "{head:?} {end:?}"
            );
        }
    }
}

#[test]
fn an_error_inside_a_success_means_what_it_says() {
    for (body, label) in [
        (
            r#"{"error":{"message":"x","type":"overloaded_error"}}"#,
            "overloaded",
        ),
        (
            r#"{"error":{"message":"x","type":"insufficient_quota","code":"insufficient_quota"}}"#,
            "quota_exhausted",
        ),
        (
            r#"{"error":{"message":"This model's maximum context length is 8192 tokens.","code":400}}"#,
            "context_too_long",
        ),
        (r#"{"error":{"message":"x","code":502}}"#, "server_error"),
    ] {
        let completion = Completion {
            error: ApiError::in_answer(body.as_bytes()),
            ..ended(End::Failed(Failure::Stated))
        };
        let outcome = Outcome::of_completion(&completion, Outcome::Success);
        assert_eq!(outcome.as_str(), label, "{body}");
    }
}

#[test]
fn the_reason_of_a_complete_answer_may_be_no_success() {
    for (reason, label) in [
        ("stop", "success"),
        ("length", "success"),
        ("content_filter", "content_filtered"),
        ("network_error", "server_error"),
    ] {
        let completion = Completion {
            finish_reason: Some(reason.into()),
            ..ended(End::Complete)
        };
        let outcome = Outcome::of_completion(&completion, Outcome::Success);
        assert_eq!(outcome.as_str(), label, "{reason}");
    }
}
