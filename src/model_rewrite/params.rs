//! What becomes of a request's parameters: pure, and decided before anything is changed.

use serde_json::value::RawValue;

use super::{draft::Draft, report::Report};
use crate::{
    message::{ApiError, Endpoint, ModelPattern},
    wire::json::{Edit, Members, NewValue},
};

/// All rules of a layer, in the order in which they apply.
#[derive(Debug, Default)]
pub(super) struct Rules(pub(super) Vec<Rule>);

/// One rule, checked.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) models: Vec<ModelPattern>,
    pub(super) endpoints: Option<Vec<Endpoint>>,
    pub(super) rename: Vec<(String, String)>,
    pub(super) reject: Vec<ModelPattern>,
    pub(super) drop: Vec<ModelPattern>,
    pub(super) set: Vec<(String, Box<RawValue>)>,
    pub(super) default: Vec<(String, Box<RawValue>)>,
    pub(super) max_output_tokens: Option<u64>,
}

/// What is to be done to one request, to be applied in one edit.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) changes: Vec<Change>,
    pub(super) report: Report,
}

#[derive(Debug)]
pub(super) enum Change {
    Rename { from: String, to: String },
    Remove(String),
    Set(String, NewValue<'static>),
}

impl Rules {
    /// What is to be done to a request of `members` for `model` at `endpoint`, which is known to give at most `known_cap`
    /// tokens of answer. What becomes of `unasked`, a member that is not the caller's, is not reported.
    ///
    /// # Errors
    ///
    /// When a rule rejects one of its parameters.
    pub(super) fn plan(
        &self,
        model: &str,
        endpoint: Endpoint,
        known_cap: Option<u64>,
        members: Members<'_>,
        unasked: Option<&'static str>,
    ) -> Result<Plan, ApiError> {
        let mut rules = self
            .0
            .iter()
            .filter(|rule| rule.applies(model, endpoint))
            .peekable();
        if rules.peek().is_none() && known_cap.is_none() {
            return Ok(Plan::default());
        }
        let mut draft = Draft::new(members, unasked);
        let mut cap = known_cap;
        for rule in rules {
            rule.apply(&mut draft)?;
            cap = rule.max_output_tokens.or(cap);
        }
        if let Some(cap) = cap {
            draft.clamp(cap);
        }
        Ok(draft.into_plan())
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

impl Rule {
    pub(super) fn does_nothing(&self) -> bool {
        self.rename.is_empty()
            && self.reject.is_empty()
            && self.drop.is_empty()
            && self.set.is_empty()
            && self.default.is_empty()
            && self.max_output_tokens.is_none()
    }

    fn applies(&self, model: &str, endpoint: Endpoint) -> bool {
        let here = self.endpoints.as_ref();
        here.is_none_or(|endpoints| endpoints.contains(&endpoint))
            && self.models.iter().any(|pattern| pattern.matches(model))
    }

    fn apply<'a>(&'a self, draft: &mut Draft<'a>) -> Result<(), ApiError> {
        for (from, to) in &self.rename {
            draft.rename(from, to);
        }
        if let Some(refused) = draft.find(&self.reject) {
            return Err(unsupported(refused));
        }
        draft.drop(&self.drop);
        for (name, value) in &self.set {
            draft.set(name, value);
        }
        for (name, value) in &self.default {
            draft.set_default(name, value);
        }
        Ok(())
    }
}

impl Plan {
    pub(super) fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Makes the changes; what the caller is to be told of them.
    pub(super) fn apply(self, edit: &mut Edit<'_>) -> Option<Box<Report>> {
        for change in self.changes {
            match change {
                Change::Rename { from, to } => {
                    // The draft has made room for it.
                    let _ = edit.rename(&from, &to);
                }
                Change::Remove(name) => {
                    edit.remove(&name);
                }
                Change::Set(name, value) => {
                    edit.set(&name, value);
                }
            }
        }
        (!self.report.is_empty()).then(|| Box::new(self.report))
    }
}

/// OpenAI's own words and code.
pub(super) fn unsupported(name: &str) -> ApiError {
    /// Callers may send any name; no documented one is as long.
    const SHOWN: usize = 64;
    let name: String = name.chars().take(SHOWN).collect();
    let message = format!("Unsupported parameter: '{name}' is not supported with this model.");
    ApiError::invalid_request(message)
        .with_param(name)
        .with_code("unsupported_parameter")
}
