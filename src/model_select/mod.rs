#![doc = include_str!("../docs/model_select.md")]

mod answer;
mod builder;
mod check;
mod choose;
mod escalate;
mod escalation;
mod future;
mod headers;
mod heuristics;
mod keywords;
mod layer;
mod logprobs;
mod scorer;
mod service;
mod sticky;
#[cfg(test)]
mod tests;
mod weighted;

pub use self::{
    answer::Answer,
    builder::{ModelSelectBuilder, ScorerKind},
    check::{BuiltinCheck, Check},
    escalation::EscalationBuilder,
    future::ModelSelectFuture,
    headers::{X_RELAY_COMPLEXITY, X_RELAY_MODEL},
    heuristics::{Keywords, Size, ToolUse},
    layer::ModelSelectLayer,
    scorer::{Features, Score, Scorer},
    service::ModelSelect,
    weighted::Weighted,
};
