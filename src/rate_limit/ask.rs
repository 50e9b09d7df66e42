//! What a request asks for.

use http::Request;

use super::{OutputEstimate, layer::Shared};
use crate::{
    message::{ApiError, Deadline, Dialect, Endpoint, RequestBody, estimate::choices},
    reserve::{Account, Amounts, Quota},
};

/// Who asks, by which quota, for how much.
#[derive(Debug, Clone)]
pub(super) struct Ask {
    pub(super) account: Account,
    pub(super) quota: Quota,
    pub(super) amounts: Amounts,
    /// Where the length of the answer is learned.
    pub(super) typical: Option<usize>,
    pub(super) dialect: Dialect,
    pub(super) deadline: Option<Deadline>,
    /// Whether the answer has to say what it used.
    pub(super) needs_usage: bool,
}

impl Shared {
    /// What `request` asks for; `None` where it is exempt.
    pub(super) fn ask(&self, request: &Request<RequestBody>) -> Result<Option<Ask>, ApiError> {
        let Some(key) = self.by.key_of(request)? else {
            return Ok(None);
        };
        let quota = self.quotas.of(&key, request);
        let endpoint = Endpoint::of(request);
        let counts_tokens = quota.counts_tokens() || self.learned.is_some();
        let mut ask = Ask {
            account: Account::new(key),
            quota,
            amounts: Amounts::request(),
            typical: None,
            dialect: endpoint.dialect(),
            deadline: Deadline::of(request.extensions()),
            needs_usage: false,
        };
        if counts_tokens && endpoint.reads_json() {
            // What cannot be read cannot be counted, and a member that stands there twice might be read differently further on.
            request.body().members()?;
            ask.needs_usage = ask.quota.counts_tokens();
            self.estimate(&mut ask, endpoint, request.body());
        }
        Ok(Some(ask))
    }

    fn estimate(&self, ask: &mut Ask, endpoint: Endpoint, body: &RequestBody) {
        // A body that is not JSON, compressed for one, is weighed as it is.
        let unread = || body.as_bytes().map_or(0, |bytes| bytes.len() as u64 / 4);
        let input = match body.members() {
            Ok(Some(_)) => self.estimator.estimate(body).unwrap_or(0),
            _ => unread(),
        };
        let answers = matches!(
            endpoint,
            Endpoint::ChatCompletions
                | Endpoint::Completions
                | Endpoint::Responses
                | Endpoint::Messages
        );
        let mut output = 0;
        if answers {
            let place = self.typical.place(&body.model().unwrap_or_default());
            let choices = choices(body);
            ask.typical = (choices == 1).then_some(place);
            let cap = body.max_output_tokens();
            let usual = match self.output {
                OutputEstimate::Cap => None,
                OutputEstimate::Typical => {
                    Some(self.typical.get(place).unwrap_or(self.default_output))
                }
            };
            let one = match (cap, usual) {
                (Some(cap), Some(usual)) => cap.min(usual),
                (cap, usual) => cap.or(usual).unwrap_or(self.default_output),
            };
            output = one.saturating_mul(choices);
        }
        ask.amounts = ask.amounts.with_tokens(input, output);
    }
}
