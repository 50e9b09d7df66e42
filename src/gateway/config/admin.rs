use std::{
    collections::BTreeMap,
    fs,
    net::{Ipv4Addr, SocketAddr},
};

use serde::Deserialize;

use super::CredentialConfig;
use crate::{
    message::ConfigError,
    server::admin::{Access, AccessBuilder},
};

/// Where operators look and change things.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct AdminConfig {
    /// Where to listen: `127.0.0.1:9090` by default. It has no TLS and shows sums of money: let it be reached by operators alone.
    pub listen: SocketAddr,
    /// What this replica is called. By default the environment's `HOSTNAME`, or else its address.
    pub name: Option<String>,
    /// Who may change things, by name: the environment's variable or the file that has each one's token.
    pub tokens: BTreeMap<String, CredentialConfig>,
    /// Whether a token is needed to read, too.
    pub token_to_read: bool,
    /// The host names that it is asked by, besides `localhost` and IP addresses.
    pub hosts: Vec<String>,
    /// The models that savings are reckoned against. By default those that `/v1/models` lists.
    pub baselines: Vec<String>,
}

impl Default for AdminConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 9090)),
            name: None,
            tokens: BTreeMap::new(),
            token_to_read: false,
            hosts: Vec::new(),
            baselines: Vec::new(),
        }
    }
}

impl AdminConfig {
    pub(crate) fn access(
        &self,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Access, ConfigError> {
        if self.token_to_read && self.tokens.is_empty() {
            let reason = "needs a token in [admin.tokens], or nobody could read";
            return Err(ConfigError::new("token_to_read", reason));
        }
        let mut access = Access::builder().token_to_read(self.token_to_read);
        for (name, source) in &self.tokens {
            let within = |error: ConfigError| error.within(name).within("tokens");
            let token = secret(source, env).map_err(within)?;
            let with_token = access.token(name.as_str(), &token);
            access = with_token.map_err(|error| {
                within(ConfigError::new(field(source), error.reason().to_owned()))
            })?;
        }
        let hosts = self.hosts.iter().cloned();
        Ok(hosts.fold(access, AccessBuilder::host).build())
    }
}

fn field(source: &CredentialConfig) -> &'static str {
    match source {
        CredentialConfig::Env(_) => "env",
        _ => "file",
    }
}

/// What stands in the variable or the file. It is never shown.
pub(super) fn secret(
    source: &CredentialConfig,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<String, ConfigError> {
    match source {
        CredentialConfig::Env(name) => env(name).ok_or_else(|| {
            let reason = format!("the environment variable {name} is not set");
            ConfigError::new("env", reason)
        }),
        CredentialConfig::File(path) => {
            let text = fs::read_to_string(path);
            let text = text.map(|text| text.trim().to_owned());
            text.map_err(|error| {
                ConfigError::new(
                    "file",
                    format!("{} cannot be read: {error}", path.display()),
                )
            })
        }
        CredentialConfig::None | CredentialConfig::Caller | CredentialConfig::AsPresented => {
            Err(ConfigError::new(
                "env",
                "is missing: { env = \"NAME\" } or { file = \"PATH\" } says where it is",
            ))
        }
    }
}
