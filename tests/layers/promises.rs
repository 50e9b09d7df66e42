//! The contract, held against every layer of this crate.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http::{Request, Response};
use tower::{ServiceExt, service_fn};
use tower_relay::{
    admission::{Adaptive, AdmissionLayer, Limits},
    balance::{BalanceBuilder, BalanceLayer, Policy},
    budget::{Budget, BudgetLayer, Limits as MoneyLimits, Per},
    cache::{CacheKey, CacheLayer, CacheStore, Cacheable, Entry, Purge},
    circuit_breaker::CircuitBreakerLayer,
    client::{AdaptLayer, Credential, Style, Target, UpstreamLayer, Upstreams},
    commit_guard::CommitGuardLayer,
    cost_meter::{BillLayer, CostMeterLayer},
    fallback::{FallbackBuilder, FallbackLayer},
    hedge::HedgeLayer,
    key::{Key, KeyBy},
    ledger::Totals,
    message::{
        RequestBody, ResponseBody,
        catalog::{Cost, ModelCatalog, ModelInfo, ModelTable},
    },
    model_rewrite::{Aliases, Checks, ModelRewriteLayer, ParamRule, Window},
    model_select::{BuiltinCheck, EscalationBuilder, ModelSelectBuilder},
    normalize::ResponseNormalizeLayer,
    rate_limit::{RateLimitBuilder, RateLimitLayer},
    reserve::{Answer, Quota, RetryBudget},
    retry::RetryLayer,
    server::{
        EdgeLayer, HeaderNames, HeaderNamesLayer,
        feedback::FeedbackLayer,
        tenants::{AuthLayer, KeyHash, Tenant, TenantKey, Tenants},
    },
    shadow::ShadowLayer,
    stats::Stats,
    telemetry::TelemetryLayer,
    timeout::TimeoutBuilder,
    traffic_split::{StickyBy, TrafficSplitLayer, rollout::RolloutObserverLayer},
};

use crate::{
    contract::{Probed, SECRET, Stack, chat},
    probe::Step,
};

contract_tests!(
    edge,
    || EdgeLayer::builder().max_body(400).max_held(400).build().unwrap(),
    errors: answered,
    state: async |_, services| shares_its_cap(services).await
);

contract_tests!(feedback, || FeedbackLayer::builder().build().unwrap().0);
contract_tests!(header_names, || HeaderNamesLayer::new(HeaderNames::guide()));

contract_tests!(upstream, || upstream(Credential::key(SECRET).unwrap()), errors: answered);
contract_tests!(upstream_with_the_callers_key, || upstream(Credential::caller()), errors: answered);
contract_tests!(
    upstream_that_asks_for_its_key,
    || upstream(Credential::per_request(|_| async { Ok(SECRET.to_owned()) })),
    errors: answered
);

contract_tests!(
    model_rewrite,
    || ModelRewriteLayer::new([("fast", "real")]).unwrap(),
    state: async |layer, services| follows_its_handle(&layer, services).await
);
contract_tests!(model_rewrite_that_restores_names, || {
    let aliases = Aliases::new([("fast", "real")]).unwrap();
    ModelRewriteLayer::builder()
        .aliases(aliases)
        .restore_name(true)
        .build()
        .unwrap()
});
contract_tests!(model_rewrite_with_every_setting, || {
    let mut probe = ModelInfo::new("*");
    probe.context_window = Some(1_000_000);
    probe.max_output_tokens = Some(1_000);
    probe.capabilities.tools = Some(true);
    ModelRewriteLayer::builder()
        .aliases(Aliases::new([("fast", "real")]).unwrap())
        .restore_name(true)
        .rule(
            ParamRule::new(["*"])
                .rename("max_tokens", "max_completion_tokens")
                .reject(["unheard_of"])
                .drop(["temperature"])
                .set("store", false)
                .default_value("user", "probe"),
        )
        .clamp_output(true)
        .checks(
            Checks::new()
                .capabilities(true)
                .window(Window::PromptAndOutput),
        )
        .catalog(ModelCatalog::new(ModelTable::from_iter([probe])))
        .provider("probe")
        .build()
        .unwrap()
});

