use std::{fmt, path::PathBuf, sync::Arc};

use tokio::net::TcpListener;
use tower_layer::Layer;

use super::{
    AdminService, Config, GatewayService, Handles, InvalidConfig, ReloadSignal, Reloaded, Reloader,
    ServerConfig, Stack, admin,
    reload::{self, Generation, Live, Make},
    serve,
};
use crate::{
    message::ConfigError,
    server::{EdgeLayer, Models, tenants::Tenants},
    worker::Worker,
};

/// A relay that is ready to serve: a stack with its edge, its list of models, its workers and its server's settings.
///
/// Made by [`Config::build`](super::Config::build), or around a stack of one's own:
///
/// ```
/// use tower::ServiceBuilder;
/// use tower_relay::{
///     client::ModelRoute,
///     gateway::{Config, Gateway},
///     model_rewrite::ModelRewriteLayer,
///     server::EdgeLayer,
/// };
///
/// # fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let config = Config::from_file("gateway.toml")?;
/// let (upstreams, workers) = config.build_upstreams(&|name| std::env::var(name).ok())?;
/// let stack = ServiceBuilder::new()
///     // ... layers of one's own ...
///     .layer(ModelRewriteLayer::new([("fast", "gpt-4.1-mini")])?)
///     .service(ModelRoute::new(upstreams));
/// let gateway = Gateway::new(&EdgeLayer::default(), stack);
/// let gateway = workers.into_iter().fold(gateway, Gateway::with_worker);
/// # Ok(())
/// # }
/// ```
pub struct Gateway<S> {
    live: Arc<Live<S>>,
    server: ServerConfig,
    has_given_workers: bool,
}

impl<S: Stack> Gateway<S> {
    /// A gateway of `stack` behind `edge`, which answers `/health` besides.
    pub fn new(edge: &EdgeLayer, stack: S) -> Self {
        let generation = Generation::of_edge(edge.layer(stack));
        Self::of(Live::new(generation), ServerConfig::default())
    }

    /// The gateway of a configuration.
    pub(super) fn made(
        config: &Config,
        env: &dyn Fn(&str) -> Option<String>,
        make: Make<S>,
    ) -> Result<Self, ConfigError> {
        let live = Live::of(config, env, make)?;
        Ok(Self::of(live, config.server.clone()))
    }

    fn of(live: Live<S>, server: ServerConfig) -> Self {
        Self {
            live: Arc::new(live),
            server,
            has_given_workers: false,
        }
    }

    /// Answers `/v1/models` and `/v1/models/{id}` with `models`. Without it they are requests like any other.
    pub fn with_models(self, models: Models) -> Self {
        self.live
            .amend(|generation| generation.models = Some(models));
        self
    }

    /// Who may call, where not everyone may: their keys change by it while the gateway serves.
    pub fn tenants(&self) -> Option<Tenants> {
        let current = self.live.current();
        current.guests.as_ref().map(|guests| guests.tenants.clone())
    }

    /// Whether it answers `/v1/models` itself.
    pub(super) fn lists_models(&self) -> bool {
        self.live.current().models.is_some()
    }

    /// How callers are served.
    ///
    /// # Errors
    ///
    /// When a bound is zero, or an allowed origin is none.
    pub fn with_server(mut self, server: ServerConfig) -> Result<Self, ConfigError> {
        let cors = server.cors()?;
        let names = server.headers.clone();
        self.live.amend(|generation| {
            generation.cors = cors;
            generation.names = names;
        });
        self.server = server;
        Ok(self)
    }

    /// What shows and steers its layers while it serves; nothing, where its stack was not made from a configuration.
    pub fn handles(&self) -> &Handles {
        self.live.handles()
    }

    /// Puts another configuration in force, while requests flow: all of it, or, when anything in it cannot work, nothing.
    ///
    /// Requests that are on their way finish on the stack that they came to, whose workers end after the last of them. What is counted goes
    /// on, under the same name: see [what survives](super#what-survives-a-reload). Variables of the environment and files are read again.
    ///
    /// # Errors
    ///
    /// As [`Config::build`], and for a stack that was not made from a configuration. Then everything is as it was.
    pub fn reload(&self, config: &Config) -> Result<Reloaded, InvalidConfig> {
        self.reloader().reload(config)
    }

    /// What reloads it while it [serves](Self::serve).
    pub fn reloader(&self) -> Reloader {
        self.live.reloader()
    }

    /// Reloads the configuration at `path` within about a second of a change of the file, and when the signal says so, while the gateway
    /// [serves](Self::serve) or its [workers](Self::take_workers) run. What is read is `prepare`d first. What came of it is logged, and a file that cannot
    /// be used leaves everything as it was.
    pub fn watch(
        &self,
        path: impl Into<PathBuf>,
        prepare: impl Fn(&mut Config) + Send + Sync + 'static,
    ) -> ReloadSignal {
        let signal = ReloadSignal::default();
        let worker = reload::watch(path.into(), prepare, self.reloader(), signal.clone());
        self.live.add_worker(worker);
        signal
    }

    /// What operators see and change, to nest in an application of one's own; none, where its configuration has no `[admin]`. It goes on when the
    /// gateway is reloaded.
    pub fn admin(&self) -> Option<AdminService> {
        self.live.current().operators.clone()
    }

    /// Serves [`admin`](Self::admin) on `listener` too, in HTTP/1.1, as long as the gateway is served. Where there is none, the listener is closed.
    pub fn with_admin_listener(self, listener: TcpListener) -> Self {
        if let Some(operators) = self.admin() {
            self.live.add_worker(admin::worker(operators, listener));
        }
        self
    }

    /// Work to do while the gateway serves.
    pub fn with_worker(self, worker: Worker) -> Self {
        self.live.add_worker(worker);
        self
    }

    /// The gateway as a service, to nest in an application. What its workers do is then the application's to spawn:
    /// [`take_workers`](Self::take_workers).
    pub fn service(&self) -> GatewayService<S> {
        GatewayService::new(Arc::clone(&self.live))
    }

    /// Its workers, which [`serve`](Self::serve) would spawn, as one that runs them all, those of later [reloads](Self::reload) too. None the
    /// second time.
    pub fn take_workers(&mut self) -> Vec<Worker> {
        let is_first = !std::mem::replace(&mut self.has_given_workers, true);
        is_first.then(|| self.live.worker()).into_iter().collect()
    }

    /// Serves HTTP/1.1 and HTTP/2 without TLS until `shutdown` is ready; then stops to accept, lets answers end within
    /// [`shutdown_timeout`](ServerConfig::shutdown_timeout), and ends its workers, which have 5 s for that.
    ///
    /// Dropping the future closes every connection at once.
    pub async fn serve(mut self, listener: TcpListener, shutdown: impl Future<Output = ()>) {
        let (service, workers) = (self.service(), self.take_workers());
        serve::serve(service, &self.server, workers, listener, shutdown).await;
    }
}

impl<S> fmt::Debug for Gateway<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateway")
            .field("server", &self.server)
            .finish_non_exhaustive()
    }
}
