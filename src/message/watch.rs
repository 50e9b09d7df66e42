//! What looks at an answer as it passes, and settles when it ends.

use std::ops::{Deref, DerefMut};

use bytes::Bytes;
use sync_wrapper::SyncWrapper;
use tokio::time::Instant;

use super::{ApiError, Completion, End, Failure, Media, scan::AnswerScan};

type OnOutput = Box<dyn FnOnce(Instant) + Send>;
type Callback = Box<dyn FnOnce(&mut Completion) + Send>;

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
///
/// The first callback lies in the same box: most answers have no other, and one more box costs as much as all the looking on.
pub(super) struct Watch<S: Settle + ?Sized = dyn Settle> {
    /// All but the first: each calls those before it.
    callback: Option<SyncWrapper<Callback>>,
    look: Look,
    first: S,
}

/// What is done when an answer has ended.
pub(super) trait Settle: Send + Sync {
    fn settle(&mut self, completion: &mut Completion);
}

/// Nothing.
impl Settle for () {
    fn settle(&mut self, _: &mut Completion) {}
}

struct Once<F>(SyncWrapper<Option<F>>);

impl<F: FnOnce(&mut Completion) + Send> Settle for Once<F> {
    fn settle(&mut self, completion: &mut Completion) {
        if let Some(callback) = self.0.get_mut().take() {
            callback(completion);
        }
    }
}

/// What was seen so far.
pub(super) struct Look {
    /// All of them: each calls those before it.
    on_output: Option<SyncWrapper<OnOutput>>,
    scan: AnswerScan,
    /// How it ended, and when that was decided.
    end: Option<(End, Instant)>,
    first_byte_at: Option<Instant>,
    first_token_at: Option<Instant>,
    bytes: u64,
}

impl Watch {
    /// One that settles nothing yet.
    pub(super) fn new(media: Media) -> Box<Self> {
        Self::boxed(media, ())
    }

    pub(super) fn with(
        media: Media,
        callback: impl FnOnce(&mut Completion) + Send + 'static,
    ) -> Box<Self> {
        Self::boxed(media, Once(SyncWrapper::new(Some(callback))))
    }

    fn boxed(media: Media, first: impl Settle + 'static) -> Box<Self> {
        Box::new(Watch {
            callback: None,
            look: Look::new(media),
            first,
        })
    }

    pub(super) fn register(&mut self, callback: impl FnOnce(&mut Completion) + Send + 'static) {
        let callback: Callback = match self.callback.take() {
            None => Box::new(callback),
            Some(earlier) => Box::new(move |completion| {
                let later = Later {
                    callback: Some(callback),
                    completion,
                };
                earlier.into_inner()(later.completion);
            }),
        };
        self.callback = Some(SyncWrapper::new(callback));
    }
}

impl<S: Settle + ?Sized> Deref for Watch<S> {
    type Target = Look;

    fn deref(&self) -> &Look {
        &self.look
    }
}

impl<S: Settle + ?Sized> DerefMut for Watch<S> {
    fn deref_mut(&mut self) -> &mut Look {
        &mut self.look
    }
}

impl<S: Settle + ?Sized> Drop for Watch<S> {
    fn drop(&mut self) {
        let mut completion = self.look.completion();
        let later = Later {
            callback: self.callback.take().map(SyncWrapper::into_inner),
            completion: &mut completion,
        };
        self.first.settle(later.completion);
    }
}

impl Look {
    fn new(media: Media) -> Self {
        Self {
            on_output: None,
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

    /// Calls `callback` when the first output is there; at once, where it is already.
    pub(super) fn on_output(&mut self, callback: impl FnOnce(Instant) + Send + 'static) {
        if let Some(at) = self.first_token_at {
            callback(at);
            return;
        }
        let callback: OnOutput = match self.on_output.take() {
            None => Box::new(callback),
            Some(earlier) => Box::new(move |at| {
                earlier.into_inner()(at);
                callback(at);
            }),
        };
        self.on_output = Some(SyncWrapper::new(callback));
    }

    /// Looks at the next bytes, if there are any. After the `last` nothing more comes, and nothing went wrong on the way.
    pub(super) fn passed(&mut self, data: Option<&Bytes>, last: bool) {
        let mut now = Moment::default();
        if let Some(data) = data {
            self.look_at(data, &mut now);
        }
        if last {
            let whole = self.scan.finish();
            self.note_output(&mut now);
            let end = if whole {
                End::Complete
            } else {
                End::Failed(Failure::Truncated)
            };
            self.decide(end, &mut now);
        }
    }

    fn look_at(&mut self, data: &Bytes, now: &mut Moment) {
        if !data.is_empty() {
            self.first_byte_at.get_or_insert_with(|| now.get());
        }
        self.bytes += data.len() as u64;
        self.scan.push(data);
        self.note_output(now);
        if self.scan.facts().terminal {
            self.decide(End::Complete, now);
        }
    }

    /// How it ended, as soon as that is decided.
    pub(super) fn end(&self) -> Option<End> {
        self.end.map(|(end, _)| end)
    }

    /// What was read so far.
    pub(super) fn seen(&self) -> Seen<'_> {
        let facts = self.scan.facts();
        Seen {
            output: facts.output,
            error: facts.error.as_deref(),
            finish_reason: facts.usage.finish_reason(),
            usage: facts.usage.usage().is_some(),
            end: self.end(),
        }
    }

    pub(super) fn failed(&mut self, failure: Failure) {
        self.decide(End::Failed(failure), &mut Moment::default());
    }

    fn note_output(&mut self, now: &mut Moment) {
        if self.first_token_at.is_none() && self.scan.facts().output {
            let now = now.get();
            self.first_token_at = Some(now);
            if let Some(callback) = self.on_output.take() {
                callback.into_inner()(now);
            }
        }
    }

    /// The first decision stands: what happens after an answer's end does not change it. An error that stands in the answer
    /// decides before its end, which many providers then leave out.
    fn decide(&mut self, end: End, now: &mut Moment) {
        if self.end.is_none() {
            self.end = Some((self.unless_stated(end), now.get()));
        }
    }

    /// All that is known once nothing more comes.
    fn completion(&self) -> Completion {
        let facts = self.scan.facts();
        let (end, ended_at) = self
            .end
            .unwrap_or_else(|| (self.unless_stated(End::Cancelled), Instant::now()));
        let usage = facts.usage.usage();
        Completion {
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
            ended_at,
            chunks: facts.chunks,
            bytes: self.bytes,
        }
    }

    fn unless_stated(&self, end: End) -> End {
        if self.scan.facts().error.is_some() {
            End::Failed(Failure::Stated)
        } else {
            end
        }
    }
}

/// Runs its callback when dropped: after those before it, even when one of them panics.
struct Later<'a, F: FnOnce(&mut Completion)> {
    callback: Option<F>,
    completion: &'a mut Completion,
}

impl<F: FnOnce(&mut Completion)> Drop for Later<'_, F> {
    fn drop(&mut self) {
        if let Some(callback) = self.callback.take() {
            callback(self.completion);
        }
    }
}

/// A moment: read from the clock when it is first asked for, and the same from then on. One piece of an answer, often the only one,
/// decides several.
#[derive(Default)]
struct Moment(Option<Instant>);

impl Moment {
    fn get(&mut self) -> Instant {
        *self.0.get_or_insert_with(Instant::now)
    }
}
