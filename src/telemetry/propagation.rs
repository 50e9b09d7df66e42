//! Which trace a request belongs to, on its way through the relay.

use std::sync::LazyLock;

use http::{HeaderMap, HeaderName, HeaderValue};
use tracing::Span;

use crate::{random::Random, wire::trace_context::TraceContext};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

static IDS: LazyLock<Random> = LazyLock::new(Random::from_entropy);
/// Half of each trace's id, so that relays that begin at the same number do not begin the same traces.
static PROCESS: LazyLock<u64> = LazyLock::new(|| Random::from_entropy().next());

/// What the caller says of its trace. What cannot be read is removed: nothing may continue it.
pub(super) fn take(headers: &mut HeaderMap) -> Option<TraceContext> {
    let mut values = headers.get_all(TRACEPARENT).iter();
    let context = match (values.next(), values.next()) {
        (Some(value), None) => TraceContext::parse(value.as_bytes()),
        _ => None,
    };
    if context.is_none() {
        remove(headers);
    }
    context
}

/// Nothing further in is to know of a trace.
pub(super) fn remove(headers: &mut HeaderMap) {
    headers.remove(TRACEPARENT);
    headers.remove(TRACESTATE);
}

/// The trace that `span` belongs to, with it as the parent of what follows: in the trace of `parent`, or in one that begins here.
pub(super) fn of_span(span: &Span, parent: Option<TraceContext>) -> TraceContext {
    #[cfg(feature = "otlp")]
    if let Some(context) = super::otel::context(span) {
        return context;
    }
    let _ = span;
    let span_id = made().to_be_bytes();
    if let Some(parent) = parent {
        return parent.child(span_id);
    }
    let trace = u128::from(*PROCESS) << 64 | u128::from(made());
    TraceContext {
        trace_id: trace.to_be_bytes(),
        span_id,
        sampled: !span.is_disabled(),
    }
}

/// Tells the next one.
pub(super) fn put(headers: &mut HeaderMap, context: TraceContext) {
    // Digits and hyphens are always a valid header value.
    if let Ok(value) = HeaderValue::from_bytes(&context.to_bytes()) {
        headers.insert(TRACEPARENT, value);
    }
}

/// Never zero, which is no id.
fn made() -> u64 {
    IDS.next().max(1)
}
