//! Which model of which tier takes a request: pure.

use std::{cmp::Reverse, sync::Arc, time::SystemTime};

use crate::message::{
    Endpoint, RequestBody,
    catalog::{Cost, ModelInfo, ModelTable},
    estimate::TokenEstimator,
    features,
    usage::Usage,
};

/// How far the estimate of a prompt is taken to be off, in percent, either way: as far as the estimator is for single languages.
const MARGIN_PERCENT: u128 = 25;

/// What a request without a cap is taken to get of answer, in tokens, where costs are compared.
const TYPICAL_OUTPUT: u64 = 500;

/// The models of one tier, the preferred first.
#[derive(Debug)]
pub(super) struct Tier {
    pub(super) name: &'static str,
    pub(super) models: Vec<Arc<str>>,
}

/// A model, and the place of the tier that it was found in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) model: Arc<str>,
    pub(super) tier: usize,
}

/// Why no model takes a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unfit {
    /// It is longer than every window that is known.
    TooLong { window: u64, estimate: u64 },
    /// No model has what this parameter asks for.
    Lacks(&'static str),
    /// The caller may have none of them.
    NotAllowed,
}

/// What a model must have to take a request.
pub(super) struct Needs<'a> {
    body: &'a RequestBody,
    /// The prompt in tokens, where it must fit into one window.
    prompt: Option<u64>,
    output: Option<u64>,
    /// Which models may take it, where not all.
    may: Option<&'a dyn Fn(&str) -> bool>,
}

/// How much is left to chance.
#[derive(Clone, Copy, PartialEq)]
enum Fit {
    /// The prompt fits even if it is longer than estimated, and so does the answer.
    Sure,
    /// The prompt may fit if it is shorter than estimated; too long an answer is for others to cut.
    Perhaps,
}

impl<'a> Needs<'a> {
    pub(super) fn of(endpoint: Endpoint, body: &'a RequestBody) -> Self {
        let in_one_window = features::has_one_prompt(endpoint, body) && !features::truncates(body);
        let estimator = TokenEstimator::by_bytes();
        Self {
            body,
            prompt: in_one_window.then(|| estimator.estimate(body)).flatten(),
            output: body.max_output_tokens(),
            may: None,
        }
    }

    /// One of the models that `may` take it.
    pub(super) fn among(mut self, may: &'a dyn Fn(&str) -> bool) -> Self {
        self.may = Some(may);
        self
    }

    fn allows(&self, model: &str) -> bool {
        self.may.is_none_or(|may| may(model))
    }

    /// Whether the model takes the request. What is not known of it hinders nothing.
    fn fits(&self, info: &ModelInfo, fit: Fit) -> Result<(), Unfit> {
        if let Some(param) = features::lacking(self.body, info.capabilities) {
            return Err(Unfit::Lacks(param));
        }
        if let (Some(window), Some(estimate)) = (info.context_window, self.prompt) {
            let percent = match fit {
                Fit::Sure => 100 + MARGIN_PERCENT,
                Fit::Perhaps => 100 - MARGIN_PERCENT,
            };
            if u128::from(estimate) * percent > u128::from(window) * 100 {
                return Err(Unfit::TooLong { window, estimate });
            }
        }
        match (info.max_output_tokens, self.output) {
            (Some(most), Some(asked)) if asked > most && fit == Fit::Sure => {
                Err(Unfit::Lacks("max_tokens"))
            }
            _ => Ok(()),
        }
    }

    fn cost(&self, info: &ModelInfo, now: SystemTime) -> Option<Cost> {
        let usage = Usage {
            input: self.prompt.unwrap_or(0),
            output: self.output.unwrap_or(TYPICAL_OUTPUT),
            ..Usage::default()
        };
        info.prices.as_ref()?.cost(&usage, None, now)
    }
}

/// Where models are looked for.
#[derive(Debug)]
pub(super) struct Search<'a> {
    pub(super) tiers: &'a [Tier],
    pub(super) table: &'a ModelTable,
    /// Whether the cheapest model of a tier that takes a request comes first, as of this moment.
    pub(super) cheapest_at: Option<SystemTime>,
}

