//! Metrics, by the `metrics` facade.

mod describe;
mod sample;
mod sets;

use std::{fmt, sync::Arc, time::Duration};

use metrics::{Counter, Histogram, Key, Label, Level, Metadata, Recorder};

use self::sets::Sets;
use super::{
    conventions::{attribute, metric},
    exchange::Settled,
    labels::Labels,
    span::operation,
};
use crate::{
    message::{Bill, BillLine, CostSource, Endpoint, Outcome},
    stats::RequestEnd,
};

pub use self::sample::sample;

/// A recorder of one's own.
#[derive(Clone)]
pub(super) struct SharedRecorder(pub(super) Arc<dyn Recorder + Send + Sync>);

/// The handles of all metrics. Each is looked up at the recorder once, when it is first needed.
pub(super) struct Instruments {
    recorder: Option<SharedRecorder>,
    other: Arc<str>,
    operations: Sets<Operation, Durations>,
    requests: Sets<(Endpoint, RequestEnd), Counter>,
    refusals: Sets<(&'static str, &'static str), Counter>,
    attempts: Sets<(Arc<str>, Arc<str>, &'static str), Histogram>,
    spends: Sets<(Arc<str>, Arc<str>), Spend>,
    plain: Sets<&'static str, Plain>,
}

/// What the durations of requests are counted by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Operation {
    endpoint: Endpoint,
    upstream: Option<Arc<str>>,
    asked: Option<Arc<str>>,
    answered: Option<Arc<str>>,
    error: Option<&'static str>,
}

/// What a request took and used.
struct Durations {
    duration: Histogram,
    first_chunk: Histogram,
    per_chunk: Histogram,
    input: Histogram,
    output: Histogram,
}

/// What attempts at an upstream used and cost.
struct Spend {
    cost: Histogram,
    unpriced: Counter,
    /// In the order of [`KINDS`].
    tokens: [Counter; 5],
}

/// The kinds of tokens, which are disjoint.
const KINDS: [&str; 5] = ["input", "cache_read", "cache_write", "output", "reasoning"];

/// What has no labels.
struct Plain {
    queue: Histogram,
    overhead: Histogram,
    retries: Counter,
    fallbacks: Counter,
}

impl Instruments {
    pub(super) fn new(recorder: Option<SharedRecorder>, other: Arc<str>) -> Self {
        let instruments = Self {
            recorder,
            other,
            operations: Sets::default(),
            requests: Sets::default(),
            refusals: Sets::default(),
            attempts: Sets::default(),
            spends: Sets::default(),
            plain: Sets::default(),
        };
        instruments.with(describe::all);
        instruments
    }

    fn with<T>(&self, act: impl FnOnce(&dyn Recorder) -> T) -> T {
        match &self.recorder {
            Some(recorder) => act(&*recorder.0),
            None => metrics::with_recorder(act),
        }
    }

    /// A request has ended.
    pub(super) fn request(&self, settled: &Settled<'_>) {
        let about = settled.about;
        let key = (about.endpoint, settled.end);
        let requests = self.requests.get(key, || {
            let (endpoint, end) = key;
            let labels = vec![
                Label::new(attribute::ENDPOINT, endpoint.as_str()),
                Label::new(attribute::END, end.as_str()),
            ];
            self.with(|recorder| counter(recorder, metric::REQUESTS, labels))
        });
        requests.increment(1);
        if let Some(rejection) = about.head.as_ref().and_then(|head| head.rejection) {
            let key = (rejection.layer, rejection.reason.as_str());
            let refusals = self.refusals.get(key, || {
                let labels = vec![
                    Label::new(attribute::LAYER, key.0),
                    Label::new(attribute::REASON, key.1),
                ];
                self.with(|recorder| counter(recorder, metric::REFUSALS, labels))
            });
            refusals.increment(1);
        }
        self.way(settled);
        self.operation(settled);
    }

