//! What is done once an attempt has failed.

use std::{future::poll_fn, sync::Arc, time::Duration};

use http::{Request, Response};
use tokio::time::{Instant, sleep_until};
use tower_service::Service;

use super::{
    layer::Shared,
    state::{Failed, Stop},
};
use crate::{
    message::{Chosen, Deadline, Outcome, RequestBody, ResponseBody, Trail, classify_with, drain},
    reserve::{Attempts, Original, Withdrawal},
};

/// What it takes to make another attempt.
pub(super) struct Again<S> {
    pub(super) service: S,
    pub(super) shared: Arc<Shared>,
    pub(super) original: Original,
}

impl<S> Again<S>
where
    S: Service<Request<RequestBody>, Response = Response<ResponseBody>>,
{
    /// Makes further attempts after one that was answered with `response`, for as long as they fail and may be made.
    pub(super) async fn run(
        mut self,
        mut response: Response<ResponseBody>,
    ) -> Result<Response<ResponseBody>, S::Error> {
        let mut attempts = Attempts::default();
        let mut made = 1;
        loop {
            response = classify_with(response, &self.shared.classify).await;
            let outcome = Outcome::of(&response).unwrap_or(Outcome::Success);
            let (wait, paid) = match self.decide(&response, outcome, made) {
                Ok(decided) => decided,
                Err(stop) => {
                    if stop != Stop::Final {
                        let (outcome, why) = (outcome.as_str(), stop.as_str());
                        tracing::debug!(attempts = made, outcome, why, "not retried");
                    }
                    attempts.note(&mut response);
                    return Ok(response);
                }
            };
            let wait_ms = wait.as_millis();
            tracing::debug!(
                attempt = made,
                outcome = outcome.as_str(),
                wait_ms,
                "retrying"
            );
            let next = Instant::now() + wait;
            let chosen = self.original.request().extensions().get::<Chosen>();
            attempts.push_at(&mut response, outcome, chosen.map(|chosen| &chosen.0));
            drain(response.into_body()).await;
            sleep_until(next).await;

            poll_fn(|cx| self.service.poll_ready(cx)).await?;
            paid.spend();
            if let Some(trail) = Trail::find(self.original.request().extensions()) {
                trail.retried();
            }
            response = self.service.call(self.original.again()).await?;
            made += 1;
        }
    }

    /// The wait before the next attempt, and the attempt, paid for.
    fn decide(
        &self,
        response: &Response<ResponseBody>,
        outcome: Outcome,
        made: u32,
    ) -> Result<(Duration, Withdrawal), Stop> {
        let shared = &*self.shared;
        let told = response.headers().get("x-should-retry");
        let failed = Failed {
            outcome,
            attempts: made,
            told_not_to: told.is_some_and(|told| told == "false"),
            remaining: self.original.deadline().map(Deadline::remaining),
            elsewhere: self.original.limit().is_set_aside(),
        };
        let wait = shared
            .policy
            .decide(failed, self.original.request(), shared.random.next())?;
        let paid = shared.budget.withdraw().ok_or(Stop::Budget)?;
        if self.original.limit().take() {
            Ok((wait, paid))
        } else {
            Err(Stop::Attempts)
        }
    }
}