contract_tests!(model_select, || ModelSelectBuilder::guide_c()
    .build()
    .unwrap());
contract_tests!(model_select_with_every_setting, || {
    let escalation = EscalationBuilder::new().check(BuiltinCheck::Refused);
    ModelSelectBuilder::guide_e()
        .always(true)
        .cheapest(true)
        .sticky(Duration::from_secs(60))
        .escalation(escalation)
        .build()
        .unwrap()
}, bodies: json_held);
contract_tests!(model_select_that_checks_streams, || {
    let escalation = EscalationBuilder::new().check(BuiltinCheck::Refused).streams(true);
    ModelSelectBuilder::guide_e().always(true).escalation(escalation).build().unwrap()
}, bodies: read_ahead);

contract_tests!(normalize, ResponseNormalizeLayer::new, bodies: json_held);

contract_tests!(retry, RetryLayer::default);

contract_tests!(fallback, || FallbackLayer::builder()
    .build(&backup())
    .unwrap());
contract_tests!(fallback_with_every_setting, || {
    let minute = Duration::from_secs(60);
    FallbackBuilder::guide_e()
        .sticky(minute)
        .budget(RetryBudget::default())
        .content_filtered(true)
        .build(&backup())
        .unwrap()
});

contract_tests!(
    traffic_split,
    || TrafficSplitLayer::builder().build(&backup()).unwrap(),
    state: async |layer, services| follows_its_weights(&layer, services).await
);
contract_tests!(traffic_split_with_every_setting, || {
    let builder = TrafficSplitLayer::builder()
        .weights([1, 0])
        .allow_override(true);
    let stats = Stats::default();
    let builder = builder
        .sticky(StickyBy::api_key())
        .stats(&stats)
        .read_only();
    builder.build(&backup()).unwrap()
});
contract_tests!(
    balance,
    || to_the_baseline(BalanceLayer::builder()),
    state: async |layer, services| keeps_its_members(&layer, services).await
);
contract_tests!(balance_with_every_setting, || {
    let stats = Stats::default();
    let builder = BalanceLayer::builder()
        .policy(Policy::Weighted)
        .weights([1, 1]);
    to_the_baseline(builder.sticky(StickyBy::api_key()).stats(&stats))
});

contract_tests!(
    hedge,
    || HedgeLayer::builder().build(&backup()).unwrap(),
    bodies: read_ahead
);

contract_tests!(rollout_observer, RolloutObserverLayer::new);

contract_tests!(shadow, || {
    let shadow = ShadowLayer::builder().percent(100);
    let target = backup().get("backup").unwrap().clone();
    let (shadow, worker) = shadow.build(target).unwrap();
    // Not gone, or nothing would be copied.
    Box::leak(Box::new(worker));
    shadow
});

contract_tests!(cache, cache);
contract_tests!(cache_of_what_is_not_admitted, || {
    CacheLayer::builder().build().unwrap()
});

contract_tests!(timeout, || TimeoutBuilder::guide_e().build().unwrap());

contract_tests!(
    circuit_breaker,
    || CircuitBreakerLayer::builder().by(KeyBy::api_key()).build().unwrap(),
    state: async |layer, services| follows_its_circuit(&layer, services).await
);
contract_tests!(circuit_breaker_by_upstream, CircuitBreakerLayer::default);

contract_tests!(bill, BillLayer::new);
contract_tests!(cost_meter, CostMeterLayer::new);
contract_tests!(cost_meter_with_every_setting, || {
    CostMeterLayer::builder()
        .cost_in_body(true)
        .ledger(Arc::new(Totals::default()))
        .build()
        .unwrap()
});

contract_tests!(commit_guard, CommitGuardLayer::default, bodies: held);
contract_tests!(commit_guard_that_holds_next_to_nothing, || {
    CommitGuardLayer::builder().max_bytes(1).build().unwrap()
});

contract_tests!(
    rate_limit,
    || RateLimitBuilder::guide_c().build().unwrap(),
    state: async |layer, services| shares_its_buckets(&layer, services).await
);
contract_tests!(rate_limit_that_waits, || {
    let builder = RateLimitBuilder::guide_c_controller();
    builder.wait(Duration::from_secs(9)).build().unwrap()
});
contract_tests!(rate_limit_of_a_provider, || {
    RateLimitBuilder::guide_c().provider().build().unwrap()
});

