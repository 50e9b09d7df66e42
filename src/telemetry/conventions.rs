//! The names of spans, attributes and metrics, in one place.
//!
//! Those that begin with `gen_ai`, `error`, `server` and `http` are OpenTelemetry's, of its semantic conventions 1.44.0, whose part on
//! generative AI is in development: their names still change, and move to conventions of their own
//! (`open-telemetry/semantic-conventions-genai`). Those that begin with `relay` are this crate's. Those that begin with `otel` are how
//! `tracing-opentelemetry` is told what a span is.

/// The version of OpenTelemetry's semantic conventions that the names follow.
pub const VERSION: &str = "1.44.0";
/// The schema that these belong to.
pub const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.44.0";

/// The span of a request, from its coming to the end of its answer.
pub const REQUEST_SPAN: &str = "relay.request";
/// The span of an attempt at an upstream.
pub const ATTEMPT_SPAN: &str = "relay.attempt";

/// Attributes of spans, and labels of metrics.
pub mod attribute {
    /// What the span is called: the operation and the model.
    pub const OTEL_NAME: &str = "otel.name";
    /// `server` for a request, `client` for an attempt.
    pub const OTEL_KIND: &str = "otel.kind";
    /// `ERROR` where it failed; otherwise not there.
    pub const OTEL_STATUS: &str = "otel.status_code";
    /// `chat`, `text_completion`, `embeddings`.
    pub const OPERATION: &str = "gen_ai.operation.name";
    /// Whose API it is.
    pub const PROVIDER: &str = "gen_ai.provider.name";
    /// The model that was asked for.
    pub const REQUEST_MODEL: &str = "gen_ai.request.model";
    /// The cap on the tokens of the answer.
    pub const MAX_TOKENS: &str = "gen_ai.request.max_tokens";
    /// Whether a stream was asked for.
    pub const STREAM: &str = "gen_ai.request.stream";
    /// The model that the answer names.
    pub const RESPONSE_MODEL: &str = "gen_ai.response.model";
    /// Why the model stopped.
    pub const FINISH_REASONS: &str = "gen_ai.response.finish_reasons";
    /// Until the first chunk of a stream, in seconds.
    pub const FIRST_CHUNK: &str = "gen_ai.response.time_to_first_chunk";
    /// Tokens of the prompt, cached ones among them.
    pub const INPUT_TOKENS: &str = "gen_ai.usage.input_tokens";
    /// Tokens of the answer, those of reasoning among them.
    pub const OUTPUT_TOKENS: &str = "gen_ai.usage.output_tokens";
    /// Tokens of the prompt that came from the provider's cache.
    pub const CACHE_READ_TOKENS: &str = "gen_ai.usage.cache_read.input_tokens";
    /// Tokens of the prompt that were written to the provider's cache.
    pub const CACHE_WRITE_TOKENS: &str = "gen_ai.usage.cache_creation.input_tokens";
    /// Tokens of the answer that are reasoning.
    pub const REASONING_TOKENS: &str = "gen_ai.usage.reasoning.output_tokens";
    /// What was asked, where contents are recorded.
    pub const INPUT_MESSAGES: &str = "gen_ai.input.messages";
    /// `input` or `output`.
    pub const TOKEN_TYPE: &str = "gen_ai.token.type";
    /// What went wrong.
    pub const ERROR: &str = "error.type";
    /// The host of the upstream that answered.
    pub const SERVER_ADDRESS: &str = "server.address";
    /// Its port, where that is not its scheme's own.
    pub const SERVER_PORT: &str = "server.port";
    /// The status of the answer.
    pub const STATUS: &str = "http.response.status_code";
    /// The request's id, as in its answer's `x-relay-request-id`.
    pub const REQUEST_ID: &str = "relay.request.id";
    /// The API that was called.
    pub const ENDPOINT: &str = "relay.endpoint";
    /// The upstream that answered, or was asked.
    pub const UPSTREAM: &str = "relay.upstream";
    /// What became of the request: `successful`, `failed`, `rejected`, `invalid`, `cancelled`.
    pub const END: &str = "relay.end";
    /// What came of the attempt.
    pub const OUTCOME: &str = "relay.outcome";
    /// What the request cost with all its attempts, in USD.
    pub const COST: &str = "relay.cost.usd";
    /// How often it was sent to an upstream.
    pub const ATTEMPTS: &str = "relay.attempts";
    /// How long it waited in line, in seconds.
    pub const QUEUE_TIME: &str = "relay.queue.time";
    /// The answer's `x-relay-cache`: whether it came from a cache.
    pub const CACHE: &str = "relay.cache";
    /// The target that a split chose.
    pub const SPLIT: &str = "relay.split";
    /// Why it is that one.
    pub const SPLIT_REASON: &str = "relay.split.reason";
    /// How complex the request was found to be, where its model was chosen by that.
    pub const COMPLEXITY: &str = "relay.complexity";
    /// What spoke for the model that was chosen.
    pub const SELECTION: &str = "relay.selection.reason";
    /// What was answered, where contents are recorded.
    pub const ANSWER: &str = "relay.answer";
    /// The layer that refused.
    pub const LAYER: &str = "relay.layer";
    /// Why it refused.
    pub const REASON: &str = "relay.reason";
    /// The kind of tokens.
    pub const TOKENS_KIND: &str = "relay.tokens.kind";
    /// The state of a circuit breaker, or what became of what is counted.
    pub const STATE: &str = "relay.state";
}

