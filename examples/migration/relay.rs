//! The relay between the clients and both providers.

use std::{convert::Infallible, path::Path, sync::Arc, time::Duration};

use http::{Request, Response};
use tokio::task::JoinSet;
use tower::{ServiceBuilder, util::BoxCloneSyncService};
use tower_relay::{
    circuit_breaker::CircuitBreakerLayer,
    client::{Credential, Target, UpstreamLayer, Upstreams},
    commit_guard::CommitGuardLayer,
    cost_meter::{BillLayer, CostMeterLayer},
    fallback::FallbackLayer,
    ledger::Ledger,
    message::{
        ConfigError, RequestBody, ResponseBody,
        catalog::{ModelCatalog, ModelTable},
    },
    model_rewrite::ModelRewriteLayer,
    normalize::ResponseNormalizeLayer,
    server::EdgeLayer,
    shadow::{Comparison, ShadowHandle, ShadowLayer},
    timeout::{Limits, TimeoutLayer},
    traffic_split::{
        TrafficSplitHandle, TrafficSplitLayer,
        rollout::{Rollout, RolloutEvent, RolloutObserverLayer},
    },
    worker::{ShutdownHandle, Worker},
};

use crate::providers::Provider;

pub(crate) type Service =
    BoxCloneSyncService<Request<RequestBody>, Response<ResponseBody>, Infallible>;

/// The names of the targets that requests are split among, as charts and messages have them.
pub(crate) const OLD: &str = "incumbent";
pub(crate) const NEW: &str = "candidate";
/// The new provider, and the old one when it fails.
const NEW_OR_OLD: &str = "candidate-or-incumbent";

/// What the models cost at either provider (guide A).
const PRICES: &str = "
[models.\"gpt-4.1-mini\"]
prices = { input = \"2.00\", output = \"8.00\" }
[models.\"llama-4-maverick\"]
prices = { input = \"0.10\", output = \"0.42\" }
# What the demo upstreams call them.
[models.demo-large]
prices = { input = \"2.00\", output = \"8.00\" }
[models.demo-small]
prices = { input = \"0.10\", output = \"0.42\" }
";

pub(crate) fn prices() -> Result<ModelCatalog, ConfigError> {
    ModelTable::from_toml(PRICES).map(ModelCatalog::new)
}

/// A relay, and what steers it.
pub(crate) struct Relay {
    pub(crate) service: Service,
    pub(crate) shadow: ShadowHandle,
    split: TrafficSplitHandle,
    workers: JoinSet<()>,
    ends: Vec<ShutdownHandle>,
}

impl Relay {
    /// Sends all requests to `old`, for now. `compared` is told what became of copies, and `ledger` of every attempt.
    pub(crate) fn new(
        old: &Provider,
        new: &Provider,
        ledger: &Arc<dyn Ledger>,
        compared: impl Fn(&Comparison) + Send + Sync + 'static,
    ) -> Result<Self, ConfigError> {
        let catalog = prices()?;
        let target = |name, model, provider: &Provider| {
            let stack = ServiceBuilder::new()
                .layer(RolloutObserverLayer::new())
                .layer(CircuitBreakerLayer::builder().build()?)
                .layer(CommitGuardLayer::builder().build()?)
                .layer(
                    TimeoutLayer::builder()
                        .limits(Limits::none().head(Duration::from_secs(30)))
                        .build()?,
                )
                .layer(
                    CostMeterLayer::builder()
                        .name(name)
                        .catalog(catalog.clone())
                        .ledger(Arc::clone(ledger))
                        .build()?,
                )
                .layer(ModelRewriteLayer::new([("gpt-4.1-mini", model)])?)
                .layer(ResponseNormalizeLayer::new())
                .layer(
                    UpstreamLayer::builder(name)
                        .base_url(&format!("http://{name}.test/v1"))
                        .credential(Credential::key("demo-key")?)
                        .build()?,
                )
                .service(provider.client());
            Ok::<_, ConfigError>(Target::new(name, stack))
        };
        let (old, new) = (
            target(OLD, "demo-large", old)?,
            target(NEW, "demo-small", new)?,
        );
        let both = Upstreams::builder().add(new.clone()).add(old.clone());
        let chain = FallbackLayer::builder().chain(&both.build()?)?;
        let targets = Upstreams::builder()
            .add(old)
            .add(Target::new(NEW_OR_OLD, chain));
        let split = TrafficSplitLayer::builder().split(&targets.build()?)?;
        let (shadow, worker) = ShadowLayer::builder()
            .percent(0)
            .sink(compared)
            .build(new)?;
        let mut relay = Self {
            shadow: shadow.handle(),
            split: split.handle(),
            service: BoxCloneSyncService::new(
                ServiceBuilder::new()
                    .layer(EdgeLayer::default())
                    .layer(BillLayer::new())
                    .layer(shadow)
                    .service(split),
            ),
            workers: JoinSet::new(),
            ends: Vec::new(),
        };
        relay.spawn(worker);
        Ok(relay)
    }

    /// Begins to shift requests to the new provider: guide D's stages, each as long as it must be to judge by.
    pub(crate) fn begin(
        &mut self,
        stage: Duration,
        state: &Path,
        told: impl Fn(&RolloutEvent) + Send + Sync + 'static,
    ) -> Result<Rollout, ConfigError> {
        let (rollout, worker) = Rollout::builder()
            .stages([[100, 0], [75, 25], [50, 50], [25, 75], [0, 100]])
            .stage_time(stage)
            .minimum_requests(200)
            .file(state)
            // By the attempts at the new provider alone, whoever answers in the end.
            .judged_by(NEW_OR_OLD, NEW)
            .on_event(told)
            .build(&self.split)?;
        self.spawn(worker);
        Ok(rollout)
    }

    /// The share of requests that is meant for the new provider.
    pub(crate) fn share(&self) -> f64 {
        match *self.split.weights() {
            [old, new] => f64::from(new) / f64::from((old + new).max(1)),
            _ => 0.0,
        }
    }

    pub(crate) fn spawn(&mut self, worker: Worker) {
        self.ends.push(worker.shutdown_handle());
        self.workers.spawn(worker);
    }

    /// Lets the workers finish what they have in hand.
    pub(crate) async fn end(mut self) {
        for end in &self.ends {
            end.shutdown();
        }
        while self.workers.join_next().await.is_some() {}
    }
}