contract_tests!(
    auth,
    || AuthLayer::new(tenants()),
    state: async |layer, services| forgets_its_keys(&layer, services).await
);

contract_tests!(
    admission,
    || AdmissionLayer::builder().limits(Limits::new(1, 0)).build().unwrap(),
    state: async |layer, services| shares_its_permits(&layer, services).await
);
contract_tests!(admission_by_key_that_adapts, || {
    let builder = AdmissionLayer::builder().by(KeyBy::api_key());
    builder.adaptive(Adaptive::default()).build().unwrap()
});

contract_tests!(
    budget,
    budgets,
    state: async |layer, services| shares_its_books(&layer, services).await
);

contract_tests!(
    telemetry,
    || TelemetryLayer::builder().contents(true).build().unwrap(),
    state: async |layer, services| shares_its_statistics(&layer, services).await
);
contract_tests!(telemetry_of_attempts, || TelemetryLayer::new().attempts());

contract_tests!(adapt, || AdaptLayer::new(Body::new));

/// One budget for everybody within another for each key.
fn budgets() -> BudgetLayer {
    let usd = Cost::parse_usd("1000").unwrap();
    BudgetLayer::builder()
        .budget(Budget::new("all", KeyBy::global(), usd, Per::Total))
        .budget(Budget::new("key", KeyBy::api_key(), usd, Per::Month).soft(Cost::ZERO))
        .build()
        .unwrap()
}

/// What is shut for one is shut for the other.
async fn shares_its_books(layer: &BudgetLayer, services: [Probed<impl Stack>; 2]) {
    let key = Key::secret("api_key", SECRET.as_bytes());
    let handle = layer.handle();
    handle.set_limits("key", &key, Some(MoneyLimits::hard(Cost::ZERO)));
    for service in &services {
        assert_eq!(send(service, chat()).await, 429);
    }
    handle.set_limits("key", &key, None);
    for service in &services {
        assert_eq!(send(service, chat()).await, 200);
    }
}

/// One before which each of the tests' requests is one for the cache, and nothing is kept: the tests ask for the same over and over.
fn cache() -> CacheLayer {
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
    let builder = CacheLayer::builder().requests(Cacheable::All);
    builder.store(Arc::new(Forgets)).build().unwrap()
}

/// A backup that answers with nothing.
fn backup() -> Upstreams {
    let answering =
        service_fn(|_: Request<RequestBody>| async { Ok(Response::new(ResponseBody::empty())) });
    let upstreams = Upstreams::builder().add(Target::new("backup", answering));
    upstreams.build().unwrap()
}

fn upstream(credential: Credential) -> UpstreamLayer {
    let builder = UpstreamLayer::builder("probe").base_url("http://upstream.test/v1");
    builder
        .credential(credential.style(Style::XApiKey))
        .build()
        .unwrap()
}

/// What one service holds the other lacks, until it is let go.
async fn shares_its_cap([one, two]: [Probed<impl Stack>; 2]) {
    let request = || {
        Request::post("/v1/embeddings")
            .body(RequestBody::json(" ".repeat(300)))
            .unwrap()
    };
    assert_eq!(send(&one, request()).await, 200);
    let held = one.1.take_request();
    assert_eq!(send(&two, request()).await, 503);
    assert_eq!(send(&one, request()).await, 503);
    drop(held);
    assert_eq!(send(&two, request()).await, 200);
}

/// What one service opened the other finds open.
async fn follows_its_circuit(layer: &CircuitBreakerLayer, [one, two]: [Probed<impl Stack>; 2]) {
    let key = Key::secret("api_key", SECRET.as_bytes());
    one.1.play(|script| script.head = Step::Fails);
    for _ in 0..5 {
        assert!(one.0.clone().oneshot(chat()).await.is_err());
    }
    one.1.play(|script| script.head = Step::Goes);
    for service in [&one, &two] {
        assert_eq!(send(service, chat()).await, 503);
    }
    layer.handle().reset(&key);
    for service in [&one, &two] {
        assert_eq!(send(service, chat()).await, 200);
    }
}

