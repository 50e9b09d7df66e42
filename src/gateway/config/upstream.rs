use std::sync::Arc;

use http::{HeaderName, Uri};
use serde::{Deserialize, Deserializer, de::Error};

use super::{CredentialConfig, Headers};
use crate::{
    circuit_breaker::CircuitBreakerBuilder,
    client::{Style, UpstreamLayer},
    commit_guard::CommitGuardBuilder,
    cost_meter::CostMeterBuilder,
    gateway::client::ClientConfig,
    message::{ConfigError, Endpoint, ModelPattern},
    model_rewrite::{Aliases, Checks, ModelRewriteBuilder, ModelRewriteLayer, ParamRule},
    normalize::ResponseNormalizeBuilder,
    rate_limit::RateLimitBuilder,
    retry::RetryBuilder,
    timeout::TimeoutBuilder,
    worker::Worker,
};

/// One upstream: where it is, as whom it is called, what it serves.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct UpstreamConfig {
    /// Its name in logs, bills and errors.
    pub name: String,
    /// Its name for people.
    pub label: Option<String>,
    /// Its base URL, as [`UpstreamBuilder::base_url`](crate::client::UpstreamBuilder::base_url) takes it.
    pub base_url: Option<String>,
    /// Or a template of its URIs, as [`UpstreamBuilder::template`](crate::client::UpstreamBuilder::template) takes it.
    pub template: Option<String>,
    /// Where its key comes from.
    pub credential: CredentialConfig,
    /// What its key must begin with, so that no other provider's is sent to it.
    pub required_prefix: String,
    /// The header that its key is sent in.
    pub style: StyleConfig,
    /// More headers for every request, in place of the caller's.
    pub headers: Headers,
    /// Headers of the caller's that it must not see, as [`UpstreamBuilder::strip_header`](crate::client::UpstreamBuilder::strip_header)
    /// takes them.
    pub strip_headers: Vec<String>,
    /// The models that it serves, after the gateway's own aliases: names, or patterns with a `*`. All, unless it is said.
    pub models: Option<Vec<ModelPattern>>,
    /// The endpoints that it serves. All, unless it is said.
    pub endpoints: Option<Vec<Endpoint>>,
    /// The upstream's own names for the models.
    pub aliases: Option<Aliases>,
    /// What is done with the parameters of its requests, by the upstream's own names for the models.
    pub rules: Vec<ParamRule>,
    /// Whether a request for more tokens of answer than its model gives is sent with what it gives, as
    /// [`ModelRewriteBuilder::clamp_output`] says. Off by default.
    pub clamp_output: bool,
    /// What is held against the catalog before a request is sent to it.
    pub checks: Checks,
    /// How its failures are tried again. Off, unless there is a table.
    pub retry: Option<RetryBuilder>,
    /// When it is left alone because it fails. Off, unless there is a table.
    pub circuit_breaker: Option<CircuitBreakerBuilder>,
    /// How much of an answer is held back, and how long its upstream may be silent. Off, unless there is a table.
    pub commit_guard: Option<CommitGuardBuilder>,
    /// How long an attempt may take. Off, unless there is a table.
    pub timeout: Option<TimeoutBuilder>,
    /// How its attempts are metered. As usual where an [audit](super::Config::audit) is kept, and off elsewhere, unless there is a
    /// table.
    pub cost: Option<CostMeterBuilder>,
    /// How its answers become OpenAI's. They pass as they are, unless there is a table.
    pub normalize: Option<ResponseNormalizeBuilder>,
    /// What is sent to it per time, by model, and whether its own word on that is heeded. Off, unless there is a table.
    pub rate_limit: Option<RateLimitBuilder>,
    /// How it is connected to.
    pub client: ClientConfig,
}

/// The header that a key is sent in.
///
/// Deserializes from `"bearer"`, `"x-api-key"`, `"api-key"` or `{ header = "x-token", prefix = "Token " }`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StyleConfig(pub Style);

