//! The two answers of one request, brought together when the later of them has ended.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http::Response;
use tokio::{
    sync::{OwnedSemaphorePermit, mpsc},
    time::Instant,
};

use super::Side;
use crate::message::{
    Bill, BoxError, Completion, Endpoint, Media, Outcome, Output, ResponseBody, Served, Transform,
};

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Which {
    Primary,
    Shadow,
}

/// One answer, and as much of its bytes as is kept.
#[derive(Debug)]
pub(super) struct Half {
    pub(super) side: Side,
    pub(super) media: Media,
    pub(super) text: Vec<u8>,
}

/// Both of them.
#[derive(Debug)]
pub(super) struct Both {
    pub(super) about: About,
    pub(super) primary: Half,
    pub(super) shadow: Half,
}

#[derive(Debug, Clone)]
pub(super) struct About {
    pub(super) request_id: Box<str>,
    pub(super) endpoint: Endpoint,
    pub(super) stream: bool,
}

/// Where the answers of one request come together. It holds its place among those that may be under way until both have ended.
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) about: About,
    pub(super) halves: Mutex<(Option<Half>, Option<Half>)>,
    pub(super) done: mpsc::Sender<Both>,
    pub(super) _permit: OwnedSemaphorePermit,
}

impl Pair {
    /// Takes one answer; the second hands both on.
    fn put(&self, which: Which, half: Half) {
        let both = {
            let mut halves = self.halves.lock().unwrap_or_else(PoisonError::into_inner);
            match which {
                Which::Primary => halves.0 = Some(half),
                Which::Shadow => halves.1 = Some(half),
            }
            let (primary, shadow) = &mut *halves;
            let is_whole = primary.is_some() && shadow.is_some();
            is_whole
                .then(|| primary.take().zip(shadow.take()))
                .flatten()
        };
        if let Some((primary, shadow)) = both {
            let both = Both {
                about: self.about.clone(),
                primary,
                shadow,
            };
            // A full queue means that comparisons are not written as fast as they come: this one is lost.
            let _ = self.done.try_send(both);
        }
    }
}

/// Watches one of the answers to its end.
#[derive(Debug)]
pub(super) struct Watch {
    pair: Arc<Pair>,
    which: Which,
    began: Instant,
    max_text: usize,
    half: Option<Half>,
    outcome: Option<Outcome>,
    tap: Arc<Mutex<Vec<u8>>>,
}

impl Watch {
    pub(super) fn new(pair: Arc<Pair>, which: Which, max_text: usize) -> Self {
        let side = Side {
            // Until there is a head: the caller has left, or the shadow's time was over.
            outcome: match which {
                Which::Primary => "cancelled".into(),
                Which::Shadow => "timeout".into(),
            },
            ..Side::default()
        };
        Self {
            pair,
            which,
            began: Instant::now(),
            max_text,
            half: Some(Half {
                side,
                media: Media::Opaque,
                text: Vec::new(),
            }),
            outcome: None,
            tap: Arc::default(),
        }
    }

    /// Starts the clock anew: what came before was not the upstream's.
    pub(super) fn begin(&mut self) {
        self.began = Instant::now();
    }

    /// There is no answer at all.
    pub(super) fn failed(mut self) {
        if let Some(half) = &mut self.half {
            half.side.outcome = "transport".into();
        }
    }

    /// Watches the body of `response` too.
    pub(super) fn answered(mut self, response: Response<ResponseBody>) -> Response<ResponseBody> {
        let status = response.status();
        self.outcome = Outcome::of_head(&response);
        if let Some(half) = &mut self.half {
            half.media = response.body().media();
            half.side.status = status.as_u16();
            half.side.outcome = match status.as_u16() {
                429 => "rate_limited".into(),
                500.. => "server_error".into(),
                _ => "invalid_request".into(),
            };
            if let Some(served) = response.extensions().get::<Served>() {
                half.side.upstream = Some(Arc::clone(&served.upstream));
                half.side.model.clone_from(&served.model);
            }
        }
        let tap = Tap {
            text: Arc::clone(&self.tap),
            max: self.max_text,
        };
        let response = crate::message::transform(response, tap);
        response.map(|body| body.on_end(move |completion| self.ended(completion)))
    }

    fn ended(mut self, completion: &Completion) {
        let since = |moment: Instant| millis(moment.saturating_duration_since(self.began));
        let Some(half) = &mut self.half else { return };
        let side = &mut half.side;
        side.latency_ms = since(completion.ended_at);
        side.ttft_ms = completion.first_token_at.map(since);
        side.usage = completion.usage;
        side.finish_reason.clone_from(&completion.finish_reason);
        if side.model.is_none() {
            side.model = completion.model.as_deref().map(Arc::from);
        }
        let bill = completion.bill.as_ref();
        let bill = bill.filter(|bill| bill.attempts() > 0 && bill.unpriced() == 0);
        side.cost_usd = bill.map(Bill::cost);
        if let Some(head) = self.outcome {
            let outcome = Outcome::of_completion(completion, head).as_str();
            side.outcome = match (self.which, outcome) {
                // Nobody but the shadow's own bounds lets go of its answer.
                (Which::Shadow, "cancelled") => "capped".into(),
                (_, outcome) => outcome.into(),
            };
        }
        let mut tap = self.tap.lock().unwrap_or_else(PoisonError::into_inner);
        half.text = std::mem::take(&mut tap);
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let Some(mut half) = self.half.take() else {
            return;
        };
        if half.side.latency_ms == 0 {
            half.side.latency_ms = millis(self.began.elapsed());
        }
        self.pair.put(self.which, half);
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// Copies the beginning of what passes.
struct Tap {
    text: Arc<Mutex<Vec<u8>>>,
    max: usize,
}

impl Transform for Tap {
    fn data(&mut self, data: Bytes, output: &mut Output<'_>) -> Result<(), BoxError> {
        {
            let mut text = self.text.lock().unwrap_or_else(PoisonError::into_inner);
            let room = self.max.saturating_sub(text.len()).min(data.len());
            text.extend_from_slice(data.get(..room).unwrap_or_default());
        }
        output.push(data)
    }

    fn keeps_length(&self) -> bool {
        true
    }
}
