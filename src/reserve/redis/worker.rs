//! What happens beside the requests.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::mpsc::Receiver,
    time::{Instant, timeout, timeout_at},
};

use super::{
    counters::Counters,
    jobs::{Job, Told},
    store::{PATIENCE, Store},
};
use crate::worker::Shutdown;

/// Settlements that are told in one go.
const BATCH: usize = 128;
/// The shortest wait before a server that does not answer is asked again.
const PAUSE: Duration = Duration::from_millis(10);

/// Settlements that are in hand. Those that are not done when it is dropped are lost.
struct InHand<'a> {
    counters: &'a Counters,
    left: usize,
}

impl Drop for InHand<'_> {
    fn drop(&mut self) {
        self.counters.unsettled.add(self.left as u64);
    }
}

/// Settles until the shutdown fires, and then what is left, for as long as the server takes any of it.
pub(super) async fn run(store: Arc<Store>, mut jobs: Receiver<Job>, mut shutdown: Shutdown) {
    {
        let mut working = pin!(work(&store, &mut jobs, shutdown.clone()));
        let mut fired = pin!(shutdown.fired());
        let is_done = poll_fn(|cx| {
            let done = working.as_mut().poll(cx).map(|()| true);
            if done.is_ready() {
                return done;
            }
            fired.as_mut().poll(cx).map(|()| false)
        });
        if is_done.await {
            return;
        }
        loop {
            let settled = store.counters.settled.get();
            if timeout(PATIENCE, &mut working).await.is_ok() {
                return;
            }
            if store.counters.settled.get() == settled {
                break;
            }
        }
    }
    jobs.close();
    while jobs.try_recv().is_ok() {
        store.counters.unsettled.add(1);
    }
}

/// Settles until nothing can come any more. While the server is left alone, so are the settlements.
async fn work(store: &Store, jobs: &mut Receiver<Job>, mut shutdown: Shutdown) {
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
        let mut in_hand = InHand {
            counters: &store.counters,
            left: batch.len(),
        };
        let (settlements, unanswered) = settlements(batch.drain(..)).await;
        in_hand.left = settlements.len() + unanswered;
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
            in_hand.left -= store.tell(settlements).await;
        }
    }
}

/// What there is to settle, once those answers have come that nobody waits for any more, and how many have not come.
async fn settlements(jobs: impl Iterator<Item = Job>) -> (Vec<Told>, usize) {
    let until = Instant::now() + PATIENCE;
    let (mut settlements, mut unanswered) = (Vec::new(), 0);
    for job in jobs {
        match job {
            Job::Tell(told) => settlements.push(told),
            Job::Unanswered(reply, told) => match timeout_at(until, reply).await {
                Ok(Ok(answer)) => settlements.extend(told.once_reserved(&answer)),
                // It may have been taken all the same.
                Ok(Err(_)) | Err(_) => unanswered += 1,
            },
        }
    }
    (settlements, unanswered)
}
