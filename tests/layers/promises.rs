//! The contract, held against every layer of this crate.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http::{Request, Response};
use tower::{ServiceExt, service_fn};
use tower_relay::{
    budget::{Budget, BudgetLayer, Limits, Per},
    circuit_breaker::CircuitBreakerLayer,
    client::{AdaptLayer, Credential, Style, Target, UpstreamLayer, Upstreams},
    commit_guard::CommitGuardLayer,
    cost_meter::{BillLayer, CostMeterLayer},
    fallback::{FallbackBuilder, FallbackLayer},
    key::{Key, KeyBy},
    ledger::Totals,
    message::{
        RequestBody, ResponseBody,
        catalog::{Cost, ModelCatalog, ModelInfo, ModelTable},
    },
    model_rewrite::{Aliases, Checks, ModelRewriteLayer, ParamRule, Window},
    normalize::ResponseNormalizeLayer,
    rate_limit::{RateLimitBuilder, RateLimitLayer},
    reserve::Quota,
    reserve::RetryBudget,
    retry::RetryLayer,
    server::EdgeLayer,
    timeout::TimeoutBuilder,
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
    budget,
    budgets,
    state: async |layer, services| shares_its_books(&layer, services).await
);

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
    handle.set_limits("key", &key, Some(Limits::hard(Cost::ZERO)));
    for service in &services {
        assert_eq!(send(service, chat()).await, 429);
    }
    handle.set_limits("key", &key, None);
    for service in &services {
        assert_eq!(send(service, chat()).await, 200);
    }
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