    /// What happened on the way.
    fn way(&self, settled: &Settled<'_>) {
        let trail = &settled.about.trail;
        let plain = self.plain.get("", || self.with(Plain::register));
        let queued = trail.queued();
        if !queued.is_zero() {
            plain.queue.record(queued.as_secs_f64());
        }
        if let Some(sent) = trail.first_sent() {
            let overhead = settled.since(sent).saturating_sub(queued);
            plain.overhead.record(overhead.as_secs_f64());
        }
        for (counter, count) in [
            (&plain.retries, trail.retries()),
            (&plain.fallbacks, trail.fallbacks()),
        ] {
            if count > 0 {
                counter.increment(u64::from(count));
            }
        }
    }

    /// What it took and used, by its operation.
    fn operation(&self, settled: &Settled<'_>) {
        let about = settled.about;
        if operation(about.endpoint).is_none() {
            return;
        }
        let served = about.head.as_ref().and_then(|head| head.served.as_ref());
        let labels = &about.shared.labels;
        let answered = settled
            .completion
            .and_then(|completion| completion.model.as_deref());
        let key = Operation {
            endpoint: about.endpoint,
            upstream: served.map(|served| Arc::clone(&served.upstream)),
            asked: about.model.clone(),
            answered: answered.map(|model| labels.model(model)),
            error: settled.error,
        };
        let provider = || served.map(|served| about.shared.provider(served));
        let make = |key: &Operation| self.with(|recorder| key.register(recorder, provider()));
        let set = self
            .operations
            .get_or_fold(key, |key| key.fold(&self.other), make);
        let since = |at| settled.since(at).as_secs_f64();
        set.duration.record(since(settled.ended_at));
        let Some(completion) = settled.completion else {
            return;
        };
        if let Some(first) = settled.first_chunk_at() {
            set.first_chunk.record(since(first));
            // The mean stands for each chunk after the first, so that their number and sum are those of the chunks.
            let more = usize::try_from(completion.chunks.saturating_sub(1)).unwrap_or(0);
            if more > 0 {
                let span = settled.ended_at.saturating_duration_since(first);
                #[allow(clippy::cast_precision_loss, reason = "a mean")]
                let mean = span.as_secs_f64() / more as f64;
                set.per_chunk.record_many(mean, more);
            }
        }
        if let Some(usage) = settled.used() {
            #[allow(clippy::cast_precision_loss, reason = "a histogram's value")]
            let [input, output] = [usage.total_input(), usage.total_output()].map(|n| n as f64);
            set.input.record(input);
            set.output.record(output);
        }
    }

    /// An attempt has ended.
    pub(super) fn attempt(
        &self,
        upstream: Arc<str>,
        model: Arc<str>,
        outcome: Outcome,
        took: Duration,
    ) {
        let key = (upstream, model, outcome.as_str());
        let histogram = self.attempts.get_or_fold(
            key,
            |(upstream, _, outcome)| (Arc::clone(upstream), Arc::clone(&self.other), *outcome),
            |(upstream, model, outcome)| {
                let labels = vec![
                    upstream_label(upstream),
                    model_label(model),
                    Label::new(attribute::OUTCOME, *outcome),
                ];
                self.with(|recorder| histogram(recorder, metric::ATTEMPT, labels))
            },
        );
        histogram.record(took.as_secs_f64());
    }

    /// All attempts of a request have ended.
    pub(super) fn bill(&self, labels: &Labels, bill: &Bill) {
        for line in bill.lines() {
            if line.source != CostSource::Unbilled {
                self.line(labels, &line);
            }
        }
    }

    fn line(&self, labels: &Labels, line: &BillLine) {
        let model = line.model.as_deref().map(|model| labels.model(model));
        let model = model.unwrap_or_else(|| Arc::clone(&self.other));
        let spend = self.spends.get_or_fold(
            (Arc::clone(&line.upstream), model),
            |(upstream, _)| (Arc::clone(upstream), Arc::clone(&self.other)),
            |(upstream, model)| self.with(|recorder| Spend::register(recorder, upstream, model)),
        );
        match line.cost {
            Some(cost) => spend.cost.record(cost.approx_usd()),
            None => spend.unpriced.increment(1),
        }
        let usage = &line.usage;
        let counts = [
            usage.input.saturating_add(usage.audio_in),
            usage.cache_read,
            usage.cache_write_5m.saturating_add(usage.cache_write_1h),
            usage.output.saturating_add(usage.audio_out),
            usage.reasoning,
        ];
        for (counter, count) in spend.tokens.iter().zip(counts) {
            counter.increment(count);
        }
    }
}

