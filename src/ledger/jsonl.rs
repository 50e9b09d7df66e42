//! Records as lines of a file.

#[cfg(test)]
mod tests;
mod writer;

use std::{
    future::Future,
    path::PathBuf,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use serde::Deserialize;
use tokio::sync::mpsc::{self, error::TrySendError};

use self::writer::{Writer, files_since};
use super::{Ledger, Record, Records, Slot, TotalRow, Totals, read_files};
use crate::{
    message::ConfigError,
    wire::{clock, units},
    worker::Worker,
};

/// Writes each record as a line of a file, by a background task, and keeps [`Totals`] that survive a restart.
///
/// A batch is handed to the operating system as soon as it has come together, so what the relay is killed with is at most what
/// ended in the last moments; what a power cut takes with it is for the file system to say.
#[derive(Debug, Clone)]
pub struct JsonlAudit {
    queue: mpsc::Sender<Record>,
    when_full: WhenFull,
    dropped: Arc<AtomicU64>,
    totals: Totals,
}

/// The configuration of a [`JsonlAudit`].
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
#[must_use]
pub struct JsonlAuditBuilder {
    path: PathBuf,
    #[serde(default = "queue")]
    queue: usize,
    #[serde(default)]
    when_full: WhenFull,
    #[serde(default = "max_file", deserialize_with = "units::bytes")]
    max_file: u64,
    #[serde(default)]
    keep_files: Option<usize>,
    #[serde(default = "replay", deserialize_with = "units::duration")]
    replay: Duration,
}

/// What happens to an attempt when the queue to the file is full: the disk is too slow, or full.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhenFull {
    /// It goes on, and its record is dropped and counted. In the totals it stands all the same.
    #[default]
    Drop,
    /// It waits before it begins: room for its record is taken first, so that none is lost.
    Wait,
}

fn queue() -> usize {
    10_000
}

fn max_file() -> u64 {
    100 << 20
}

fn replay() -> Duration {
    Duration::from_secs(62 * 86_400)
}

impl JsonlAudit {
    /// Writes to the file at `path`, which is appended to. Earlier files stand beside it: `audit.2026-11-21T10-00-00.000Z.jsonl`
    /// for `audit.jsonl`.
    pub fn builder(path: impl Into<PathBuf>) -> JsonlAuditBuilder {
        JsonlAuditBuilder {
            path: path.into(),
            queue: queue(),
            when_full: WhenFull::default(),
            max_file: max_file(),
            keep_files: None,
            replay: replay(),
        }
    }

    /// Records that were dropped because the queue was full, or the worker gone.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// The sums over what was recorded, earlier runs included.
    pub fn totals(&self) -> &Totals {
        &self.totals
    }
}

impl Ledger for JsonlAudit {
    fn record(&self, record: Record, slot: Slot) {
        self.totals.add(&record);
        if let Some(permit) = slot.0 {
            permit.send(record);
        } else if let Err(TrySendError::Full(_) | TrySendError::Closed(_)) =
            self.queue.try_send(record)
        {
            let before = self.dropped.fetch_add(1, Ordering::Relaxed);
            if before.is_multiple_of(1_000) {
                tracing::warn!(dropped = before + 1, "audit records are dropped");
            }
        }
    }

    fn try_slot(&self) -> Option<Slot> {
        match self.when_full {
            WhenFull::Drop => Some(Slot::default()),
            WhenFull::Wait => match self.queue.clone().try_reserve_owned() {
                Ok(permit) => Some(Slot(Some(permit))),
                Err(TrySendError::Full(_)) => None,
                // The worker is gone: nobody will ever make room.
                Err(TrySendError::Closed(_)) => Some(Slot::default()),
            },
        }
    }

    fn slot(&self) -> Pin<Box<dyn Future<Output = Slot> + Send>> {
        let queue = self.queue.clone();
        Box::pin(async move { Slot(queue.reserve_owned().await.ok()) })
    }

    fn snapshot(&self) -> Vec<TotalRow> {
        self.totals.rows_sorted()
    }
}

impl JsonlAuditBuilder {
    /// The file.
    #[cfg(feature = "gateway")]
    pub(crate) fn path(&self) -> &std::path::Path {
        &self.path
    }

    /// How many records wait for the disk at most: 10,000 by default.
    pub fn queue(mut self, records: usize) -> Self {
        self.queue = records;
        self
    }

    /// What happens when as many wait: they are dropped and counted by default.
    pub fn when_full(mut self, policy: WhenFull) -> Self {
        self.when_full = policy;
        self
    }

    /// A new file is begun at this size, in bytes (100 MiB by default), and every day in UTC.
    pub fn max_file(mut self, bytes: u64) -> Self {
        self.max_file = bytes;
        self
    }

    /// Keeps so many earlier files, and deletes older ones. All, unless it is said.
    pub fn keep_files(mut self, files: usize) -> Self {
        self.keep_files = Some(files);
        self
    }

    /// How far back the totals reach after a restart: 62 days by default. Files that were last written before are not read.
    pub fn replay(mut self, span: Duration) -> Self {
        self.replay = span;
        self
    }

    /// What earlier runs wrote since then, and perhaps some of before; all of it where that is `None`: whole files are read.
    ///
    /// # Errors
    ///
    /// When the files cannot be listed.
    pub fn read_back(&self, since: Option<SystemTime>) -> std::io::Result<Records> {
        files_since(&self.path, since).map(read_files)
    }

    /// Whether its bounds can be.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        for (field, value) in [("queue", self.queue as u64), ("max_file", self.max_file)] {
            if value == 0 {
                return Err(ConfigError::new(field, "must be more than zero"));
            }
        }
        Ok(())
    }

    /// The ledger, and the worker that writes its file. Reads back what earlier runs wrote.
    ///
    /// The worker ends when its shutdown fires and what was recorded until then is written.
    ///
    /// # Errors
    ///
    /// When the file cannot be opened or read, or a bound is zero.
    pub fn build(self) -> Result<(JsonlAudit, Worker), ConfigError> {
        self.check()?;
        let failed = |error: std::io::Error| {
            ConfigError::new("path", format!("{}: {error}", self.path.display()))
        };
        let writer =
            Writer::open(self.path.clone(), self.max_file, self.keep_files).map_err(failed)?;
        let totals = Totals::default();
        let since = clock::now().checked_sub(self.replay);
        for record in read_files(files_since(&self.path, since).map_err(failed)?) {
            totals.add(&record.map_err(failed)?);
        }
        let (queue, records) = mpsc::channel(self.queue);
        let worker = Worker::new(|shutdown| writer::run(writer, records, shutdown));
        let audit = JsonlAudit {
            queue,
            when_full: self.when_full,
            dropped: Arc::default(),
            totals,
        };
        Ok((audit, worker))
    }
}
