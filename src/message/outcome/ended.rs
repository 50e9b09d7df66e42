//! What the end of a body adds to what its head meant.

use http::HeaderMap;

use super::{Outcome, classify_error};
use crate::message::{Completion, End, Failure, Phase};

impl Outcome {
    /// The outcome of an answer that has ended, from what its head meant and what its end showed: for whoever judges an
    /// upstream, in a callback of [`ResponseBody::on_end`](crate::message::ResponseBody::on_end).
    ///
    /// Only a success is overruled. The body of an error is often left unread, by a retry for one, and its head has said all.
    ///
    /// | end | outcome |
    /// |---|---|
    /// | [`Complete`](End::Complete) | that of [its finish reason](Self::of_finish_reason), else `head` |
    /// | [`Failure::Stated`] | that of [the error](Completion::error), by [`classify_error`] |
    /// | [`Failure::Body`], [`Failure::Truncated`] | `Transport { phase: Body }` |
    /// | [`Failure::Deadline`] | `Timeout { phase: Body }` |
    /// | [`Failure::Transform`] | `head`: the fault is this relay's |
    /// | [`Cancelled`](End::Cancelled) | `Cancelled` |
    ///
    /// ```
    /// use tower_relay::message::{Outcome, ResponseBody, Verdict};
    ///
    /// # fn watch(body: ResponseBody) -> ResponseBody {
    /// body.on_end(|completion| {
    ///     let outcome = Outcome::of_completion(completion, Outcome::Success);
    ///     if outcome.verdict() == Verdict::Failure {
    ///         // It counts against the upstream.
    ///     }
    /// })
    /// # }
    /// ```
    pub fn of_completion(completion: &Completion, head: Self) -> Self {
        if head != Self::Success {
            return head;
        }
        let phase = Phase::Body;
        match completion.end {
            End::Complete => {
                let reason = completion.finish_reason.as_deref();
                reason.and_then(Self::of_finish_reason).unwrap_or(head)
            }
            End::Cancelled => Self::Cancelled,
            End::Failed(Failure::Stated) => completion
                .error
                .as_ref()
                .map_or(Self::ServerError, |error| {
                    classify_error(error.status(), &HeaderMap::new(), error)
                }),
            End::Failed(Failure::Body | Failure::Truncated) => Self::Transport { phase },
            End::Failed(Failure::Deadline) => Self::Timeout { phase },
            End::Failed(Failure::Transform) => head,
        }
    }
}