impl Operation {
    /// The same of models that have no place of their own.
    fn fold(&self, other: &Arc<str>) -> Self {
        Self {
            asked: self.asked.as_ref().map(|_| Arc::clone(other)),
            answered: self.answered.as_ref().map(|_| Arc::clone(other)),
            ..self.clone()
        }
    }

    fn register(&self, recorder: &dyn Recorder, provider: Option<&str>) -> Durations {
        let mut labels = Vec::new();
        labels.extend(operation(self.endpoint).map(|name| Label::new(attribute::OPERATION, name)));
        labels.extend(provider.map(|name| Label::new(attribute::PROVIDER, name.to_owned())));
        labels.extend(self.upstream.as_ref().map(upstream_label));
        labels.extend(self.asked.as_ref().map(model_label));
        labels.extend(
            self.answered
                .as_ref()
                .map(|model| Label::new(attribute::RESPONSE_MODEL, Arc::clone(model))),
        );
        let tokens = |kind: &'static str| {
            let mut labels = labels.clone();
            labels.push(Label::new(attribute::TOKEN_TYPE, kind));
            histogram(recorder, metric::TOKENS, labels)
        };
        let (input, output) = (tokens("input"), tokens("output"));
        let mut timed = labels.clone();
        timed.extend(self.error.map(|error| Label::new(attribute::ERROR, error)));
        Durations {
            duration: histogram(recorder, metric::DURATION, timed),
            first_chunk: histogram(recorder, metric::FIRST_CHUNK, labels.clone()),
            per_chunk: histogram(recorder, metric::PER_CHUNK, labels),
            input,
            output,
        }
    }
}

impl Spend {
    fn register(recorder: &dyn Recorder, upstream: &Arc<str>, model: &Arc<str>) -> Self {
        let labels = vec![upstream_label(upstream), model_label(model)];
        let tokens = KINDS.map(|kind| {
            let mut labels = labels.clone();
            labels.push(Label::new(attribute::TOKENS_KIND, kind));
            counter(recorder, metric::BILLED_TOKENS, labels)
        });
        Self {
            unpriced: counter(recorder, metric::UNPRICED, labels.clone()),
            cost: histogram(recorder, metric::COST, labels),
            tokens,
        }
    }
}

impl Plain {
    fn register(recorder: &dyn Recorder) -> Self {
        Self {
            queue: histogram(recorder, metric::QUEUE, Vec::new()),
            overhead: histogram(recorder, metric::OVERHEAD, Vec::new()),
            retries: counter(recorder, metric::RETRIES, Vec::new()),
            fallbacks: counter(recorder, metric::FALLBACKS, Vec::new()),
        }
    }
}

fn upstream_label(name: &Arc<str>) -> Label {
    Label::new(attribute::UPSTREAM, Arc::clone(name))
}

fn model_label(name: &Arc<str>) -> Label {
    Label::new(attribute::REQUEST_MODEL, Arc::clone(name))
}

const METADATA: Metadata<'static> =
    Metadata::new(module_path!(), Level::INFO, Some(module_path!()));

fn histogram(recorder: &dyn Recorder, name: &'static str, labels: Vec<Label>) -> Histogram {
    recorder.register_histogram(&Key::from_parts(name, labels), &METADATA)
}

fn counter(recorder: &dyn Recorder, name: &'static str, labels: Vec<Label>) -> Counter {
    recorder.register_counter(&Key::from_parts(name, labels), &METADATA)
}

impl fmt::Debug for SharedRecorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedRecorder")
    }
}
