#![doc = include_str!("../docs/ledger.md")]

mod day;
mod feedback;
mod jsonl;
mod read;
mod record;
mod totals;

use std::{fmt, future::Future, pin::Pin};

use tokio::sync::mpsc::OwnedPermit;

pub use self::{
    day::Day,
    feedback::Feedback,
    jsonl::{JsonlAudit, JsonlAuditBuilder, WhenFull},
    read::{Records, read_files},
    record::Record,
    totals::{Sums, TotalRow, Totals},
};

/// Where the records of attempts go.
///
/// Implementations are shared by every request: they must neither block nor wait in [`record`](Self::record), which runs when an
/// answer's body ends or is dropped.
pub trait Ledger: fmt::Debug + Send + Sync {
    /// Takes the record of an attempt that has ended. `slot` is what was taken for it before the attempt began.
    fn record(&self, record: Record, slot: Slot);

    /// Room for one record, if there is any now; asked for before each attempt.
    fn try_slot(&self) -> Option<Slot> {
        Some(Slot::default())
    }

    /// Waits for room: asked for where [`try_slot`](Self::try_slot) has none, and the attempt begins only then.
    fn slot(&self) -> Pin<Box<dyn Future<Output = Slot> + Send>> {
        Box::pin(std::future::ready(Slot::default()))
    }

    /// The sums so far, where the ledger keeps any.
    fn snapshot(&self) -> Vec<TotalRow> {
        Vec::new()
    }
}

/// Room for one record in a [`Ledger`] that promises not to lose any.
#[derive(Debug, Default)]
pub struct Slot(Option<OwnedPermit<Record>>);