/// What one service used the other does not have.
async fn shares_its_buckets(layer: &RateLimitLayer, [one, two]: [Probed<impl Stack>; 2]) {
    let key = Key::secret("api_key", SECRET.as_bytes());
    let quota = Quota::per_minute(2, 100_000).unwrap();
    layer.handle().set_quota(&key, Some(&quota));
    assert_eq!(send(&one, chat()).await, 200);
    assert_eq!(send(&two, chat()).await, 200);
    for service in [&one, &two] {
        assert_eq!(send(service, chat()).await, 429);
    }
    layer.handle().reset(&key).await;
    assert_eq!(send(&two, chat()).await, 200);
}

/// What is changed by the handle holds for both.
async fn follows_its_weights(layer: &TrafficSplitLayer, services: [Probed<impl Stack>; 2]) {
    for (weights, passed) in [([0, 1], 0), ([1, 0], 1)] {
        layer.handle().set_weights(&weights).unwrap();
        for service in &services {
            assert_eq!(send(service, chat()).await, 200);
            assert_eq!(usize::from(service.1.take_request().is_some()), passed);
        }
    }
}

/// A balancer whose other member is drained.
fn to_the_baseline(builder: BalanceBuilder) -> BalanceLayer {
    let layer = builder.build(&backup()).unwrap();
    layer.handle().drain("backup").unwrap();
    layer
}

/// What is drained for one is for the other.
async fn keeps_its_members(layer: &BalanceLayer, services: [Probed<impl Stack>; 2]) {
    let handle = layer.handle();
    for (drained, other, passed) in [("baseline", "backup", 0), ("backup", "baseline", 1)] {
        handle.drain(drained).unwrap();
        handle.restore(other).unwrap();
        for service in &services {
            assert_eq!(send(service, chat()).await, 200);
            assert_eq!(usize::from(service.1.take_request().is_some()), passed);
        }
    }
}

/// One whose key is the tests' own.
fn tenants() -> Tenants {
    let key = TenantKey::new("first", KeyHash::of(SECRET));
    // That of requests to unknown endpoints.
    let other = TenantKey::new("other", KeyHash::of("of-the-caller"));
    Tenants::new([Tenant::new("probe").key(key).key(other)]).unwrap()
}

/// What is revoked is so for all.
async fn forgets_its_keys(layer: &AuthLayer, services: [Probed<impl Stack>; 2]) {
    for (revoked, status) in [(false, 200), (true, 401)] {
        if revoked {
            layer.tenants().revoke("probe", "first").unwrap();
        }
        for service in &services {
            assert_eq!(send(service, chat()).await, status);
        }
    }
}

/// What one service lets in the other does not.
async fn shares_its_permits(layer: &AdmissionLayer, [one, two]: [Probed<impl Stack>; 2]) {
    let held = one.0.clone().oneshot(chat()).await.unwrap();
    for service in [&one, &two] {
        assert_eq!(send(service, chat()).await, 503);
    }
    assert_eq!(layer.handle().in_flight(), 1);
    drop(held);
    assert_eq!(send(&two, chat()).await, 200);
}

async fn shares_its_statistics(layer: &TelemetryLayer, [one, two]: [Probed<impl Stack>; 2]) {
    for service in [&one, &two] {
        assert_eq!(send(service, chat()).await, 200);
    }
    let snapshot = layer.stats().snapshot(tokio::time::Instant::now());
    assert_eq!(snapshot.requests.since_start.total, 2);
}

async fn follows_its_handle(layer: &ModelRewriteLayer, services: [Probed<impl Stack>; 2]) {
    for target in ["real", "other"] {
        layer
            .handle()
            .set_aliases(Aliases::new([("fast", target)]).unwrap());
        for service in &services {
            assert_eq!(send(service, chat()).await, 200);
            assert_eq!(
                service.1.take_request().unwrap().body().model().as_deref(),
                Some(target)
            );
        }
    }
}

async fn send((service, _): &Probed<impl Stack>, request: Request<RequestBody>) -> u16 {
    service
        .clone()
        .oneshot(request)
        .await
        .unwrap()
        .status()
        .as_u16()
}
