//! Writes what is to be kept.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use ::redis::{Pipeline, RedisResult};
use tokio::{sync::mpsc::Receiver, time::timeout};

use super::{PATIENCE, Shared, value};
use crate::{cache::Entry, message::HeldBytes, worker::Shutdown};

/// Answers that are written in one go.
const BATCH: usize = 32;

/// An answer to be written.
pub(super) struct Job {
    pub(super) key: String,
    pub(super) entry: Entry,
    pub(super) keep: Duration,
    /// What was purged before it was to be written.
    pub(super) epoch: u64,
    pub(super) _held: HeldBytes,
}

/// Writes until the shutdown fires, and then what is left. What the server does not take is not kept.
pub(super) async fn run(shared: Arc<Shared>, mut jobs: Receiver<Job>, mut shutdown: Shutdown) {
    let mut batch = Vec::new();
    let mut is_stopping = false;
    loop {
        {
            let mut fired = pin!(shutdown.fired());
            poll_fn(|cx| {
                if !is_stopping && fired.as_mut().poll(cx).is_ready() {
                    is_stopping = true;
                    jobs.close();
                }
                jobs.poll_recv_many(cx, &mut batch, BATCH).map(drop)
            })
            .await;
        }
        if batch.is_empty() {
            return;
        }
        if shared.breaker.admits() {
            let written = timeout(PATIENCE, write(&shared, &batch)).await;
            shared.noted(written.ok());
        }
        batch.clear();
    }
}

async fn write(shared: &Shared, batch: &[Job]) -> RedisResult<()> {
    let mut all = Pipeline::with_capacity(batch.len());
    for job in batch {
        if job.epoch != shared.epoch() {
            continue;
        }
        let keep = u64::try_from(job.keep.as_millis())
            .unwrap_or(u64::MAX)
            .max(1);
        // What time it has taken to come here is told when it is read.
        let value = value::encode(&job.entry, job.keep);
        all.pset_ex(&job.key, value, keep).ignore();
    }
    if all.is_empty() {
        return Ok(());
    }
    all.exec_async(&mut shared.connection()?).await
}
