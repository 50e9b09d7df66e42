//! What looks at an answer as it passes, and settles when it ends.

use std::vec;

use bytes::Bytes;
use sync_wrapper::SyncWrapper;
use tokio::time::Instant;

use super::{ApiError, Completion, End, Failure, Media, scan::AnswerScan};

type OnOutput = SyncWrapper<Box<dyn FnOnce(Instant) + Send>>;
type Callback = SyncWrapper<Box<dyn FnOnce(&mut Completion) + Send>>;

/// What is known of an answer that is being read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen<'a> {
    /// Whether some output was there: text, reasoning, a tool call; a JSON body that is whole.
    pub(crate) output: bool,
    /// The error that it states.
    pub(crate) error: Option<&'a ApiError>,
    pub(crate) finish_reason: Option<&'a str>,
    /// Whether it said what it used.
    pub(crate) usage: bool,
    /// How it ended.
    pub(crate) end: Option<End>,
}

/// Collects a [`Completion`] and hands it to each callback once: when it is dropped, at the latest.
pub(super) struct Watch {
    callbacks: Vec<Callback>,
    on_output: Vec<OnOutput>,
    scan: AnswerScan,
    end: Option<End>,
    first_byte_at: Option<Instant>,
    first_token_at: Option<Instant>,
    bytes: u64,
}

impl Watch {
    pub(super) fn new(media: Media) -> Self {
        Self {
            callbacks: Vec::new(),
            on_output: Vec::new(),
            scan: AnswerScan::new(media),
            end: None,
            first_byte_at: None,
            first_token_at: None,
            bytes: 0,
        }
    }

    /// Weighs the output from here on.
    pub(super) fn weigh_output(&mut self) {
        self.scan.weigh();
    }

    pub(super) fn register(&mut self, callback: impl FnOnce(&mut Completion) + Send + 'static) {
        self.callbacks.push(SyncWrapper::new(Box::new(callback)));
    }

    /// Calls `callback` when the first output is there; at once, where it is already.
    pub(super) fn on_output(&mut self, callback: impl FnOnce(Instant) + Send + 'static) {
        match self.first_token_at {
            Some(at) => callback(at),
            None => self.on_output.push(SyncWrapper::new(Box::new(callback))),
        }
    }

    /// Looks at the next bytes.
    pub(super) fn data(&mut self, data: &Bytes) {
        if !data.is_empty() {
            self.first_byte_at.get_or_insert_with(Instant::now);
        }
        self.bytes += data.len() as u64;
        self.scan.push(data);
        self.note_output();
        if self.scan.facts().terminal {
            self.decide(End::Complete);
        }
    }

    /// Nothing more comes, and nothing went wrong on the way.
    pub(super) fn source_ended(&mut self) {
        let whole = self.scan.finish();
        self.note_output();
        self.decide(if whole {
            End::Complete
        } else {
            End::Failed(Failure::Truncated)
        });
    }

    /// How it ended, as soon as that is decided.
    pub(super) fn end(&self) -> Option<End> {
        self.end
    }

    /// What was read so far.
    pub(super) fn seen(&self) -> Seen<'_> {
        let facts = self.scan.facts();
        Seen {
            output: facts.output,
            error: facts.error.as_deref(),
            finish_reason: facts.usage.finish_reason(),
            usage: facts.usage.usage().is_some(),
            end: self.end,
        }
    }

    pub(super) fn failed(&mut self, failure: Failure) {
        self.decide(End::Failed(failure));
    }

    fn note_output(&mut self) {
        if self.first_token_at.is_none() && self.scan.facts().output {
            let now = Instant::now();
            self.first_token_at = Some(now);
            for callback in std::mem::take(&mut self.on_output) {
                callback.into_inner()(now);
            }
        }
    }

    /// The first decision stands: what happens after an answer's end does not change it. An error that stands in the answer
    /// decides before its end, which many providers then leave out.
    fn decide(&mut self, end: End) {
        let end = self.unless_stated(end);
        self.end.get_or_insert(end);
    }

    fn unless_stated(&self, end: End) -> End {
        if self.scan.facts().error.is_some() {
            End::Failed(Failure::Stated)
        } else {
            end
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let facts = self.scan.facts();
        let end = self
            .end
            .unwrap_or_else(|| self.unless_stated(End::Cancelled));
        let usage = facts.usage.usage();
        let mut completion = Completion {
            end,
            usage,
            usage_is_final: usage.is_some() && end == End::Complete,
            finish_reason: facts.usage.finish_reason().map(Box::from),
            model: facts.usage.model().map(Box::from),
            service_tier: facts.usage.service_tier().map(Box::from),
            error: facts.error.as_deref().cloned(),
            output_weight: facts.weighed(),
            stated_cost: facts.usage.cost(),
            bill: None,
            first_byte_at: self.first_byte_at,
            first_token_at: self.first_token_at,
            ended_at: Instant::now(),
            chunks: facts.chunks,
            bytes: self.bytes,
        };
        drop(Settlement {
            callbacks: std::mem::take(&mut self.callbacks).into_iter(),
            completion: &mut completion,
        });
    }
}

/// Runs its callbacks when dropped, each once, even when one of them panics.
struct Settlement<'a> {
    callbacks: vec::IntoIter<Callback>,
    completion: &'a mut Completion,
}

impl Drop for Settlement<'_> {
    fn drop(&mut self) {
        let Some(callback) = self.callbacks.next() else {
            return;
        };
        // A panic in `callback` drops `rest` on its way, which runs the others.
        let rest = Settlement {
            callbacks: std::mem::take(&mut self.callbacks),
            completion: &mut *self.completion,
        };
        callback.into_inner()(&mut *rest.completion);
    }
}
