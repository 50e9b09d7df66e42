//! What a configuration file says.

mod admin;
mod alerts;
mod catalog;
mod credential;
mod dry;
mod headers;
mod invalid;
mod observe;
mod place;
mod route;
mod route_cache;
mod server;
mod store;
mod suggest;
mod telemetry;
mod tenants;
#[cfg(test)]
mod tests;
mod upstream;

use std::{
    collections::BTreeMap,
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::Deserialize;

pub use self::{
    admin::AdminConfig,
    alerts::{AlertsConfig, WebhookConfig},
    catalog::CatalogConfig,
    credential::CredentialConfig,
    headers::Headers,
    invalid::InvalidConfig,
    route::RouteConfig,
    route_cache::RouteCache,
    server::{CorsConfig, ServerConfig},
    store::StoreConfig,
    tenants::{AllowanceConfig, TenantConfig},
    upstream::{StyleConfig, UpstreamConfig},
};

use self::place::Source;
#[cfg(test)]
pub(super) use self::tests::all_options;
pub(super) use self::{route::Way, suggest::no_such, upstream::no_empty_lists};
use crate::{
    admission::AdmissionBuilder,
    budget::Budget,
    cache::CacheBuilder,
    gateway::switches,
    ledger::JsonlAuditBuilder,
    message::ConfigError,
    model_rewrite::ModelRewriteBuilder,
    model_select::ModelSelectBuilder,
    rate_limit::RateLimitBuilder,
    server::{EdgeBuilder, feedback::FeedbackBuilder},
    shadow::ShadowBuilder,
    telemetry::TelemetryBuilder,
};

/// A gateway's configuration: read from TOML, or put together in code.
///
/// `examples/gateway.toml` documents every option. What it says is built by [`build`](Self::build).
///
/// ```
/// use tower_relay::gateway::Config;
///
/// let text = r#"
///     [[upstreams]]
///     name = "ollama"
///     base_url = "http://127.0.0.1:11434/v1"
/// "#;
/// let mut config = Config::from_toml(text, "gateway.toml")?;
/// config.server.max_connections = 100;
/// let gateway = config.build()?;
/// # Ok::<(), tower_relay::gateway::InvalidConfig>(())
/// ```
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Config {
    /// Where to listen: `127.0.0.1:8080` by default.
    pub listen: SocketAddr,
    /// How callers are served.
    pub server: ServerConfig,
    /// What is taken from callers. `guard_all` is always on: every route of a gateway leads to an upstream.
    pub edge: EdgeBuilder,
    /// What is recorded of requests; on, unless it is `false`. Its catalog, statistics and metrics are the gateway's.
    #[serde(deserialize_with = "telemetry::on_or_off")]
    pub telemetry: Option<TelemetryBuilder>,
    /// What is known of models.
    pub catalog: CatalogConfig,
    /// What replicas of this gateway share.
    pub store: StoreConfig,
    /// Who may call. Everyone, unless there are any.
    pub tenants: Vec<TenantConfig>,
    /// What all tenants of an organisation may use together, by its name.
    pub organisations: BTreeMap<String, AllowanceConfig>,
    /// What all tenants of a team may use together, by `ORGANISATION/TEAM`, or by `TEAM` without an organisation.
    pub teams: BTreeMap<String, AllowanceConfig>,
    /// The file in which changes of keys at run time are kept. None, unless it is said: then they are forgotten with the process.
    pub tenant_state: Option<PathBuf>,
    /// What each caller may use per time, by API key. Off, unless there is a table.
    pub rate_limit: Option<RateLimitBuilder>,
    /// How many requests are let in at a time, of all callers together. Off, unless there is a table.
    pub admission: Option<AdmissionBuilder>,
    /// How the model is chosen for requests that leave it to the gateway. Off, unless there is a table. Its catalog is the gateway's.
    pub model_select: Option<ModelSelectBuilder>,
    /// What each key may spend. None, unless there are tables; with them every upstream is metered, and what was spent is found again
    /// in the audit after a restart.
    pub budgets: Vec<Budget>,
    /// The names of models, and how requests are fitted to them; without it requests go on as they are. Its catalog is the
    /// gateway's.
    pub models: Option<ModelRewriteBuilder>,
    /// Which answers are given again. None, unless there is a table.
    pub cache: Option<CacheBuilder>,
    /// Which requests are copied to another upstream or route, to compare the answers. Off, unless there is a table.
    pub shadow: Option<ShadowBuilder>,
    /// Where callers say how good an answer was. Off, unless there is a table.
    pub feedback: Option<FeedbackBuilder>,
    /// The file in which every attempt is written down. None, unless there is a table.
    pub audit: Option<JsonlAuditBuilder>,
    /// Where operators look and change things. Nowhere, unless there is a table; with it every upstream is metered.
    pub admin: Option<AdminConfig>,
    /// What is watched, and who is told. Nothing, unless there is a table; with it every upstream is metered.
    pub alerts: Option<AlertsConfig>,
    /// Ways among the upstreams, preferred to these, in order of preference.
    pub routes: Vec<RouteConfig>,
    /// Where requests go, in order of preference.
    pub upstreams: Vec<UpstreamConfig>,
    /// The text, to say in which line of it a mistake is.
    #[serde(skip)]
    source: Option<Arc<Source>>,
    /// The fields that flags of the command line said, and which.
    #[serde(skip)]
    flags: Vec<(&'static str, &'static str)>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            server: ServerConfig::default(),
            edge: EdgeBuilder::default(),
            telemetry: Some(TelemetryBuilder::default()),
            catalog: CatalogConfig::default(),
            store: StoreConfig::default(),
            tenants: Vec::new(),
            organisations: BTreeMap::new(),
            teams: BTreeMap::new(),
            tenant_state: None,
            rate_limit: None,
            admission: None,
            model_select: None,
            budgets: Vec::new(),
            models: None,
            cache: None,
            shadow: None,
            feedback: None,
            audit: None,
            admin: None,
            alerts: None,
            routes: Vec::new(),
            upstreams: Vec::new(),
            source: None,
            flags: Vec::new(),
        }
    }
}