/// Metrics.
pub mod metric {
    /// From a request's coming to the end of its answer, in seconds.
    pub const DURATION: &str = "gen_ai.client.operation.duration";
    /// Until the first chunk of a stream, in seconds.
    pub const FIRST_CHUNK: &str = "gen_ai.client.operation.time_to_first_chunk";
    /// Between the chunks of a stream, in seconds.
    pub const PER_CHUNK: &str = "gen_ai.client.operation.time_per_output_chunk";
    /// Tokens of a request, by type.
    pub const TOKENS: &str = "gen_ai.client.token.usage";
    /// Requests, by what became of them.
    pub const REQUESTS: &str = "relay.requests";
    /// Requests that have come and not ended.
    pub const IN_FLIGHT: &str = "relay.requests.in_flight";
    /// Requests that a layer refused, by layer and reason.
    pub const REFUSALS: &str = "relay.refusals";
    /// What an attempt took, in seconds, by what came of it.
    pub const ATTEMPT: &str = "relay.attempt.duration";
    /// What an attempt cost, in USD.
    pub const COST: &str = "relay.cost.usd";
    /// Attempts that used something whose price is not known.
    pub const UNPRICED: &str = "relay.unpriced";
    /// Tokens of attempts, by disjoint kinds.
    pub const BILLED_TOKENS: &str = "relay.tokens";
    /// How long requests waited in line that had to, in seconds.
    pub const QUEUE: &str = "relay.queue.duration";
    /// From a request's coming to its first sending, without its time in line: what the relay itself adds, in seconds.
    pub const OVERHEAD: &str = "relay.overhead.duration";
    /// Attempts at the same upstream beyond the first.
    pub const RETRIES: &str = "relay.retries";
    /// Attempts at another upstream.
    pub const FALLBACKS: &str = "relay.fallbacks";
    /// 1 for the state that an upstream's circuit breaker is in, 0 for the others.
    pub const BREAKER: &str = "relay.breaker.state";
    /// Requests that wait in line, by layer.
    pub const WAITING: &str = "relay.queue.length";
    /// Requests whose keys had to share their limits, as there was no room for more keys, by layer.
    pub const OVERFLOWED: &str = "relay.limits.overflowed";
    /// What was used beyond what may be owed, by layer.
    pub const FORGIVEN: &str = "relay.limits.forgiven";
    /// Calls to the store that replicas share, by what came of them.
    pub const STORE_CALLS: &str = "relay.store.calls";
    /// Reservations that were decided without that store, by how.
    pub const STORE_RESERVATIONS: &str = "relay.store.reservations";
    /// Settlements with that store, by what came of them.
    pub const STORE_SETTLEMENTS: &str = "relay.store.settlements";
    /// 1 while that store is left alone, as it did not answer.
    pub const STORE_DOWN: &str = "relay.store.down";
    /// Answers that were repaired, by upstream and repair.
    pub const REPAIRS: &str = "relay.repairs";
    /// Requests that were copied to a shadow, by what became of that.
    pub const SHADOWS: &str = "relay.shadow.copies";
}

/// The bounds of each histogram's buckets: OpenTelemetry's advice for its own.
pub const BUCKETS: [(&str, &[f64]); 8] = [
    (metric::DURATION, DURATION),
    (metric::FIRST_CHUNK, FIRST_CHUNK),
    (metric::PER_CHUNK, PER_CHUNK),
    (metric::TOKENS, TOKENS),
    (metric::ATTEMPT, DURATION),
    (metric::QUEUE, DURATION),
    (metric::OVERHEAD, OVERHEAD),
    (metric::COST, COST),
];

const DURATION: &[f64] = &[
    0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92,
];
const FIRST_CHUNK: &[f64] = &[
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];
const PER_CHUNK: &[f64] = &[
    0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5,
];
const TOKENS: &[f64] = &[
    1.0,
    4.0,
    16.0,
    64.0,
    256.0,
    1_024.0,
    4_096.0,
    16_384.0,
    65_536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
    67_108_864.0,
];
const OVERHEAD: &[f64] = &[
    0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.1,
];
const COST: &[f64] = &[
    0.000_01, 0.000_1, 0.000_5, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0,
];
