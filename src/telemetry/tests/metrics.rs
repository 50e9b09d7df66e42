use std::{sync::Arc, time::Duration};

use http::{Response, StatusCode};
use http_body_util::BodyExt;
use tokio::time::Instant;
use tower::{Layer, ServiceExt};

use super::{
    super::{TelemetryLayer, conventions::BUCKETS, sample},
    ANSWER, STREAM, answer, ask, chat, upstream,
};
use crate::{
    message::{ApiError, Dialect, Reason, Rejection, ResponseBody},
    server::Prometheus,
    stats::{Availability, Stats},
    testing::{
        answering,
        prometheus::{Family, names, parse, value},
        read,
    },
};

fn recorded(stats: &Stats) -> (TelemetryLayer, Prometheus) {
    let prometheus = BUCKETS
        .iter()
        .fold(Prometheus::new(), |prometheus, (name, bounds)| {
            prometheus.buckets(name, bounds)
        });
    let recorder = Arc::new(prometheus.clone());
    let telemetry = TelemetryLayer::builder().stats(stats).recorder(recorder);
    (telemetry.build().unwrap(), prometheus)
}

fn shown(prometheus: &Prometheus) -> Vec<Family> {
    parse(&prometheus.render()).unwrap()
}

fn refused() -> Response<ResponseBody> {
    let error = ApiError::new(StatusCode::TOO_MANY_REQUESTS, "rate_limit_error", "no");
    Rejection::new("rate_limit", Reason::RateLimited).into_response(&error, Dialect::OpenAi)
}

