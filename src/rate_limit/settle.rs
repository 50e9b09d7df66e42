//! From admission to settlement.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use http::Response;
use tokio::time::Instant;

use super::{ask::Ask, headers, layer::Shared, learned::Sent, policy::UnknownUsage};
use crate::{
    message::{
        Cached, Completion, End, Failure, HideUsage, Media, Outcome, Phase, Reason, Rejection,
        ResponseBody, TransportError,
    },
    reserve::{Amounts, Dimension, Levels, Reservation},
};

/// Bytes of a stream for each token of output, where nothing says how many there were. Half of the recorded streams have more than 108, a
/// quarter fewer than 41.
const STREAM_BYTES: u64 = 64;
/// The same of a JSON body: half of the recorded ones have more than 16.
const JSON_BYTES: u64 = 16;

/// A request that was admitted. However it ends, it is settled once.
pub(super) struct Pass {
    shared: Arc<Shared>,
    /// `None` once it is settled.
    reservation: Option<Reservation>,
    levels: Levels,
    typical: Option<usize>,
    sent: Option<Sent>,
    hide: Option<HideUsage>,
    is_sent: bool,
}

impl Pass {
    pub(super) fn new(
        shared: Arc<Shared>,
        ask: &Ask,
        reservation: Reservation,
        levels: Levels,
        sent: Option<Sent>,
    ) -> Self {
        shared.in_flight.fetch_add(1, Relaxed);
        Self {
            shared,
            reservation: Some(reservation),
            levels,
            typical: ask.typical,
            sent,
            hide: None,
            is_sent: false,
        }
    }

    /// What the caller is not to see of the answer.
    pub(super) fn hide(&mut self, hide: Option<HideUsage>) {
        self.hide = hide;
    }

    /// It is on its way now, and may cost something whatever becomes of it.
    pub(super) fn sent(&mut self) {
        if std::mem::replace(&mut self.is_sent, true) {
            return;
        }
        if let Some(sent) = &mut self.sent {
            sent.set_out(true);
        }
    }

    /// The inner service failed: nothing was answered, and nothing is counted.
    pub(super) fn failed(mut self) {
        self.was_not_sent();
    }

    fn was_not_sent(&mut self) {
        self.is_sent = false;
        if let Some(sent) = &mut self.sent {
            sent.set_out(false);
        }
    }

    /// Whether what the answer asks to wait has to be read.
    pub(super) fn wants_classified(&self, response: &Response<ResponseBody>) -> bool {
        self.sent.is_some()
            && response.status() == http::StatusCode::TOO_MANY_REQUESTS
            && Outcome::of_head(response).is_none()
    }

    /// Learns from the head of the answer, and lets its end settle.
    pub(super) fn answered(
        mut self,
        mut response: Response<ResponseBody>,
    ) -> Response<ResponseBody> {
        if let Some(reservation) = &self.reservation
            && self.shared.tells
            && response.status().as_u16() != 429
        {
            headers::write(&mut response, reservation.quota(), &self.levels);
        }
        let cost = cost_of_head(&response);
        if matches!(cost, Cost::Request | Cost::Body) {
            self.learn(&response);
        }
        match cost {
            Cost::Nothing => {
                self.was_not_sent();
                return response;
            }
            Cost::Request => {
                self.finish(Amounts::request());
                // One from a cache may hold what the asking for usage caused.
                return match self.hide.take().filter(|_| response.status().is_success()) {
                    Some(hide) => hide.hide(response),
                    None => response,
                };
            }
            Cost::Unknown => {
                let unknown = self.unknown(0);
                self.finish(unknown);
                return response;
            }
            Cost::Body => {}
        }
        let hide = self.hide.take();
        let response = response.map(|body| {
            let media = body.media();
            body.on_end(move |completion| self.ended(completion, media))
        });
        match hide {
            Some(hide) => hide.hide(response),
            None => response,
        }
    }