impl Search<'_> {
    /// The model for a request of the tier at `start`: one of that tier, else of the next higher one that has one, else of the next lower.
    pub(super) fn choose(&self, start: usize, needs: &Needs<'_>) -> Result<Choice, Unfit> {
        let up = start..self.tiers.len();
        let down = (0..start).rev();
        let order: Vec<usize> = up.chain(down).collect();
        let all = |_: &str, _: Option<&ModelInfo>| true;
        self.first(&order, needs, Fit::Sure, all)
            .or_else(|_| self.first(&order, needs, Fit::Perhaps, all))
    }

    /// Whether `model` still takes a request that goes on with its conversation.
    pub(super) fn may_stay(&self, model: &str, needs: &Needs<'_>) -> bool {
        let info = self.table.get(model);
        needs.allows(model) && info.is_none_or(|info| needs.fits(info, Fit::Sure).is_ok())
    }

    /// The model to try after that of `choice` gave an answer that will not do: of a higher tier.
    pub(super) fn better(&self, choice: &Choice, needs: &Needs<'_>) -> Option<Choice> {
        let order: Vec<usize> = (choice.tier + 1..self.tiers.len()).collect();
        let other = |model: &str, _: Option<&ModelInfo>| *model != *choice.model;
        self.first(&order, needs, Fit::Sure, other).ok()
    }

    /// The model to try after the request was too long for that of `choice`: one whose window is not known to be as small.
    pub(super) fn roomier(&self, choice: &Choice, needs: &Needs<'_>) -> Option<Choice> {
        let small = self.window(&choice.model);
        let up = choice.tier + 1..self.tiers.len();
        let down = (0..=choice.tier.min(self.tiers.len().saturating_sub(1))).rev();
        let order: Vec<usize> = up.chain(down).collect();
        let larger = |model: &str, info: Option<&ModelInfo>| {
            let window = info.and_then(|info| info.context_window);
            let is_larger = match (window, small) {
                (Some(window), Some(small)) => window > small,
                _ => true,
            };
            *model != *choice.model && is_larger
        };
        self.first(&order, needs, Fit::Perhaps, larger).ok()
    }

    fn window(&self, model: &str) -> Option<u64> {
        self.table.get(model)?.context_window
    }

    fn first(
        &self,
        order: &[usize],
        needs: &Needs<'_>,
        fit: Fit,
        wanted: impl Fn(&str, Option<&ModelInfo>) -> bool,
    ) -> Result<Choice, Unfit> {
        let mut unfit = None;
        for (place, tier) in order
            .iter()
            .filter_map(|place| Some((*place, self.tiers.get(*place)?)))
        {
            let mut best: Option<(Option<Reverse<Cost>>, &Arc<str>)> = None;
            for model in &tier.models {
                let info = self.table.get(model).map(|info| &**info);
                if !needs.allows(model) || !wanted(model, info) {
                    continue;
                }
                if let Some(reason) = info.and_then(|info| needs.fits(info, fit).err()) {
                    unfit = Some(worse(unfit, reason));
                    continue;
                }
                let Some(now) = self.cheapest_at else {
                    best = Some((None, model));
                    break;
                };
                // One without a price comes after all that have one.
                let cost = info.and_then(|info| needs.cost(info, now)).map(Reverse);
                if best.as_ref().is_none_or(|(other, _)| cost > *other) {
                    best = Some((cost, model));
                }
            }
            if let Some((_, model)) = best {
                return Ok(Choice {
                    model: Arc::clone(model),
                    tier: place,
                });
            }
        }
        Err(unfit.unwrap_or(Unfit::NotAllowed))
    }
}

/// What is to be told of two reasons: a length that fits nowhere, with the largest window.
fn worse(one: Option<Unfit>, other: Unfit) -> Unfit {
    match (one, other) {
        (None, other) | (Some(Unfit::Lacks(_)), other @ Unfit::TooLong { .. }) => other,
        (Some(Unfit::TooLong { window, estimate }), Unfit::TooLong { window: more, .. }) => {
            Unfit::TooLong {
                window: window.max(more),
                estimate,
            }
        }
        (Some(one), _) => one,
    }
}
