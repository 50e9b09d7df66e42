//! The rules, the clamp and the checks together, on one request.

use std::sync::Arc;

use http::Request;

use super::{Checks, params::Rules, report::Report};
use crate::message::{
    self, ApiError, Endpoint, RequestBody, UsageAsked, UsageWanted,
    catalog::{ModelCatalog, ModelInfo},
};

/// How requests are fitted to their models.
#[derive(Debug)]
pub(super) struct Fit {
    pub(super) rules: Rules,
    pub(super) clamp_output: bool,
    pub(super) checks: Checks,
    pub(super) provider: Option<Arc<str>>,
    /// `None` where nothing asks it.
    pub(super) catalog: Option<ModelCatalog>,
}

impl Fit {
    /// Puts `target` into `request`, where it is another model than the request names, and fits the request to its model in the
    /// same edit; what the caller is to be told of that.
    pub(super) fn apply(
        &self,
        request: &mut Request<RequestBody>,
        endpoint: Endpoint,
        target: Option<&str>,
    ) -> Result<Option<Box<Report>>, ApiError> {
        let Some(members) = request.body().members()? else {
            return Ok(None);
        };
        let asked = request.body().model().unwrap_or_default();
        let model = target.unwrap_or(&asked);
        let known = self.known(model);
        let cap = known.as_ref().and_then(|info| info.max_output_tokens);
        let cap = cap.filter(|_| self.clamp_output);
        // What a layer further out asked for by itself is nothing that the caller loses.
        let unasked = request.extensions().get::<UsageAsked>();
        let unasked = unasked.map(|_| "stream_options");
        let plan = self.rules.plan(model, endpoint, cap, members, unasked)?;

        let wanted_usage = !plan.is_empty() && request.body().wants_usage();

        let mut report = None;
        if target.is_some() || !plan.is_empty() {
            message::edit(request, |edit| {
                if let Some(target) = target {
                    edit.set("model", target);
                }
                report = plan.apply(edit);
            })?;
        }
        if wanted_usage && !request.body().wants_usage() {
            request.extensions_mut().insert(UsageWanted);
        }
        // Held against what is sent, so that a rule can take out what the model does not have.
        if let Some(known) = known {
            self.checks.check(endpoint, request.body(), &known)?;
        }
        Ok(report)
    }

    /// What is known of `model`, where anything asks for it.
    fn known(&self, model: &str) -> Option<Arc<ModelInfo>> {
        let catalog = self.catalog.as_ref()?;
        match &self.provider {
            Some(provider) => catalog.get_at(provider, model),
            None => catalog.get(model),
        }
    }
}
