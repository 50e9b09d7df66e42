//! The four stacks that stand between the caller and the upstreams.

use std::{convert::Infallible, fmt, sync::Arc, time::Duration};

use http::{Request, Response};
use hyper_util::{
    client::legacy::Client,
    rt::{TokioExecutor, TokioTimer},
};
use tower::{
    ServiceBuilder,
    util::{BoxCloneSyncService, MapRequestLayer},
};
use tower_relay::{
    balance::BalanceLayer,
    cache::{CacheKey, CacheLayer, CacheScope, CacheStore, Cacheable, Entry, Purge},
    circuit_breaker::CircuitBreakerLayer,
    client::{Target, UpstreamLayer, Upstreams},
    commit_guard::{self, CommitGuardLayer},
    cost_meter::{BillLayer, CostMeterLayer},
    fallback::FallbackLayer,
    hedge::HedgeLayer,
    message::{Bill, ConfigError, RequestBody, ResponseBody},
    model_rewrite::ModelRewriteLayer,
    normalize::ResponseNormalizeLayer,
    rate_limit::RateLimitBuilder,
    reserve::{Answer, RetryBudget},
    retry::{Backoff, RetryLayer},
    server::EdgeLayer,
    telemetry::TelemetryLayer,
    timeout::{Limits, TimeoutLayer},
};

use super::{connect::Connect, held::Held};

type Service = BoxCloneSyncService<Request<RequestBody>, Response<ResponseBody>, Infallible>;

/// As many extra attempts as a relay of the suite may ever make.
pub(crate) const EXTRA: u32 = 100;

/// Which layers there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layers {
    /// Upstream alone.
    Bare,
    /// Retry, CommitGuard, Timeout, Upstream.
    Retry,
    /// Fallback over two of those, the second of which is well.
    Fallback,
    /// All that there are, in the order of the crate's documentation.
    Full,
}

impl Layers {
    pub(crate) const ALL: [Self; 4] = [Self::Bare, Self::Retry, Self::Fallback, Self::Full];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Bare => "bare",
            Self::Retry => "retry",
            Self::Fallback => "fallback",
            Self::Full => "full",
        }
    }
}

impl fmt::Display for Layers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How long a relay of the suite waits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    pub(crate) head: Duration,
    pub(crate) first_token: Duration,
    pub(crate) idle: Duration,
    pub(crate) backoff: Duration,
    /// The request as a whole.
    pub(crate) deadline: Duration,
    /// When whoever asks gives up.
    pub(crate) patience: Duration,
    /// How long an upstream is left alone at most.
    pub(crate) open: Duration,
}

impl Pace {
    /// For paused time, which passes at once.
    pub(crate) const PAUSED: Self = Self {
        head: Duration::from_secs(20),
        first_token: Duration::from_secs(25),
        idle: Duration::from_secs(30),
        backoff: Duration::from_millis(500),
        deadline: Duration::from_secs(300),
        patience: Duration::from_secs(600),
        open: Duration::from_secs(60),
    };

    /// For real time.
    pub(crate) const REAL: Self = Self {
        head: Duration::from_secs(2),
        first_token: Duration::from_secs(3),
        idle: Duration::from_secs(3),
        backoff: Duration::from_millis(20),
        deadline: Duration::from_secs(30),
        patience: Duration::from_secs(10),
        open: Duration::from_millis(50),
    };
}

/// A relay, and what it draws on.
pub(crate) struct Relay {
    pub(crate) service: Service,
    pub(crate) budget: RetryBudget,
    pub(crate) held: Held,
}

impl Relay {
    /// A relay before `primary` and, where it falls back, `backup`, for requests of `length` bytes, one at a time.
    pub(crate) fn new(
        layers: Layers,
        pace: Pace,
        length: usize,
        primary: Connect,
        backup: Connect,
    ) -> Result<Self, ConfigError> {
        let maker = Maker {
            pace,
            budget: RetryBudget::new(0, EXTRA),
            held: Held::default(),
        };
        let service = match layers {
            Layers::Bare => BoxCloneSyncService::new(
                ServiceBuilder::new()
                    .layer(upstream("primary")?)
                    .service(client(primary)),
            ),
            Layers::Retry => maker.retry("primary", primary)?,
            Layers::Fallback => {
                let target = |name: &'static str, to| {
                    Ok::<_, ConfigError>(Target::new(name, maker.retry(name, to)?))
                };
                let targets = Upstreams::builder()
                    .add(target("primary", primary)?)
                    .add(target("backup", backup)?)
                    .build()?;
                maker.fallback(&targets)?
            }
            Layers::Full => maker.full(length, primary, backup)?,
        };
        Ok(Self {
            service,
            budget: maker.budget,
            held: maker.held,
        })
    }
}

/// Makes the parts of a relay.
struct Maker {
    pace: Pace,
    budget: RetryBudget,
    held: Held,
}

impl Maker {
    fn retry(&self, name: &'static str, to: Connect) -> Result<Service, ConfigError> {
        let stack = ServiceBuilder::new()
            .layer(self.retry_layer()?)
            .layer(self.guard_layer()?)
            .layer(self.timeout_layer()?)
            .layer(upstream(name)?)
            .service(client(to));
        Ok(BoxCloneSyncService::new(stack))
    }

