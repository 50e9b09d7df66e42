//! What the spans say.

use http::{HeaderMap, Request};
use tracing::{Span, Value, field::Empty};

use super::{
    conventions::{ATTEMPT_SPAN, REQUEST_SPAN, attribute},
    exchange::{About, Head, Settled},
};
use crate::message::{Endpoint, RequestBody, Served};

/// Says something of `span`; nothing where it has no such field, or nobody listens.
pub(super) fn put<V: Value>(span: &Span, name: &'static str, value: V) {
    span.record(name, value);
}

/// The span of `request`, for whoever is interested.
pub(super) fn request(request: &Request<RequestBody>, endpoint: Endpoint) -> Span {
    let span = tracing::info_span!(
        REQUEST_SPAN,
        { attribute::OTEL_NAME } = Empty,
        { attribute::OTEL_KIND } = "server",
        { attribute::OTEL_STATUS } = Empty,
        { attribute::OPERATION } = operation(endpoint),
        { attribute::PROVIDER } = Empty,
        { attribute::REQUEST_MODEL } = Empty,
        { attribute::MAX_TOKENS } = Empty,
        { attribute::STREAM } = Empty,
        { attribute::RESPONSE_MODEL } = Empty,
        { attribute::FINISH_REASONS } = Empty,
        { attribute::FIRST_CHUNK } = Empty,
        { attribute::INPUT_TOKENS } = Empty,
        { attribute::OUTPUT_TOKENS } = Empty,
        { attribute::CACHE_READ_TOKENS } = Empty,
        { attribute::CACHE_WRITE_TOKENS } = Empty,
        { attribute::REASONING_TOKENS } = Empty,
        { attribute::INPUT_MESSAGES } = Empty,
        { attribute::ERROR } = Empty,
        { attribute::SERVER_ADDRESS } = Empty,
        { attribute::SERVER_PORT } = Empty,
        { attribute::STATUS } = Empty,
        { attribute::REQUEST_ID } = Empty,
        { attribute::ENDPOINT } = endpoint.as_str(),
        { attribute::UPSTREAM } = Empty,
        { attribute::END } = Empty,
        { attribute::COST } = Empty,
        { attribute::ATTEMPTS } = Empty,
        { attribute::QUEUE_TIME } = Empty,
        { attribute::CACHE } = Empty,
        { attribute::SPLIT } = Empty,
        { attribute::SPLIT_REASON } = Empty,
        { attribute::COMPLEXITY } = Empty,
        { attribute::SELECTION } = Empty,
        { attribute::ANSWER } = Empty,
    );
    if span.is_disabled() {
        return span;
    }
    let what = operation(endpoint).unwrap_or(endpoint.as_str());
    let body = request.body();
    match body.model().filter(|_| endpoint.reads_json()) {
        Some(model) => {
            let model = shown(&model);
            let name = format_args!("{what} {model}").to_string();
            put(&span, attribute::OTEL_NAME, name.as_str());
            put(&span, attribute::REQUEST_MODEL, model);
            put(&span, attribute::STREAM, body.is_streaming());
            put(&span, attribute::MAX_TOKENS, body.max_output_tokens());
        }
        None => put(&span, attribute::OTEL_NAME, what),
    }
    span
}

/// The span of an attempt at an upstream, within that of its request.
pub(super) fn attempt(upstream: Option<&str>, model: Option<&str>) -> Span {
    tracing::info_span!(
        ATTEMPT_SPAN,
        { attribute::OTEL_KIND } = "client",
        { attribute::OTEL_STATUS } = Empty,
        { attribute::UPSTREAM } = upstream,
        { attribute::REQUEST_MODEL } = model.map(shown),
        { attribute::ERROR } = Empty,
        { attribute::SERVER_ADDRESS } = Empty,
        { attribute::SERVER_PORT } = Empty,
        { attribute::STATUS } = Empty,
        { attribute::OUTCOME } = Empty,
    )
}

