use std::time::Duration;

use http::HeaderValue;
use serde::Deserialize;

use super::{CredentialConfig, admin::secret};
use crate::{
    gateway::client::ClientConfig,
    message::ConfigError,
    server::alerts::{AlertsBuilder, Rules, Webhook},
    wire::units,
};

/// What is watched, and who is told.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct AlertsConfig {
    /// Whether anything is watched from the start.
    pub enabled: bool,
    /// From where on what is wrong.
    pub rules: Rules,
    /// How often everything is looked at.
    #[serde(deserialize_with = "units::duration")]
    pub every: Duration,
    /// How long errors and latencies must be above their limits.
    #[serde(rename = "for", deserialize_with = "units::duration")]
    pub hold: Duration,
    /// How long a value must be back.
    #[serde(deserialize_with = "units::duration")]
    pub clear_after: Duration,
    /// How far baselines reach back.
    #[serde(deserialize_with = "units::duration")]
    pub baseline: Duration,
    /// How many attempts an upstream must have had within the window.
    pub minimum_requests: u64,
    /// Where notices are posted. Nowhere, unless it is said: they are in the log.
    pub webhook: Option<WebhookConfig>,
}

/// Where notices are posted.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct WebhookConfig {
    /// The variable or file that has its URL, which is often a secret itself.
    pub url: CredentialConfig,
    /// The variable or file that has what is sent as `authorization`, with its scheme. Nothing, unless it is said.
    #[serde(default)]
    pub authorization: Option<CredentialConfig>,
    /// How long to wait for its answer.
    #[serde(default = "five_seconds", deserialize_with = "units::duration")]
    pub timeout: Duration,
    /// How it is connected to.
    #[serde(default)]
    pub client: ClientConfig,
}

fn five_seconds() -> Duration {
    Duration::from_secs(5)
}

impl Default for AlertsConfig {
    fn default() -> Self {
        let second = Duration::from_secs(1);
        Self {
            enabled: true,
            rules: Rules::default(),
            every: 10 * second,
            hold: 60 * second,
            clear_after: 300 * second,
            baseline: 3600 * second,
            minimum_requests: 20,
            webhook: None,
        }
    }
}

impl AlertsConfig {
    pub(crate) fn builder(
        &self,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<AlertsBuilder, ConfigError> {
        let mut alerts = AlertsBuilder::default()
            .enabled(self.enabled)
            .rules(self.rules)
            .every(self.every)
            .hold(self.hold)
            .clear_after(self.clear_after)
            .baseline(self.baseline)
            .minimum_requests(self.minimum_requests);
        if let Some(webhook) = &self.webhook {
            let webhook = webhook.build(env);
            alerts = alerts.webhook(webhook.map_err(|error| error.within("webhook"))?);
        }
        Ok(alerts)
    }

    /// What the variables and files have now: what is made of them is made anew when that has changed.
    pub(crate) fn secrets(
        &self,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Vec<String>, ConfigError> {
        let sources = self.webhook.iter().flat_map(|webhook| {
            let url = std::iter::once(("url", &webhook.url));
            url.chain(
                webhook
                    .authorization
                    .iter()
                    .map(|one| ("authorization", one)),
            )
        });
        sources
            .map(|(field, source)| {
                secret(source, env).map_err(|error| error.within(field).within("webhook"))
            })
            .collect()
    }
}

impl WebhookConfig {
    fn build(&self, env: &dyn Fn(&str) -> Option<String>) -> Result<Webhook, ConfigError> {
        let url = secret(&self.url, env).map_err(|error| error.within("url"))?;
        // Not shown where it is wrong: it may be a secret.
        let wrong = || ConfigError::new("url", "must be a URL of http:// or https://");
        let uri: http::Uri = url.trim().parse().map_err(|_| wrong())?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.host().is_none() {
            return Err(wrong());
        }
        let client = self
            .client
            .build(&uri)
            .map_err(|error| error.within("client"))?;
        let mut webhook = Webhook::new(uri, client).timeout(self.timeout);
        if let Some(authorization) = &self.authorization {
            let within = |error: ConfigError| error.within("authorization");
            let value = secret(authorization, env).map_err(within)?;
            let value = HeaderValue::try_from(value.trim());
            let wrong = |_| within(ConfigError::new("env", "cannot stand in a header"));
            webhook = webhook.authorization(value.map_err(wrong)?);
        }
        Ok(webhook)
    }
}
