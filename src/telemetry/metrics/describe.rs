//! What each metric is.

use metrics::{KeyName, Recorder, Unit};

use crate::telemetry::conventions::metric;

/// Describes them all.
pub(super) fn all(recorder: &dyn Recorder) {
    let seconds = [
        (metric::DURATION, "GenAI operation duration."),
        (
            metric::FIRST_CHUNK,
            "Time to the first chunk of a streamed answer.",
        ),
        (
            metric::PER_CHUNK,
            "Time per chunk of a streamed answer after the first.",
        ),
        (
            metric::ATTEMPT,
            "What attempts at upstreams took, by what came of them.",
        ),
        (
            metric::QUEUE,
            "Time in line of the requests that had to wait.",
        ),
        (
            metric::OVERHEAD,
            "From a request's coming to its first sending, without its time in line.",
        ),
    ];
    for (name, text) in seconds {
        recorder.describe_histogram(
            KeyName::from_const_str(name),
            Some(Unit::Seconds),
            text.into(),
        );
    }
    let histograms = [
        (metric::TOKENS, "Number of input and output tokens used."),
        (metric::COST, "What attempts at upstreams cost, in USD."),
    ];
    for (name, text) in histograms {
        recorder.describe_histogram(KeyName::from_const_str(name), None, text.into());
    }
    let counters = [
        (metric::REQUESTS, "Requests, by what became of them."),
        (
            metric::REFUSALS,
            "Requests that the relay refused, by layer and reason.",
        ),
        (
            metric::UNPRICED,
            "Attempts that used something whose price is not known.",
        ),
        (
            metric::BILLED_TOKENS,
            "Tokens that attempts at upstreams used, by disjoint kinds.",
        ),
        (
            metric::RETRIES,
            "Attempts at the same upstream beyond the first.",
        ),
        (
            metric::FALLBACKS,
            "Attempts at another upstream, as one failed.",
        ),
        (
            metric::OVERFLOWED,
            "Requests whose keys had to share their limits, as there was no room for more keys, by layer.",
        ),
        (
            metric::FORGIVEN,
            "What was used beyond what may be owed, by layer.",
        ),
        (
            metric::STORE_CALLS,
            "Calls to the store that replicas share, by what came of them.",
        ),
        (
            metric::STORE_RESERVATIONS,
            "Reservations that were decided without the store, by how.",
        ),
        (
            metric::STORE_SETTLEMENTS,
            "Settlements with the store, by what came of them.",
        ),
        (
            metric::REPAIRS,
            "Answers that were repaired, by upstream and repair.",
        ),
        (
            metric::SHADOWS,
            "Requests to be copied to a shadow, by what became of that.",
        ),
    ];
    for (name, text) in counters {
        recorder.describe_counter(KeyName::from_const_str(name), None, text.into());
    }
    let gauges = [
        (metric::IN_FLIGHT, "Requests that have come and not ended."),
        (
            metric::BREAKER,
            "1 for the state of an upstream's circuit breaker, 0 for the others.",
        ),
        (metric::WAITING, "Requests that wait in line, by layer."),
        (
            metric::STORE_DOWN,
            "1 while the store that replicas share is left alone, as it did not answer.",
        ),
    ];
    for (name, text) in gauges {
        recorder.describe_gauge(KeyName::from_const_str(name), None, text.into());
    }
}