/// What the head of an answer says.
pub(super) fn head(span: &Span, about: &About, head: &Head, headers: &HeaderMap) {
    put(span, attribute::STATUS, head.status.as_u16());
    if let Some(served) = &head.served {
        put(span, attribute::UPSTREAM, &*served.upstream);
        put(span, attribute::PROVIDER, about.shared.provider(served));
        server(span, served);
    }
    let cache = headers.get("x-relay-cache");
    if let Some(cache) = cache.and_then(|cache| cache.to_str().ok()) {
        put(span, attribute::CACHE, cache);
    }
}

/// Where an answer came from.
pub(super) fn server(span: &Span, served: &Served) {
    let Some(host) = &served.host else { return };
    let port = host
        .rsplit_once(':')
        .and_then(|(name, port)| Some((name, port.parse::<u16>().ok()?)));
    match port {
        Some((name, port)) => {
            put(span, attribute::SERVER_ADDRESS, name);
            put(span, attribute::SERVER_PORT, port);
        }
        None => put(span, attribute::SERVER_ADDRESS, &**host),
    }
}

/// What is known when the answer has ended.
pub(super) fn end(span: &Span, settled: &Settled<'_>) {
    let trail = &settled.about.trail;
    put(span, attribute::END, settled.end.as_str());
    put(span, attribute::ATTEMPTS, trail.attempts());
    let queued = trail.queued();
    if !queued.is_zero() {
        put(span, attribute::QUEUE_TIME, queued.as_secs_f64());
    }
    if let Some(error) = settled.error {
        put(span, attribute::ERROR, error);
        put(span, attribute::OTEL_STATUS, "ERROR");
    }
    if let Some(at) = settled.first_chunk_at() {
        put(
            span,
            attribute::FIRST_CHUNK,
            settled.since(at).as_secs_f64(),
        );
    }
    let Some(completion) = settled.completion else {
        return;
    };
    if let Some(model) = &completion.model {
        put(span, attribute::RESPONSE_MODEL, shown(model));
    }
    if let Some(reason) = &completion.finish_reason {
        finish_reason(span, shown(reason));
    }
    if let Some(usage) = settled.used() {
        put(span, attribute::INPUT_TOKENS, usage.total_input());
        put(span, attribute::OUTPUT_TOKENS, usage.total_output());
        let written = usage.cache_write_5m.saturating_add(usage.cache_write_1h);
        for (name, tokens) in [
            (attribute::CACHE_READ_TOKENS, usage.cache_read),
            (attribute::CACHE_WRITE_TOKENS, written),
            (attribute::REASONING_TOKENS, usage.reasoning),
        ] {
            if tokens > 0 {
                put(span, name, tokens);
            }
        }
    }
}

/// OpenTelemetry has a list of them, which spans of `tracing` cannot hold: where that is the subscriber, it is told directly.
fn finish_reason(span: &Span, reason: &str) {
    #[cfg(feature = "otlp")]
    if super::otel::set_list(span, attribute::FINISH_REASONS, reason) {
        return;
    }
    put(span, attribute::FINISH_REASONS, reason);
}

/// What is called `gen_ai.operation.name`.
pub(super) fn operation(endpoint: Endpoint) -> Option<&'static str> {
    Some(match endpoint {
        Endpoint::ChatCompletions | Endpoint::Responses | Endpoint::Messages => "chat",
        Endpoint::Completions => "text_completion",
        Endpoint::Embeddings => "embeddings",
        Endpoint::CountTokens => "count_tokens",
        Endpoint::Moderations => "moderation",
        Endpoint::Rerank => "rerank",
        Endpoint::Models | Endpoint::Other => return None,
    })
}

/// A name that others chose, no longer than names are.
fn shown(name: &str) -> &str {
    const MAX: usize = 256;
    if name.len() <= MAX {
        return name;
    }
    let end = (0..=MAX).rev().find(|end| name.is_char_boundary(*end));
    end.and_then(|end| name.get(..end)).unwrap_or_default()
}
