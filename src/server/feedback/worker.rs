//! Writes scores down.

use std::{
    fs::{File, OpenOptions},
    future::{Future, poll_fn},
    io::{self, Write},
    path::Path,
    pin::pin,
    task::Poll,
};

use tokio::{sync::mpsc::Receiver, task::spawn_blocking};

use super::layer::Sink;
use crate::{ledger::Feedback, worker::Shutdown};

/// As many are written in one go.
const BATCH: usize = 64;

pub(super) fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

/// Writes until the shutdown fires, and then what is left.
pub(super) async fn run(
    mut shutdown: Shutdown,
    mut scores: Receiver<Feedback>,
    mut file: Option<File>,
    sink: Option<Sink>,
) {
    let mut fired = pin!(shutdown.fired());
    let mut ends = false;
    loop {
        let mut batch = Vec::new();
        poll_fn(|cx| {
            if !ends && fired.as_mut().poll(cx).is_ready() {
                ends = true;
                scores.close();
            }
            match scores.poll_recv_many(cx, &mut batch, BATCH) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(_) => Poll::Ready(()),
            }
        })
        .await;
        if batch.is_empty() {
            if !ends {
                // Nobody is left to give any.
                fired.as_mut().await;
            }
            return;
        }
        let told = sink.clone();
        let write = move || {
            for feedback in batch {
                if let Some(file) = &mut file {
                    write(file, &feedback);
                }
                if let Some(Sink(told)) = &told {
                    told(&feedback);
                }
            }
            file
        };
        match spawn_blocking(write).await {
            Ok(back) => file = back,
            // The sink has panicked, or the runtime is shutting down.
            Err(error) => {
                tracing::warn!(%error, "scores are not written any more");
                return;
            }
        }
    }
}

fn write(file: &mut File, feedback: &Feedback) {
    let Ok(mut line) = serde_json::to_vec(feedback) else {
        return;
    };
    line.push(b'\n');
    // One call, so that a line is whole or not there.
    if let Err(error) = file.write_all(&line) {
        tracing::warn!(%error, "a score could not be written");
    }
}
