//! Whether a model can do what is asked of it, as far as that is known: pure.

use std::fmt::Write as _;

use serde::Deserialize;

use super::params;
use crate::message::{
    ApiError, ConfigError, Endpoint, RequestBody, catalog::ModelInfo, estimate::TokenEstimator,
    features,
};

/// OpenAI's code for a prompt beyond the window.
pub(super) const CONTEXT_LENGTH_EXCEEDED: &str = "context_length_exceeded";

/// What is held against the catalog before a request is sent. What the catalog does not know refuses nothing.
///
/// Off by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[must_use]
pub struct Checks {
    capabilities: bool,
    window: Window,
    window_margin_percent: u8,
}

/// What must fit into a model's context window.
///
/// Providers differ: to some the window is one for prompt and answer together and they refuse what might not fit, others state a
/// window of the prompt alone, as most catalogs do.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Window {
    /// Nothing is looked at.
    #[default]
    Off,
    /// The prompt.
    Prompt,
    /// The prompt, and the answer as far as the request caps it.
    PromptAndOutput,
}

impl Default for Checks {
    fn default() -> Self {
        Self {
            capabilities: false,
            window: Window::Off,
            // The estimator is that far off for single languages.
            window_margin_percent: 25,
        }
    }
}

impl Checks {
    /// Nothing is checked, until it is said what.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether tools, images, a stream or JSON by a schema are refused, with 400 `unsupported_parameter`, of a model that is
    /// known not to have them.
    pub fn capabilities(mut self, check: bool) -> Self {
        self.capabilities = check;
        self
    }

    /// Whether requests that do not fit into the model's window are refused with 400 `context_length_exceeded`.
    pub fn window(mut self, window: Window) -> Self {
        self.window = window;
        self
    }

    /// How much of the prompt's estimate is taken to be error, in percent, 0 to 99: 25 by default, which is as far as the
    /// [estimator](crate::message::estimate) is off for single languages. A prompt counts for its estimate less this
    /// share, so that what may fit is sent.
    pub fn window_margin_percent(mut self, percent: u8) -> Self {
        self.window_margin_percent = percent;
        self
    }

    pub(super) fn is_on(self) -> bool {
        self.capabilities || self.window != Window::Off
    }

    pub(super) fn validate(self) -> Result<(), ConfigError> {
        if self.window_margin_percent > 99 {
            return Err(ConfigError::new(
                "checks.window_margin_percent",
                "must be at most 99",
            ));
        }
        Ok(())
    }

    /// Whether `info` says that the model can take `body`, which is what will be sent.
    ///
    /// # Errors
    ///
    /// What the caller is to be told where it says that it cannot.
    pub(super) fn check(
        self,
        endpoint: Endpoint,
        body: &RequestBody,
        info: &ModelInfo,
    ) -> Result<(), ApiError> {
        if self.capabilities
            && let Some(param) = features::lacking(body, info.capabilities)
        {
            return Err(params::unsupported(param));
        }
        match info.context_window {
            Some(window) if self.window != Window::Off => self.check_window(endpoint, body, window),
            _ => Ok(()),
        }
    }

    fn check_window(
        self,
        endpoint: Endpoint,
        body: &RequestBody,
        window: u64,
    ) -> Result<(), ApiError> {
        if !features::has_one_prompt(endpoint, body) || features::truncates(body) {
            return Ok(());
        }
        let Some(estimate) = TokenEstimator::default().estimate(body) else {
            return Ok(());
        };
        let sure =
            u128::from(estimate) * u128::from(100 - self.window_margin_percent.min(100)) / 100;
        let output = match self.window {
            Window::PromptAndOutput => body.max_output_tokens().unwrap_or(0),
            Window::Prompt | Window::Off => 0,
        };
        if sure + u128::from(output) <= u128::from(window) {
            return Ok(());
        }
        let mut message = format!(
            "This model's maximum context length is {window} tokens. However, your prompt has about {estimate} tokens"
        );
        if output > 0 {
            // Writing to a string cannot fail.
            let _ = write!(message, " and you asked for up to {output} in the answer");
        }
        message.push_str(". Please reduce the length of either.");
        let param = match endpoint {
            Endpoint::Completions => "prompt",
            Endpoint::Responses => "input",
            _ => "messages",
        };
        Err(ApiError::invalid_request(message)
            .with_param(param)
            .with_code(CONTEXT_LENGTH_EXCEEDED))
    }
}
