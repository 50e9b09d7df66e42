//! What happens beside the requests.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::mpsc::Receiver,
    time::{Instant, timeout_at},
};

use super::{
    jobs::{Job, Told},
    store::{PATIENCE, Store},
};
use crate::worker::Shutdown;

/// Settlements that are told in one go.
const BATCH: usize = 128;
/// The shortest wait before a server that does not answer is asked again.
const PAUSE: Duration = Duration::from_millis(10);

/// Settles until the shutdown fires, and then what is left. While the server is left alone, so are the settlements.
pub(super) async fn run(store: Arc<Store>, mut jobs: Receiver<Job>, mut shutdown: Shutdown) {
    let mut batch = Vec::new();
    let mut stopping = false;
    loop {
        {
            let mut fired = pin!(shutdown.fired());
            poll_fn(|cx| {
                if !stopping && fired.as_mut().poll(cx).is_ready() {
                    stopping = true;
                    jobs.close();
                }
                jobs.poll_recv_many(cx, &mut batch, BATCH).map(drop)
            })
            .await;
        }
        if batch.is_empty() {
            return;
        }
        let settlements = settlements(&store, batch.drain(..)).await;
        if settlements.is_empty() {
            continue;
        }
        let mut is_there = store.is_there().await;
        while !is_there && !stopping {
            if shutdown.fired_within(store.breaker.wait().max(PAUSE)).await {
                stopping = true;
                jobs.close();
            }
            is_there = store.is_there().await;
        }
        if is_there {
            store.tell(settlements).await;
        } else {
            store.counters.unsettled.add(settlements.len() as u64);
        }
    }
}

/// What there is to settle, once those answers have come that nobody waits for any more.
async fn settlements(store: &Store, jobs: impl Iterator<Item = Job>) -> Vec<Told> {
    let until = Instant::now() + PATIENCE;
    let mut settlements = Vec::new();
    for job in jobs {
        match job {
            Job::Tell(told) => settlements.push(told),
            Job::Unanswered(reply, told) => match timeout_at(until, reply).await {
                Ok(Ok(answer)) => settlements.extend(told.once_reserved(&answer)),
                // It may have been taken all the same.
                Ok(Err(_)) | Err(_) => store.counters.unsettled.add(1),
            },
        }
    }
    settlements
}
