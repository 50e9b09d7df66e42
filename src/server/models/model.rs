use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::message::{
    Endpoint,
    catalog::{Capabilities, ModelInfo, Rates},
};

/// One entry of [`Models`](super::Models), as OpenAI writes it.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Model {
    /// The name that requests ask for.
    pub id: String,
    object: Object,
    /// When it was made, in seconds since 1970; 0 where that is not known.
    pub created: u64,
    /// Who offers it.
    pub owned_by: String,
    /// Tokens of prompt that it takes at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_window: Option<u64>,
    /// Tokens of answer that it gives at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_output_tokens: Option<u64>,
    /// What it can do, as far as that is known.
    #[serde(default, skip_serializing_if = "Capabilities::is_empty")]
    pub capabilities: Capabilities,
    /// The endpoints that serve it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoints: Option<Vec<Endpoint>>,
    /// The 95th percentile of the time to the end of its answers within the last minute, in milliseconds, where it was asked for and that is
    /// [known](super::Models::with_latency).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_p95_ms: Option<u64>,
    /// Its ordinary prices, as decimals in text: USD per million tokens; `per_request` in USD.
    #[serde(default, skip_serializing_if = "Rates::is_empty")]
    pub prices: Rates,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Object {
    #[default]
    Model,
    List,
}

/// Models as OpenAI lists them.
#[derive(Serialize)]
pub(super) struct List<'a> {
    object: Object,
    data: Vec<Cow<'a, Model>>,
}

impl<'a> List<'a> {
    pub(super) fn of(data: Vec<Cow<'a, Model>>) -> Self {
        let object = Object::List;
        Self { object, data }
    }
}

impl Model {
    /// The model `id`, offered by `owned_by`.
    pub fn new(id: impl Into<String>, owned_by: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            object: Object::Model,
            created: 0,
            owned_by: owned_by.into(),
            context_window: None,
            max_output_tokens: None,
            capabilities: Capabilities::default(),
            endpoints: None,
            latency_p95_ms: None,
            prices: Rates::default(),
        }
    }

    /// The same model with what a catalog knows of it, shown after OpenAI's members.
    pub fn with_info(mut self, info: &ModelInfo) -> Self {
        self.context_window = info.context_window;
        self.max_output_tokens = info.max_output_tokens;
        self.capabilities = info.capabilities;
        self.endpoints.clone_from(&info.endpoints);
        self.prices = info
            .prices
            .as_ref()
            .map(|prices| prices.base)
            .unwrap_or_default();
        self
    }
}
