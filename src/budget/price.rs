//! What a request is going to cost.

use std::{sync::Arc, time::SystemTime};

use super::{UnknownPrice, ask::Refused, layer::Shared, state::Party};
use crate::{
    message::{
        ApiError, Endpoint, RequestBody,
        catalog::{Cost, ModelInfo},
        estimate::choices,
        usage::Usage,
    },
    wire::json::Value,
};

/// So much that any sum of reservations is exact: 79 quadrillion USD.
const MAX_ESTIMATE: Cost = Cost::from_pico_usd(1 << 96);

/// The estimate of one request.
pub(super) struct Estimate {
    /// `None` where the price is not known.
    pub(super) cost: Option<Cost>,
    pub(super) prices: Option<Arc<ModelInfo>>,
    /// Where the length of the answer is learned.
    pub(super) typical: Option<usize>,
}

impl Shared {
    /// The estimate, unless a budget asks for a price that nobody knows.
    pub(super) fn priced(
        &self,
        endpoint: Endpoint,
        body: &RequestBody,
        parties: &[Party],
        now: SystemTime,
    ) -> Result<Estimate, Refused> {
        let estimate = self.estimate(endpoint, body, now);
        let strict = |(index, _): &Party| {
            let budget = self.budgets.get(*index);
            budget.is_some_and(|budget| budget.unknown_price == UnknownPrice::Refuse)
        };
        if estimate.cost.is_none() && parties.iter().any(strict) {
            return Err(Refused::Invalid(no_price(body.model().as_deref())));
        }
        Ok(estimate)
    }

    fn estimate(&self, endpoint: Endpoint, body: &RequestBody, now: SystemTime) -> Estimate {
        let model = body.model().unwrap_or_default();
        let resolved = self.resolve.as_ref().and_then(|resolve| resolve(&model));
        let known = self.catalog.get(resolved.as_deref().unwrap_or(&model));
        let prices = known.filter(|model| model.prices.is_some());
        let mut usage = Usage {
            input: self.estimator.estimate(body).unwrap_or(0),
            ..Usage::default()
        };
        let mut typical = None;
        if answers(endpoint) {
            let place = self.typical.place(&model);
            let choices = choices(body);
            typical = (choices == 1).then_some(place);
            let one = body
                .max_output_tokens()
                .or_else(|| self.typical.get(place))
                .unwrap_or(self.default_output);
            usage.output = one.saturating_mul(choices);
        }
        let members = body.members().ok().flatten();
        let tier = members.and_then(|members| members.get("service_tier").map(Value::as_str));
        let cost = members.and(prices.as_ref()).and_then(|model| {
            let prices = model.prices.as_ref()?;
            prices.cost(&usage, tier.flatten().as_deref(), now)
        });
        Estimate {
            cost: cost.map(|cost| cost.min(MAX_ESTIMATE)),
            prices,
            typical,
        }
    }
}

fn no_price(model: Option<&str>) -> ApiError {
    let message = format!(
        "the price of the model {:?} is not known, and a budget allows only what has one",
        model.unwrap_or_default()
    );
    ApiError::invalid_request(message)
        .with_param("model")
        .with_code("unknown_price")
}

/// Whether tokens are charged there: what `CostMeterLayer` meters.
pub(super) fn has_price(endpoint: Endpoint) -> bool {
    answers(endpoint) || matches!(endpoint, Endpoint::Embeddings | Endpoint::Rerank)
}

/// Whether tokens are generated there.
pub(super) fn answers(endpoint: Endpoint) -> bool {
    matches!(
        endpoint,
        Endpoint::ChatCompletions
            | Endpoint::Completions
            | Endpoint::Responses
            | Endpoint::Messages
    )
}
