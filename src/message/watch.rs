//! What looks at an answer as it passes, and settles when it ends.

use std::vec;

use bytes::Bytes;
use sync_wrapper::SyncWrapper;
use tokio::time::Instant;

use super::{Completion, End, Failure, Media, terminal::TerminalScan};
use crate::wire::sse::FrameError;

type Callback = SyncWrapper<Box<dyn FnOnce(&mut Completion) + Send>>;

/// Collects a [`Completion`] and hands it to each callback once: when it is dropped, at the latest.
pub(super) struct Watch {
    callbacks: Vec<Callback>,
    end: Option<End>,
    first_byte_at: Option<Instant>,
    bytes: u64,
    /// Only an event stream says by its content whether it is complete.
    terminal: Option<TerminalScan>,
}

impl Watch {
    pub(super) fn new(media: Media) -> Self {
        let terminal = (media == Media::EventStream).then(TerminalScan::default);
        Self { callbacks: Vec::new(), end: None, first_byte_at: None, bytes: 0, terminal }
    }

    pub(super) fn register(&mut self, callback: impl FnOnce(&mut Completion) + Send + 'static) {
        self.callbacks.push(SyncWrapper::new(Box::new(callback)));
    }

    /// Looks at the next bytes.
    ///
    /// # Errors
    ///
    /// When an event is longer than is ever held.
    pub(super) fn data(&mut self, data: &Bytes) -> Result<(), FrameError> {
        if !data.is_empty() {
            self.first_byte_at.get_or_insert_with(Instant::now);
        }
        self.bytes += data.len() as u64;
        if let Some(scan) = &mut self.terminal
            && scan.push(data)?
        {
            self.decide(End::Complete);
        }
        Ok(())
    }

    /// Nothing more comes, and nothing went wrong on the way.
    pub(super) fn source_ended(&mut self) {
        let complete = self.terminal.as_mut().is_none_or(TerminalScan::finish);
        self.decide(if complete { End::Complete } else { End::Failed(Failure::Truncated) });
    }

    pub(super) fn failed(&mut self, failure: Failure) {
        self.decide(End::Failed(failure));
    }

    /// The first decision stands: what happens after an answer's end does not change it.
    fn decide(&mut self, end: End) {
        self.end.get_or_insert(end);
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let completion = Completion {
            end: self.end.unwrap_or(End::Cancelled),
            first_byte_at: self.first_byte_at,
            ended_at: Instant::now(),
            bytes: self.bytes,
        };
        drop(Settlement { callbacks: std::mem::take(&mut self.callbacks).into_iter(), completion });
    }
}

/// Runs its callbacks when dropped, each once, even when one of them panics.
struct Settlement {
    callbacks: vec::IntoIter<Callback>,
    completion: Completion,
}

impl Drop for Settlement {
    fn drop(&mut self) {
        let Some(callback) = self.callbacks.next() else { return };
        // A panic in `callback` drops `rest` on its way, which runs the others.
        let mut rest = Settlement {
            callbacks: std::mem::take(&mut self.callbacks),
            completion: self.completion.clone(),
        };
        callback.into_inner()(&mut rest.completion);
    }
}