    fn full(
        &self,
        length: usize,
        primary: Connect,
        backup: Connect,
    ) -> Result<Service, ConfigError> {
        let telemetry = TelemetryLayer::new();
        let target = |name: &'static str, to: Connect| {
            let breaker = CircuitBreakerLayer::builder()
                .open_for(self.pace.open.min(Duration::from_secs(10)))
                .max_open_for(self.pace.open)
                .quota_open_for(self.pace.open)
                .probes(1)
                .slow_start(Duration::ZERO)
                .build()?;
            // What it learns of a wait is forgotten as soon as the breaker lets go.
            let limit = self.limit().provider().max_hold(self.pace.open).build()?;
            let meter = CostMeterLayer::builder().name(name).build()?;
            let stack = ServiceBuilder::new()
                .layer(self.retry_layer()?)
                .layer(telemetry.attempts())
                .layer(breaker)
                .layer(self.guard_layer()?)
                .layer(self.timeout_layer()?)
                .layer(limit)
                .layer(meter)
                .layer(ModelRewriteLayer::new([("fault-1", "fault-1-latest")])?)
                .layer(ResponseNormalizeLayer::new())
                .layer(upstream(name)?)
                .service(client(to));
            self.chosen(Target::new(name, stack))
        };
        let targets = Upstreams::builder()
            .add(target("primary", primary)?)
            .add(target("backup", backup)?)
            .build()?;
        // One request fits, so that one which is not let go of keeps the next one out.
        let length = length as u64 * 3 / 2;
        let edge = EdgeLayer::builder()
            .max_body(length)
            .max_held(length)
            .deadline(self.pace.deadline)
            .build()?;
        let held = self.held.clone();
        let watched = MapRequestLayer::new(move |mut request: Request<RequestBody>| {
            held.watch(Bill::of(request.extensions_mut()));
            request
        });
        let stack = ServiceBuilder::new()
            .layer(edge)
            .layer(telemetry.clone())
            .layer(self.limit().build()?)
            .layer(watched)
            .layer(BillLayer::new())
            .layer(ModelRewriteLayer::new([("fault", "fault-1")])?)
            .layer(cache()?)
            .service(self.fallback(&targets)?);
        Ok(BoxCloneSyncService::new(stack))
    }

    /// A target behind what chooses among several, of which here there is one, and a hedge whose time never comes.
    fn chosen(&self, target: Target) -> Result<Target, ConfigError> {
        let name = Arc::clone(target.name());
        let alone = |target| Upstreams::builder().add(target).build();
        let balance = BalanceLayer::builder().balance(&alone(target)?)?;
        let balance = alone(Target::new(Arc::clone(&name), balance))?;
        let hedge = HedgeLayer::builder()
            .delay(self.pace.deadline)
            .budget(self.budget.clone())
            .hedge(&balance)?;
        Ok(Target::new(name, hedge))
    }

    /// A limit that is never reached. It reserves more than the longest answer takes, so that there is always something to give back.
    fn limit(&self) -> RateLimitBuilder {
        RateLimitBuilder::per_minute(1_000_000, 1_000_000_000_000)
            .default_output(1_000_000_000)
            .limiter(self.held.limiter())
    }

    fn fallback(&self, targets: &Upstreams) -> Result<Service, ConfigError> {
        let chain = FallbackLayer::builder()
            .deadline(self.pace.deadline)
            .budget(self.budget.clone())
            .chain(targets)?;
        Ok(BoxCloneSyncService::new(chain))
    }

    fn retry_layer(&self) -> Result<RetryLayer, ConfigError> {
        let backoff = Backoff {
            base: self.pace.backoff,
            ..Backoff::default()
        };
        RetryLayer::builder()
            .backoff(backoff)
            .deadline(self.pace.deadline)
            .budget(self.budget.clone())
            .seed(7)
            .build()
    }

    fn guard_layer(&self) -> Result<CommitGuardLayer, ConfigError> {
        let limits = commit_guard::Limits::none()
            .first_token(self.pace.first_token)
            .idle(self.pace.idle);
        CommitGuardLayer::builder().limits(limits).build()
    }

    fn timeout_layer(&self) -> Result<TimeoutLayer, ConfigError> {
        TimeoutLayer::builder()
            .limits(Limits::none().head(self.pace.head))
            .build()
    }
}

/// One that every request passes, and that keeps nothing: the suite asks for the same over and over.
fn cache() -> Result<CacheLayer, ConfigError> {
    #[derive(Debug)]
    struct Forgets;
    impl CacheStore for Forgets {
        fn get(&self, _: &CacheKey) -> Answer<Option<Entry>> {
            Answer::now(None)
        }

        fn put(&self, _: &CacheKey, _: Entry, _: Duration) {}

        fn purge(&self, _: &Purge) -> Answer<()> {
            Answer::now(())
        }
    }
    CacheLayer::builder()
        .scope(CacheScope::Shared)
        .requests(Cacheable::All)
        .store(Arc::new(Forgets))
        .build()
}

fn upstream(name: &'static str) -> Result<UpstreamLayer, ConfigError> {
    UpstreamLayer::builder(name)
        .base_url(&format!("http://{name}.test/v1"))
        .build()
}

fn client(to: Connect) -> Client<Connect, RequestBody> {
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .timer(TokioTimer::new())
        .build(to)
}