impl UpstreamConfig {
    /// The layer that sends to it, and what keeps its key current.
    pub(crate) fn layer(
        &self,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<(UpstreamLayer, Option<Worker>), ConfigError> {
        no_empty_lists(self.models.as_deref(), self.endpoints.as_deref())?;
        let mut builder = UpstreamLayer::builder(Arc::<str>::from(self.name.trim()));
        builder = match (&self.base_url, &self.template) {
            (Some(url), None) => builder.base_url(url),
            (None, Some(template)) => builder.template(template),
            (None, None) => {
                return Err(ConfigError::new(
                    "base_url",
                    "is missing: where is the upstream?",
                ));
            }
            (Some(_), Some(_)) => {
                return Err(ConfigError::new(
                    "template",
                    "stands beside a base_url: one of them is enough",
                ));
            }
        };
        for pattern in &self.strip_headers {
            builder = builder.strip_header(pattern);
        }
        // Checks the address first: a key is of no use without one.
        builder.clone().build()?;
        let (credential, worker) = self.credential.build(&self.required_prefix, env)?;
        builder = builder.credential(credential.style(self.style.0.clone()));
        for (name, value) in self.headers.get_ref() {
            builder = builder.header(name.clone(), value.clone());
        }
        Ok((builder.build()?, worker))
    }

    /// Its own names and parameters, where it has any.
    pub(crate) fn rewrite(&self) -> Option<ModelRewriteBuilder> {
        let is_plain = self.aliases.is_none()
            && self.rules.is_empty()
            && !self.clamp_output
            && self.checks == Checks::default();
        if is_plain {
            return None;
        }
        let builder = ModelRewriteLayer::builder()
            .aliases(self.aliases.clone().unwrap_or_default())
            .clamp_output(self.clamp_output)
            .checks(self.checks)
            .provider(self.name.trim());
        Some(
            self.rules
                .iter()
                .cloned()
                .fold(builder, ModelRewriteBuilder::rule),
        )
    }

    /// Scheme and authority of its address.
    pub(crate) fn origin(&self) -> Result<Uri, ConfigError> {
        let (field, text) = match (&self.base_url, &self.template) {
            (None, Some(template)) => ("template", template.trim()),
            (url, _) => ("base_url", url.as_deref().unwrap_or_default().trim()),
        };
        let start = text.find("://").map_or(0, |at| at + 3);
        let end = text
            .get(start..)
            .and_then(|rest| rest.find(['/', '?']))
            .map_or(text.len(), |at| start + at);
        let origin = text.get(..end).unwrap_or_default();
        origin
            .parse()
            .map_err(|error| ConfigError::new(field, format!("{error}")))
    }
}

/// What serves nothing was not meant.
pub(crate) fn no_empty_lists(
    models: Option<&[ModelPattern]>,
    endpoints: Option<&[Endpoint]>,
) -> Result<(), ConfigError> {
    let lists = [
        ("models", models.map(<[_]>::is_empty)),
        ("endpoints", endpoints.map(<[_]>::is_empty)),
    ];
    for (field, is_empty) in lists {
        if is_empty == Some(true) {
            let reason = "names none: without it all are served";
            return Err(ConfigError::new(field, reason));
        }
    }
    Ok(())
}

impl<'de> Deserialize<'de> for StyleConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Custom {
            header: String,
            #[serde(default)]
            prefix: String,
        }

        #[derive(Deserialize)]
        #[serde(
            untagged,
            expecting = "expected \"bearer\", \"x-api-key\", \"api-key\" or { header = \"NAME\", prefix = \"TEXT\" }"
        )]
        enum Either {
            Known(Known),
            Custom(Custom),
        }

        #[derive(Deserialize)]
        #[serde(rename_all = "kebab-case")]
        enum Known {
            Bearer,
            XApiKey,
            ApiKey,
        }

        Ok(Self(match Either::deserialize(deserializer)? {
            Either::Known(Known::Bearer) => Style::Bearer,
            Either::Known(Known::XApiKey) => Style::XApiKey,
            Either::Known(Known::ApiKey) => Style::ApiKey,
            Either::Custom(Custom { header, prefix }) => {
                let name: HeaderName = header
                    .parse()
                    .map_err(|_| D::Error::custom("is not the name of a header"))?;
                if http::HeaderValue::from_str(&prefix).is_err() {
                    return Err(D::Error::custom("the prefix cannot stand in a header"));
                }
                Style::Header { name, prefix }
            }
        }))
    }
}