    fn learn(&mut self, response: &Response<ResponseBody>) {
        let Some(sent) = self.sent.take() else {
            return;
        };
        let retry_after = match Outcome::of(response) {
            Some(Outcome::RateLimited { retry_after }) => retry_after,
            _ => None,
        };
        sent.answered(response.headers(), retry_after, Instant::now());
    }

    fn ended(mut self, completion: &Completion, media: Media) {
        let request = Amounts::request();
        let used = match completion.usage {
            Some(usage) if completion.usage_is_final => {
                if let (Some(place), output @ 1..) = (self.typical, usage.total_output()) {
                    self.shared.typical.learn(place, output);
                }
                request.with_tokens(usage.total_input(), usage.total_output())
            }
            // Refused inside a 200, before anything was said.
            None if completion.end == End::Failed(Failure::Stated)
                && completion.first_token_at.is_none() =>
            {
                request
            }
            stated => {
                let seen = match (completion.first_token_at, media) {
                    (None, _) => 0,
                    (_, Media::EventStream | Media::JsonLines) => completion.bytes / STREAM_BYTES,
                    _ => completion.bytes / JSON_BYTES,
                };
                let unknown = self.unknown(seen);
                let stated = stated.unwrap_or_default();
                request.with_tokens(
                    unknown
                        .get(Dimension::InputTokens)
                        .max(stated.total_input()),
                    unknown
                        .get(Dimension::OutputTokens)
                        .max(stated.total_output()),
                )
            }
        };
        self.finish(used);
    }

    /// What is counted where nothing is said, and so much output was seen.
    fn unknown(&self, seen: u64) -> Amounts {
        let Some(reservation) = &self.reservation else {
            return Amounts::NONE;
        };
        let reserved = reservation.reserved();
        let output = reserved.get(Dimension::OutputTokens);
        let output = match self.shared.unknown_usage {
            UnknownUsage::KeepReservation => output,
            UnknownUsage::Estimate => seen.min(output),
        };
        Amounts::request().with_tokens(reserved.get(Dimension::InputTokens), output)
    }

    fn finish(&mut self, used: Amounts) {
        let Some(mut reservation) = self.reservation.take() else {
            return;
        };
        reservation.settle_once(used);
        self.shared.in_flight.fetch_sub(1, Relaxed);
        // Only now: who comes in between finds what was given back, or is called.
        self.shared.queue.nudge(reservation.account());
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        // A caller who leaves while the request is on its way has not bought an answer for nothing.
        let used = if self.is_sent {
            self.unknown(0)
        } else {
            Amounts::NONE
        };
        self.finish(used);
    }
}

/// What an answer cost, by its head.
enum Cost {
    /// It never came to the provider.
    Nothing,
    /// It was refused.
    Request,
    /// It was given up, and may have been worked on.
    Unknown,
    /// Its end will tell.
    Body,
}

fn cost_of_head(response: &Response<ResponseBody>) -> Cost {
    let extensions = response.extensions();
    if let Some(rejection) = extensions.get::<Rejection>() {
        return match rejection.reason {
            Reason::Timeout(Phase::Head | Phase::Body) => Cost::Unknown,
            _ => Cost::Nothing,
        };
    }
    if let Some(error) = extensions.get::<TransportError>() {
        return match error.phase() {
            Phase::Head | Phase::Body if error.is_timeout() => Cost::Unknown,
            Phase::Head | Phase::Body => Cost::Request,
            _ => Cost::Nothing,
        };
    }
    // An answer from a cache uses no tokens, whatever it states.
    if response.status().as_u16() >= 400 || extensions.get::<Cached>().is_some() {
        Cost::Request
    } else {
        Cost::Body
    }
}

impl std::fmt::Debug for Pass {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pass")
            .field("reservation", &self.reservation)
            .field("is_sent", &self.is_sent)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pass_is_small_enough_to_move() {
        assert!(size_of::<Pass>() <= 512, "{}", size_of::<Pass>());
    }
}
