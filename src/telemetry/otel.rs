//! Spans under the ids that OpenTelemetry gives them, where `tracing-opentelemetry` is among the subscribers.

use opentelemetry::{
    Array, Context, SpanId, StringValue, TraceFlags, TraceId, Value,
    trace::{SpanContext, TraceContextExt, TraceState},
};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

use crate::wire::trace_context::TraceContext;

/// The ids of `span`; `None` where it has none.
pub(super) fn context(span: &Span) -> Option<TraceContext> {
    let context = span.context();
    let context = context.span().span_context().clone();
    context.is_valid().then(|| TraceContext {
        trace_id: context.trace_id().to_bytes(),
        span_id: context.span_id().to_bytes(),
        sampled: context.is_sampled(),
    })
}

/// Makes `span` a child of the caller's.
pub(super) fn continue_from(span: &Span, parent: TraceContext) {
    let parent = SpanContext::new(
        TraceId::from_bytes(parent.trace_id),
        SpanId::from_bytes(parent.span_id),
        if parent.sampled {
            TraceFlags::SAMPLED
        } else {
            TraceFlags::NOT_SAMPLED
        },
        true,
        TraceState::NONE,
    );
    // Where nobody gives it an id there is no parent to have.
    let _ = span.set_parent(Context::new().with_remote_span_context(parent));
}

/// Sets an attribute that is a list of one; whether anybody takes it.
pub(super) fn set_list(span: &Span, name: &'static str, only: &str) -> bool {
    let is_taken = context(span).is_some();
    if is_taken {
        let list = vec![StringValue::from(only.to_owned())];
        span.set_attribute(name, Value::Array(Array::String(list)));
    }
    is_taken
}
