//! One request, answered twice.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::message::{Endpoint, catalog::Cost, usage::Usage};

/// What the primary and the shadow made of one request. Never what was said.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// The request.
    pub request_id: Box<str>,
    /// The API that was called.
    pub endpoint: Endpoint,
    /// Whether a stream was asked for.
    pub stream: bool,
    /// The answer that the caller got.
    pub primary: Side,
    /// The answer that nobody got.
    pub shadow: Side,
    /// How alike the texts are, from 0 to 1; absent unless both are whole successes with text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub similarity: Option<f64>,
}

/// One of the two answers.
#[non_exhaustive]
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Side {
    /// Who answered, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream: Option<Arc<str>>,
    /// The model that served, or that the answer names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<Arc<str>>,
    /// The answer's status; 0 where there was none.
    pub status: u16,
    /// What came of it: [`Outcome::as_str`](crate::message::Outcome::as_str), or `capped` where a bound of the shadow's cut it off.
    pub outcome: Box<str>,
    /// From the request to the answer's end, in milliseconds.
    pub latency_ms: u64,
    /// From the request to the first output, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttft_ms: Option<u64>,
    /// The tokens that it used, where it says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// What it cost, where a meter stands in its stack and every price is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_usd: Option<Cost>,
    /// Why the model stopped, in the provider's own word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finish_reason: Option<Box<str>>,
    /// What OpenAI's clients expect of such an answer and this one lacks: `no id`, `no choices`, `not json`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub deviations: Vec<Box<str>>,
    /// The tools that it calls, in their order; the first 32.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<ToolCall>,
    /// The length of its text in characters.
    pub text_chars: u64,
}

/// A call of a tool.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolCall {
    /// The tool's name, cut to 64 bytes.
    pub name: Box<str>,
    /// Whether its arguments are one JSON object.
    pub valid_arguments: bool,
}

impl Side {
    /// Whether it is a whole success.
    pub fn is_success(&self) -> bool {
        &*self.outcome == "success"
    }

    /// Whether it says anything of whoever answered: neither a caller that left nor a bound of the shadow's does.
    pub fn is_judged(&self) -> bool {
        !matches!(&*self.outcome, "cancelled" | "capped")
    }
}
