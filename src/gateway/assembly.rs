use std::{collections::HashMap, fmt};

use tokio::net::TcpListener;
use tower_layer::Layer;

use super::{GatewayService, Handles, ServerConfig, Stack, serve};
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
    service: GatewayService<S>,
    server: ServerConfig,
    workers: Vec<Worker>,
    handles: Handles,
}

impl<S: Stack> Gateway<S> {
    /// A gateway of `stack` behind `edge`, which answers `/health` besides.
    pub fn new(edge: &EdgeLayer, stack: S) -> Self {
        let service = GatewayService::new(edge.layer(stack));
        Self {
            service,
            server: ServerConfig::default(),
            workers: Vec::new(),
            handles: Handles::default(),
        }
    }

    /// Answers `/v1/models` and `/v1/models/{id}` with `models`. Without it they are requests like any other.
    pub fn with_models(mut self, models: Models) -> Self {
        self.service.set_models(models);
        self
    }

    /// Lets nobody call but `tenants`, and shows each of them the models of its name; who has none there is shown what an upstream says.
    pub(super) fn with_tenants(
        mut self,
        tenants: Tenants,
        models: HashMap<String, Models>,
    ) -> Self {
        self.service.set_tenants(tenants, models);
        self
    }

    /// Who may call, where not everyone may: their keys change by it while the gateway serves.
    pub fn tenants(&self) -> Option<&Tenants> {
        self.service.tenants()
    }

    /// Whether it answers `/v1/models` itself.
    pub(super) fn lists_models(&self) -> bool {
        self.service.lists_models()
    }

    /// How callers are served.
    ///
    /// # Errors
    ///
    /// When a bound is zero, or an allowed origin is none.
    pub fn with_server(mut self, server: ServerConfig) -> Result<Self, ConfigError> {
        server.check()?;
        let cors = server.cors.layer(&server.headers);
        self.service
            .set_cors(cors.map_err(|error| error.within("cors"))?);
        self.service.set_header_names(server.headers.clone());
        self.server = server;
        Ok(self)
    }

    pub(super) fn with_handles(mut self, handles: Handles) -> Self {
        self.handles = handles;
        self
    }

    /// What shows and steers its layers while it serves; nothing, where its stack was not made from a configuration.
    pub fn handles(&self) -> &Handles {
        &self.handles
    }

    /// Work to do while the gateway serves.
    pub fn with_worker(mut self, worker: Worker) -> Self {
        self.workers.push(worker);
        self
    }

    /// The gateway as a service, to nest in an application. What its workers do is then the application's to spawn:
    /// [`take_workers`](Self::take_workers).
    pub fn service(&self) -> GatewayService<S> {
        self.service.clone()
    }

    /// Its workers, which [`serve`](Self::serve) would spawn.
    pub fn take_workers(&mut self) -> Vec<Worker> {
        std::mem::take(&mut self.workers)
    }

    /// Serves HTTP/1.1 and HTTP/2 without TLS until `shutdown` is ready; then stops to accept, lets answers end within
    /// [`shutdown_timeout`](ServerConfig::shutdown_timeout), and ends its workers, which have 5 s for that.
    ///
    /// Dropping the future closes every connection at once.
    pub async fn serve(self, listener: TcpListener, shutdown: impl Future<Output = ()>) {
        serve::serve(self.service, &self.server, self.workers, listener, shutdown).await;
    }
}

impl<S> fmt::Debug for Gateway<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateway")
            .field("service", &self.service)
            .field("server", &self.server)
            .field("workers", &self.workers.len())
            .finish_non_exhaustive()
    }
}
