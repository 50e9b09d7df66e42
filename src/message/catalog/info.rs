//! What is known of one model.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Prices;
use crate::message::Endpoint;

/// What is known of one model. `None` is unknown: never zero, never "no".
#[non_exhaustive]
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ModelInfo {
    /// The name under which it stands in the table, or the pattern.
    pub id: Box<str>,
    /// Whose prices these are: `openai`, `anthropic`, `bedrock`.
    pub provider: Option<Arc<str>>,
    /// Tokens of prompt that it takes at most.
    pub context_window: Option<u64>,
    /// Tokens of answer that it gives at most, its reasoning included.
    pub max_output_tokens: Option<u64>,
    /// What it can do.
    pub capabilities: Capabilities,
    /// The endpoints that serve it.
    pub endpoints: Option<Vec<Endpoint>>,
    /// What it costs.
    pub prices: Option<Prices>,
}

/// What a model can do; `None` is unknown.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Capabilities {
    /// Streams its answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub streaming: Option<bool>,
    /// Calls tools.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tools: Option<bool>,
    /// Sees images.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub images: Option<bool>,
    /// Answers in JSON by a given schema.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub json: Option<bool>,
}

impl ModelInfo {
    /// The model `id`, of which nothing else is known yet.
    pub fn new(id: impl Into<Box<str>>) -> Self {
        Self {
            id: id.into(),
            ..Self::default()
        }
    }

    /// These facts, and those of `below` where these are unknown. Prices are taken whole from one or the other: rates of
    /// two price lists make no bill.
    #[must_use]
    pub fn or(self, below: &Self) -> Self {
        Self {
            id: self.id,
            provider: self.provider.or_else(|| below.provider.clone()),
            context_window: self.context_window.or(below.context_window),
            max_output_tokens: self.max_output_tokens.or(below.max_output_tokens),
            capabilities: self.capabilities.or(below.capabilities),
            endpoints: self.endpoints.or_else(|| below.endpoints.clone()),
            prices: self.prices.or_else(|| below.prices.clone()),
        }
    }

    /// Whether `endpoint` serves it, where that is known.
    pub fn serves(&self, endpoint: Endpoint) -> Option<bool> {
        self.endpoints
            .as_ref()
            .map(|endpoints| endpoints.contains(&endpoint))
    }
}

impl Capabilities {
    /// These, and those of `below` where these are unknown.
    #[must_use]
    pub fn or(self, below: Self) -> Self {
        Self {
            streaming: self.streaming.or(below.streaming),
            tools: self.tools.or(below.tools),
            images: self.images.or(below.images),
            json: self.json.or(below.json),
        }
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
