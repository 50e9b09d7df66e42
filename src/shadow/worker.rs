//! Sends the copies, and reads what came of them.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use bytes::Bytes;
use http::Request;
use http_body_util::BodyExt;
use tokio::{
    sync::mpsc,
    task::{JoinSet, spawn_blocking},
    time::timeout,
};
use tower_service::Service;

use super::{
    Comparison, ComparisonSink, Side, Similarity,
    content::Content,
    counters::{Counters, add},
    pair::{Both, Half, Watch},
};
use crate::{
    client::Target,
    message::{Deadline, Endpoint, RequestBody},
    worker::Shutdown,
};

/// As many pairs are read in one go.
const BATCH: usize = 64;

/// A request to be sent.
#[derive(Debug)]
pub(super) struct Copy {
    pub(super) request: Request<RequestBody>,
    pub(super) watch: Watch,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) max_body: u64,
    pub(super) deadline: Duration,
}

/// Makes comparisons of pairs.
#[derive(Clone)]
pub(super) struct Reader {
    pub(super) sink: Option<Arc<dyn ComparisonSink>>,
    pub(super) similarity: Arc<dyn Similarity>,
    pub(super) max_text: usize,
    pub(super) counters: Arc<Counters>,
}

/// Works until `shutdown` fires; then lets go of the copies, and writes the comparisons that are whole.
pub(super) async fn run(
    mut shutdown: Shutdown,
    mut copies: mpsc::Receiver<Copy>,
    mut ended: mpsc::Receiver<Both>,
    target: Target,
    bounds: Bounds,
    reader: Reader,
) {
    let mut sending = JoinSet::new();
    let mut reading = JoinSet::new();
    let mut fired = pin!(shutdown.fired());
    poll_fn(|cx| {
        while let Poll::Ready(Some(copy)) = copies.poll_recv(cx) {
            sending.spawn(send(target.clone(), copy, bounds));
        }
        while let Poll::Ready(Some(_)) = sending.poll_join_next(cx) {}
        loop {
            while let Poll::Ready(Some(_)) = reading.poll_join_next(cx) {}
            // One batch at a time: the queue waits for a slow sink, and is bounded.
            if !reading.is_empty() {
                break;
            }
            let mut batch = Vec::new();
            if ended.poll_recv_many(cx, &mut batch, BATCH).is_pending() || batch.is_empty() {
                break;
            }
            let reader = reader.clone();
            reading.spawn(async move { reader.read(batch).await });
        }
        fired.as_mut().poll(cx)
    })
    .await;
    let mut rest = Vec::new();
    while let Ok(both) = ended.try_recv() {
        rest.push(both);
    }
    // What ends from here on was let go of, and says nothing.
    ended.close();
    copies.close();
    sending.shutdown().await;
    while reading.join_next().await.is_some() {}
    reader.read(rest).await;
}

/// Sends one copy and reads its answer to the end, within the bounds.
async fn send(mut target: Target, copy: Copy, bounds: Bounds) {
    let Copy { request, mut watch } = copy;
    watch.begin();
    let deadline = Deadline::after(bounds.deadline);
    let sent = async move {
        let Ok(()) = poll_fn(|cx| target.poll_ready(cx)).await;
        let Ok(response) = target.call(request).await;
        let response = watch.answered(response);
        let mut body = response.into_body();
        body.expire(deadline, None);
        let mut read = 0;
        while let Some(Ok(frame)) = body.frame().await {
            // Empty frames must come to an end too.
            read += frame.data_ref().map_or(0, Bytes::len).max(64) as u64;
            if read > bounds.max_body {
                break;
            }
        }
    };
    // What is dropped here settles by itself.
    let _ = timeout(bounds.deadline, sent).await;
}

impl Reader {
    /// Compares, on a thread that may block.
    async fn read(self, batch: Vec<Both>) {
        if batch.is_empty() {
            return;
        }
        let read = move || {
            for both in batch {
                let comparison = self.compare(both);
                add(self.counters.compared());
                if let Some(sink) = &self.sink {
                    sink.record(&comparison);
                }
            }
        };
        // A sink that panics loses its batch, and nothing else.
        if spawn_blocking(read).await.is_err() {
            tracing::warn!("a batch of comparisons was lost");
        }
    }

    fn compare(&self, both: Both) -> Comparison {
        let Both {
            about,
            primary,
            shadow,
        } = both;
        let is_chat = about.endpoint == Endpoint::ChatCompletions;
        let (primary, said) = self.side(primary, is_chat);
        let (shadow, shadow_said) = self.side(shadow, is_chat);
        let similarity = said
            .zip(shadow_said)
            .map(|(said, shadow_said)| self.similarity.score(&said, &shadow_said));
        Comparison {
            request_id: about.request_id,
            endpoint: about.endpoint,
            stream: about.stream,
            primary,
            shadow,
            similarity,
        }
    }

    /// An answer, and its text where it is a success that was kept whole.
    fn side(&self, half: Half, is_chat: bool) -> (Side, Option<String>) {
        let Half {
            mut side,
            media,
            text,
        } = half;
        if !side.is_success() || text.len() >= self.max_text {
            return (side, None);
        }
        let content = Content::read(media, &text, is_chat);
        side.tool_calls = content.tool_calls();
        side.text_chars = content.text.chars().count() as u64;
        side.deviations = content.deviations;
        let said = (!content.text.is_empty()).then_some(content.text);
        (side, said)
    }
}
