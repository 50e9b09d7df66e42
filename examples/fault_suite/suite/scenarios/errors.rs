//! Errors that an upstream states.

use std::time::Duration;

use super::{
    Plan, Scenario,
    parts::{error, head, send, stream, whole},
};
use crate::suite::{
    check::Outcome,
    script::{Call, Step},
};

pub(super) fn scenarios() -> Vec<Scenario> {
    let failed = |status: &str, headers: &[&str]| {
        error(
            status,
            headers,
            "server_error",
            "server_error",
            "it is on fire",
        )
    };
    let mut scenarios = vec![
        Scenario::both(
            "500",
            &failed("500 Internal Server Error", &[]),
            Plan::retried(500, "server_error"),
        ),
        Scenario::both(
            "500_final",
            &failed("500 Internal Server Error", &["x-should-retry: false"]),
            Plan::elsewhere(500, "server_error"),
        ),
        Scenario::both(
            "502",
            &failed("502 Bad Gateway", &[]),
            Plan::retried(502, "server_error"),
        ),
        Scenario::both(
            "503",
            &failed("503 Service Unavailable", &[]),
            Plan::retried(503, "server_error"),
        ),
        Scenario::both(
            "504",
            &failed("504 Gateway Timeout", &[]),
            Plan::retried(504, "server_error"),
        ),
        Scenario::both(
            "408",
            &failed("408 Request Timeout", &[]),
            Plan::retried(408, "server_error"),
        ),
        Scenario::both(
            "500_empty",
            &whole(&["HTTP/1.1 500 Internal Server Error"], ""),
            Plan::retried(500, "null"),
        ),
        Scenario::both("500_cut", &begun(Step::Close), Plan::retried(500, "null")),
        Scenario::both(
            "500_stalls",
            &begun(Step::Silence),
            Plan::retried(500, "null").each(Duration::from_secs(1)),
        ),
        Scenario::both("529", &overloaded(), Plan::retried(529, "null")),
    ];
    scenarios.extend(rate_limits());
    scenarios.extend([
        Scenario::both(
            "quota_exhausted",
            &error(
                "429 Too Many Requests",
                &[],
                "insufficient_quota",
                "insufficient_quota",
                "You exceeded your current quota.",
            ),
            Plan::elsewhere(429, "insufficient_quota"),
        ),
        Scenario::both(
            "invalid_request",
            &error(
                "400 Bad Request",
                &[],
                "invalid_request_error",
                "invalid_value",
                "No such temperature.",
            ),
            Plan::always(Outcome::Error(400, "invalid_value")),
        ),
        Scenario::both(
            "context_too_long",
            &error(
                "400 Bad Request",
                &[],
                "invalid_request_error",
                "context_length_exceeded",
                "Too long.",
            ),
            Plan::always(Outcome::Error(400, "context_length_exceeded")),
        ),
        Scenario::both(
            "content_filtered",
            &error(
                "400 Bad Request",
                &[],
                "invalid_request_error",
                "content_policy_violation",
                "Refused.",
            ),
            Plan::always(Outcome::Error(400, "content_policy_violation")),
        ),
        Scenario::both(
            "wrong_key",
            &error(
                "401 Unauthorized",
                &[],
                "invalid_request_error",
                "invalid_api_key",
                "Wrong key.",
            ),
            Plan::elsewhere(502, "upstream_auth"),
        ),
        Scenario::both(
            "no_such_model",
            &error(
                "404 Not Found",
                &[],
                "invalid_request_error",
                "model_not_found",
                "No such model.",
            ),
            Plan::elsewhere(404, "model_not_found"),
        ),
        Scenario::both(
            "html_502",
            &whole(
                &["HTTP/1.1 502 Bad Gateway", "content-type: text/html"],
                "<html><body><h1>502 Bad Gateway</h1><hr>nginx</body></html>",
            ),
            Plan::retried(502, "null"),
        ),
        Scenario::both(
            "html_200",
            &whole(
                &["HTTP/1.1 200 OK", "content-type: text/html"],
                "<html><body><h1>Please log in</h1></body></html>",
            ),
            Plan::elsewhere(502, "upstream_bad_answer"),
        ),
        in_a_success(),
    ]);
    scenarios
}

/// 429, with a wait in every form.
fn rate_limits() -> Vec<Scenario> {
    let limited = |name, header: &[&str], waits: Option<u64>| {
        let call = error(
            "429 Too Many Requests",
            header,
            "requests",
            "rate_limit_exceeded",
            "Slow down.",
        );
        let plan = match waits {
            Some(0) => Plan::retried(429, "rate_limit_exceeded"),
            Some(millis) => {
                Plan::limited(429, "rate_limit_exceeded", Duration::from_millis(millis))
            }
            None => Plan::elsewhere(429, "rate_limit_exceeded"),
        };
        Scenario::both(name, &call, plan)
    };
    vec![
        limited("429", &[], Some(0)),
        limited("429_seconds", &["retry-after: 2"], Some(2_000)),
        limited("429_float", &["retry-after: 1.5"], Some(1_500)),
        limited("429_date", &["retry-after: {date+3}"], Some(3_000)),
        limited("429_ms", &["retry-after-ms: 1500"], Some(1_500)),
        limited("429_absurd", &["retry-after: 31536000"], None),
        limited(
            "429_endless",
            &["retry-after: 99999999999999999999999999"],
            None,
        ),
        limited("429_negative", &["retry-after: -5"], Some(0)),
        limited("429_garbage", &["retry-after: soon, I hope"], Some(0)),
    ]
}

/// An error of which half comes.
fn begun(then: Step) -> Call {
    vec![
        head([
            "HTTP/1.1 500 Internal Server Error",
            "content-type: application/json",
            "content-length: 200",
        ]),
        send(r#"{"error":{"message":"it is o"#),
        then,
    ]
}

/// Anthropic's.
fn overloaded() -> Call {
    whole(
        &["HTTP/1.1 529 Overloaded", "content-type: application/json"],
        r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#,
    )
}

fn in_a_success() -> Scenario {
    let json = r#"{"error":{"message":"it is on fire","type":"server_error","param":null,"code":"server_error"}}"#;
    let body = whole(&["HTTP/1.1 200 OK", "content-type: application/json"], json);
    let event = format!("data: {json}\n\n");
    let plan = Plan::retried(500, "server_error");
    Scenario::new(
        "error_in_200",
        (body, plan),
        (stream(&[event], [Step::LastChunk]), plan),
    )
}