#[tokio::test(start_paused = true)]
async fn the_names_and_labels_are_those_on_record() {
    let stats = Stats::default();
    let (telemetry, prometheus) = recorded(&stats);
    stats.availability("openai").publish(Availability::Probing);
    ask(&telemetry, chat("gpt-4.1"), |_| {
        answer(200, "text/event-stream", STREAM)
    })
    .await;
    ask(&telemetry, chat("gpt-4.1"), |_| {
        answer(500, "application/json", "{}")
    })
    .await;
    let service = telemetry.layer(answering(|_| refused()));
    read(service.oneshot(chat("gpt-4.1")).await.unwrap()).await;
    let read = stats.clone();
    prometheus.sampled("stats", move |recorder| {
        sample(&read.snapshot(Instant::now()), recorder);
    });

    let mut text = String::new();
    for (name, labels) in names(&shown(&prometheus)) {
        let labels: Vec<_> = labels.into_iter().collect();
        text += &[&*name, ": ", &*labels.join(" "), "\n"].concat();
    }
    assert_eq!(
        text,
        "gen_ai_client_operation_duration_seconds: error_type gen_ai_operation_name gen_ai_provider_name gen_ai_request_model gen_ai_response_model le relay_upstream
gen_ai_client_operation_time_per_output_chunk_seconds: gen_ai_operation_name gen_ai_provider_name gen_ai_request_model gen_ai_response_model le relay_upstream
gen_ai_client_operation_time_to_first_chunk_seconds: gen_ai_operation_name gen_ai_provider_name gen_ai_request_model gen_ai_response_model le relay_upstream
gen_ai_client_token_usage: gen_ai_operation_name gen_ai_provider_name gen_ai_request_model gen_ai_response_model gen_ai_token_type le relay_upstream
relay_attempt_duration_seconds: gen_ai_request_model le relay_outcome relay_upstream
relay_breaker_state: relay_state relay_upstream
relay_cost_usd: gen_ai_request_model le relay_upstream
relay_fallbacks_total: 
relay_metrics_dropped_total: 
relay_overhead_duration_seconds: le
relay_queue_duration_seconds: le
relay_refusals_total: relay_layer relay_reason
relay_requests_in_flight: 
relay_requests_total: relay_end relay_endpoint
relay_retries_total: 
relay_tokens_total: gen_ai_request_model relay_tokens_kind relay_upstream
relay_unpriced_total: gen_ai_request_model relay_upstream
"
    );
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_measured_to_its_end_and_by_its_chunks() {
    let stats = Stats::default();
    let (telemetry, prometheus) = recorded(&stats);
    let service = telemetry.layer(upstream(telemetry.attempts(), |_| {
        answer(200, "text/event-stream", STREAM)
    }));
    let response = service.oneshot(chat("gpt-4.1")).await.unwrap();
    tokio::time::advance(Duration::from_millis(500)).await;
    response.into_body().collect().await.unwrap();

    let families = shown(&prometheus);
    let get = |name: &str| value(&families, name, &[]);
    assert_eq!(
        get("gen_ai_client_operation_duration_seconds_sum"),
        Some(0.5)
    );
    assert_eq!(
        get("gen_ai_client_operation_time_to_first_chunk_seconds_sum"),
        Some(0.5)
    );
    // Three chunks, and so two gaps.
    assert_eq!(
        get("gen_ai_client_operation_time_per_output_chunk_seconds_count"),
        Some(2.0)
    );
    let tokens = |kind| {
        let kind = [("gen_ai_token_type", kind)];
        value(&families, "gen_ai_client_token_usage_sum", &kind)
    };
    assert_eq!((tokens("input"), tokens("output")), (Some(3.0), Some(2.0)));
    assert_eq!(get("relay_overhead_duration_seconds_count"), Some(1.0));
}

#[tokio::test(start_paused = true)]
async fn what_an_attempt_used_is_counted_by_disjoint_kinds_and_priced() {
    let (telemetry, prometheus) = recorded(&Stats::default());
    ask(&telemetry, chat("gpt-4.1"), |_| {
        answer(200, "application/json", ANSWER)
    })
    .await;
    let unknown =
        r#"{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}"#;
    ask(&telemetry, chat("mine"), move |_| {
        answer(200, "application/json", unknown)
    })
    .await;
    let families = shown(&prometheus);
    let kinds = ["input", "cache_read", "cache_write", "output", "reasoning"].map(|kind| {
        let labels = [
            ("relay_tokens_kind", kind),
            ("gen_ai_request_model", "gpt-4.1"),
        ];
        value(&families, "relay_tokens_total", &labels)
    });
    assert_eq!(kinds, [4.0, 16.0, 0.0, 5.0, 4.0].map(Some));
    let known = [("gen_ai_request_model", "gpt-4.1")];
    let cost = value(&families, "relay_cost_usd_sum", &known).unwrap();
    assert!((cost - 0.000_088).abs() < 1e-12, "{cost}");
    let other = [("gen_ai_request_model", "other")];
    assert_eq!(value(&families, "relay_unpriced_total", &other), Some(1.0));
    assert_eq!(value(&families, "relay_unpriced_total", &known), Some(0.0));
}

#[tokio::test(start_paused = true)]
async fn refusals_are_counted_by_layer_and_reason() {
    let (telemetry, prometheus) = recorded(&Stats::default());
    let service = telemetry.layer(answering(|_| refused()));
    for _ in 0..3 {
        read(service.clone().oneshot(chat("gpt-4.1")).await.unwrap()).await;
    }
    let families = shown(&prometheus);
    let labels = [
        ("relay_layer", "rate_limit"),
        ("relay_reason", "rate_limited"),
    ];
    assert_eq!(value(&families, "relay_refusals_total", &labels), Some(3.0));
    let labels = [
        ("relay_end", "rejected"),
        ("relay_endpoint", "chat_completions"),
    ];
    assert_eq!(value(&families, "relay_requests_total", &labels), Some(3.0));
}

#[tokio::test(start_paused = true)]
async fn names_that_callers_make_up_make_no_metrics() {
    let (telemetry, prometheus) = recorded(&Stats::default());
    ask(&telemetry, chat("made-up"), |_| {
        answer(404, "application/json", "{}")
    })
    .await;
    let before = prometheus.render().lines().count();
    for number in 0..200 {
        let model = format!("made-up-{number}");
        ask(&telemetry, chat(&model), |_| {
            answer(404, "application/json", "{}")
        })
        .await;
    }
    assert_eq!(prometheus.render().lines().count(), before);
    let snapshot = telemetry.stats().snapshot(Instant::now());
    assert_eq!(snapshot.series.len(), 1);
}