impl Config {
    /// Reads TOML; `name` is what errors call it.
    ///
    /// # Errors
    ///
    /// When it is not TOML, or has a field that is unknown or of another type. What a field says is looked at by
    /// [`build`](Self::build).
    pub fn from_toml(text: &str, name: &str) -> Result<Self, InvalidConfig> {
        let source = Source::new(name, text);
        match toml::from_str::<Self>(text) {
            Ok(config) => Ok(Self {
                source: Some(Arc::new(source)),
                ..config
            }),
            Err(error) => Err(source.unreadable(&error)),
        }
    }

    /// Reads a file of TOML, of at most 16 MiB.
    ///
    /// # Errors
    ///
    /// When it cannot be read; and as [`from_toml`](Self::from_toml).
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, InvalidConfig> {
        const MAX: u64 = 16 << 20;
        let path = path.as_ref();
        let name = path.display().to_string();
        let read = match fs::metadata(path) {
            Ok(about) if about.len() > MAX => {
                return Err(InvalidConfig::unread(&name, "is larger than 16 MiB"));
            }
            Ok(_) => fs::read_to_string(path),
            Err(error) => Err(error),
        };
        match read {
            Ok(text) => Self::from_toml(&text, &name),
            Err(error) => Err(InvalidConfig::unread(
                &name,
                &format!("cannot be read: {error}"),
            )),
        }
    }

    /// The fields that only a restart changes, and that are not as in `other`.
    pub(super) fn differs_at_start(&self, other: &Self) -> impl Iterator<Item = String> {
        let listen = (self.listen != other.listen).then(|| "listen".to_owned());
        let server = self.server.differs_at_start(&other.server);
        let server = server.map(|field| format!("server.{field}"));
        let admin = |config: &Self| config.admin.as_ref().map(|admin| admin.listen);
        let admin = (admin(self) != admin(other)).then(|| "admin.listen".to_owned());
        listen.into_iter().chain(server).chain(admin)
    }

    /// Says that `flag` has said `field`, in place of the file.
    pub(super) fn said_by_flag(&mut self, field: &'static str, flag: &'static str) {
        self.flags.push((field, flag));
    }

    /// `error`, with the place in the file where its field stands; or of the flag or the variable that it is from.
    pub(super) fn locate(&self, error: &ConfigError) -> InvalidConfig {
        let mut flags = self.flags.iter();
        if let Some((_, flag)) = flags.find(|(field, _)| *field == error.field()) {
            return InvalidConfig::new(&ConfigError::new(*flag, error.reason().to_owned()));
        }
        if switches::is_switch(error.field()) {
            return InvalidConfig::new(error);
        }
        match &self.source {
            Some(source) => source.locate(error),
            None => InvalidConfig::new(error),
        }
    }
}
