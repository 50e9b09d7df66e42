//! Replicas that share a budget in a real server.

use proptest::prelude::*;
use tokio::{runtime::Runtime, task::JoinHandle, time::timeout};

use super::*;
use crate::{
    reserve::{
        Balance, BudgetStore, Charge, Claim, OnStoreFailure, RedisBudgets, RedisBuilder,
        RedisHandle, RedisLimiter, Reserved,
    },
    testing::redis_server::Server,
    worker::ShutdownHandle,
};

/// One process of several: a layer, and the worker that tells the store.
struct Replica {
    layer: BudgetLayer,
    store: RedisHandle,
    worker: JoinHandle<()>,
    shutdown: ShutdownHandle,
}

/// One that has time: what is tested is not how busy this machine is.
fn patient(server: &Server) -> RedisBuilder {
    RedisLimiter::builder(server.url()).timeout(Duration::from_secs(10))
}

impl Replica {
    fn of(store: RedisBuilder, builder: BudgetBuilder) -> Self {
        let (limiter, worker) = store.build().unwrap();
        let shutdown = worker.shutdown_handle();
        Self {
            layer: builder.store(Arc::new(limiter.budgets())).build().unwrap(),
            store: limiter.handle(),
            worker: tokio::spawn(worker),
            shutdown,
        }
    }

    fn with(server: &Server, budget: Budget) -> Self {
        Self::of(patient(server), BudgetLayer::builder().budget(budget))
    }

    async fn ask(&self, cap: u64) -> Response<ResponseBody> {
        send(&self.layer, ask("gpt-4.1", cap)).await
    }

    fn level(&self) -> BudgetLevel {
        self.layer.handle().level("team", &growth()).unwrap()
    }

    /// Lets the worker finish; what it then knows.
    async fn settled(self) -> BudgetLevel {
        self.shutdown.shutdown();
        let ended = timeout(Duration::from_secs(20), self.worker).await;
        ended.unwrap().unwrap();
        self.layer.handle().level("team", &growth()).unwrap()
    }
}

#[tokio::test]
async fn replicas_have_one_budget_together() {
    let Some(server) = Server::start() else {
        return;
    };
    let budget = || team("0.017").soft(usd("0.005"));
    let [first, second] = [(); 2].map(|()| Replica::with(&server, budget()));
    // Each reserves 0.008 at least.
    let held = first.ask(1_000).await;
    let other = second.ask(1_000).await;
    assert_eq!(
        (held.status().as_u16(), other.status().as_u16()),
        (200, 200)
    );
    let refused = first.ask(1_000).await;
    assert_eq!(refusal(refused).await, (429, "budget_exceeded".to_owned()));
    assert!(first.level().reserved >= usd("0.016"), "the other's, too");

    read(held).await;
    let told = first.settled().await;
    assert_eq!(told.spent, usd("0.0028"));
    drop(other);
    // Left: no less than was reserved.
    let told = second.settled().await;
    assert!(told.spent >= usd("0.0108") && told.reserved == Cost::ZERO);

    // A replica that begins anew knows nothing, and is told with its first request.
    let third = Replica::with(&server, budget());
    assert_eq!(third.level().spent, Cost::ZERO);
    let answered = third.ask(100).await;
    assert!(answered.headers().contains_key(X_RELAY_BUDGET_WARNING));
    assert_eq!(third.level().spent, told.spent);
    third.layer.handle().reset("team", &growth());
    read(answered).await;
    let told = third.settled().await;
    assert_eq!(told.spent, usd("0.0028"), "what came after the reset");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_replicas_charge_at_once_is_the_sum_of_the_bills_and_never_beyond_the_budget() {
    let Some(server) = Server::start() else {
        return;
    };
    let all = Budget::new("all", KeyBy::global(), usd("0.5"), Per::Total);
    let builder = || {
        BudgetLayer::builder()
            .budgets([all.clone(), team("1000")])
            .metered(true)
    };
    let replicas = [(); 2].map(|()| Arc::new(Replica::of(patient(&server), builder())));
    let billed = Arc::new(Mutex::new(Cost::ZERO));
    let asked: Vec<_> = (0..400_u64)
        .map(|number| {
            let replica = Arc::clone(&replicas[usize::from(number % 2 == 0)]);
            let billed = Arc::clone(&billed);
            let inner = tower::service_fn(move |mut request: Request<RequestBody>| {
                let bill = Bill::of(request.extensions_mut());
                let cost = Cost::from_pico_usd(3_000_000_000 + u128::from(number));
                let line = BillLine::new(
                    "u".into(),
                    Usage::default(),
                    CostSource::Reported,
                    Some(cost),
                );
                bill.open().close(line);
                *billed.lock().unwrap() += cost;
                std::future::ready(Ok::<_, std::convert::Infallible>(answer(ANSWER)))
            });
            tokio::spawn(async move {
                let request = ask("gpt-4.1", 1_000);
                let Ok(response) = replica.layer.layer(inner).oneshot(request).await;
                let status = response.status().as_u16();
                // Some leave.
                if number % 4 != 0 {
                    read(response).await;
                }
                status
            })
        })
        .collect();
    let mut refused = 0;
    for asked in asked {
        refused += u64::from(asked.await.unwrap() == 429);
    }
    let billed = *billed.lock().unwrap();
    for replica in replicas {
        let store = replica.store.clone();
        assert_eq!((store.failed(), store.skipped()), (0, 0));
        Arc::into_inner(replica).unwrap().settled().await;
        assert_eq!(store.unsettled(), 0);
    }
    let last = Replica::of(patient(&server), builder());
    drop(last.ask(1).await);
    let level = |budget, key: &Key| last.layer.handle().level(budget, key).unwrap();
    println!("of 0.5 USD {billed} were billed, {refused} of 400 refused");
    for (budget, key) in [("all", Key::GLOBAL), ("team", growth())] {
        assert_eq!(level(budget, &key).spent, billed);
    }
    // As many as it has room for at once, at 0.008 each, of which 0.003 are billed; more, where some have ended before others asked.
    assert!((usd("0.18")..=usd("0.5")).contains(&billed), "{billed}");
}

#[tokio::test]
async fn a_server_that_is_gone_leaves_each_replica_its_share_of_what_was_left() {
    let Some(mut server) = Server::start() else {
        return;
    };
    let of = |policy| {
        let store = RedisLimiter::builder(server.url())
            .timeout(Duration::from_millis(500))
            .on_failure(policy)
            .replicas(2)
            .breaker(1, Duration::from_millis(20));
        Replica::of(store, BudgetLayer::builder().budget(team("0.05")))
    };
    let sharing = of(OnStoreFailure::Local);
    let [open, closed] = [OnStoreFailure::FailOpen, OnStoreFailure::FailClosed].map(of);
    for replica in [&sharing, &open, &closed] {
        let answered = replica.ask(1_000).await;
        assert_eq!(answered.status(), 200);
        read(answered).await;
    }
    server.stop();
    // 0.05 less some 0.0084 at least, and half of that: two of 0.008 fit, held at once.
    let mut held = Vec::new();
    for status in [200, 200, 429] {
        let answered = sharing.ask(1_000).await;
        assert_eq!(answered.status(), status);
        held.push(answered);
    }
    for _ in 0..10 {
        read(open.ask(1_000).await).await;
    }
    let refused = closed.ask(1_000).await;
    assert_eq!(refused.headers()["retry-after"], "1");
    assert_eq!(
        refusal(refused).await,
        (503, "budgets_unavailable".to_owned())
    );
    for answered in held {
        read(answered).await;
    }
    // Spent as it is, two more of these fit, one at a time.
    for status in [200, 200] {
        let answered = sharing.ask(1_000).await;
        assert_eq!(answered.status(), status);
        read(answered).await;
    }
    assert!(sharing.store.stood_in() >= 5 && open.store.uncounted() == 10);

    // What was spent without it is told when it is back, and nothing was lost of it.
    server.restart();
    for replica in [sharing, open] {
        let waited = async {
            while replica.store.queued() > 0 || replica.store.settled() == 0 {
                drop(replica.ask(0).await);
            }
        };
        timeout(Duration::from_secs(20), waited).await.unwrap();
        replica.settled().await;
    }
    let last = Replica::with(&server, team("1000"));
    drop(last.ask(1).await);
    // It came back empty: four and ten answers of 0.0028, and what was still to be told of the first ones, at most.
    let spent = last.level().spent;
    assert!(spent >= usd("0.0392"), "{spent}");
}

/// What the scripts should do.
#[derive(Default)]
struct Model(std::collections::HashMap<String, Balance>);

#[derive(Debug, Clone)]
enum Step {
    Reserve {
        first: usize,
        both: bool,
        amount: Option<u128>,
    },
    Settle {
        which: usize,
        spent: u128,
        unpriced: u64,
    },
    Forget(usize),
}

fn money() -> impl Strategy<Value = u128> {
    prop_oneof![Just(0), 1_u128..1_000, 0_u128..1 << 60, 0_u128..1 << 100]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let amount = prop_oneof![9 => money().prop_map(Some), 1 => Just(None)];
    let step = prop_oneof![
        5 => (0_usize..2, any::<bool>(), amount)
            .prop_map(|(first, both, amount)| Step::Reserve { first, both, amount }),
        5 => (any::<usize>(), money(), 0_u64..3)
            .prop_map(|(which, spent, unpriced)| Step::Settle { which, spent, unpriced }),
        1 => (0_usize..2).prop_map(Step::Forget),
    ];
    prop::collection::vec(step, 1..30)
}

async fn play(
    budgets: &RedisBudgets,
    limits: [u128; 2],
    steps: Vec<Step>,
) -> Result<(), TestCaseError> {
    let run = rand_name();
    let pico = Cost::from_pico_usd;
    let claim = |index: usize| Claim {
        account: format!("{index}/{run}").into(),
        window: "total".into(),
        ends: 0,
        limit: Some(pico(limits[index])),
    };
    let settle = async |claims: &Arc<[Claim]>, lease, reserved, spent: Option<u128>, unpriced| {
        let (told, answer) = tokio::sync::oneshot::channel();
        budgets.settle(Charge {
            claims: Arc::clone(claims),
            lease,
            reserved: pico(reserved),
            spent: spent.map(pico),
            unpriced,
            told: Box::new(|balances| drop(told.send(balances))),
        });
        answer.await.unwrap()
    };
    let mut model = Model::default();
    let mut open: Vec<(Arc<[Claim]>, u64, u128)> = Vec::new();
    for step in steps {
        match step {
            Step::Reserve {
                first,
                both,
                amount,
            } => {
                let second = both.then_some(1 - first);
                let claims: Arc<[Claim]> = [Some(first), second]
                    .into_iter()
                    .flatten()
                    .map(claim)
                    .collect();
                let room = |claim: &Claim| {
                    let balance = model.0.get(&*claim.account).copied().unwrap_or_default();
                    let taken = balance.spent.pico_usd() + balance.reserved.pico_usd();
                    let limit = claim.limit.unwrap().pico_usd();
                    amount.map_or(taken < limit, |amount| {
                        amount == 0 || taken + amount <= limit
                    })
                };
                let has_room = claims.iter().all(room);
                let reserved = budgets.reserve(Arc::clone(&claims), amount.map(pico)).await;
                let balances = match reserved {
                    Reserved::Taken { lease, balances } => {
                        prop_assert!(has_room);
                        let amount = amount.unwrap_or(0);
                        for claim in &*claims {
                            model
                                .0
                                .entry(claim.account.to_string())
                                .or_default()
                                .reserved += pico(amount);
                        }
                        open.push((Arc::clone(&claims), lease, amount));
                        balances
                    }
                    Reserved::Refused(balances) => {
                        prop_assert!(!has_room);
                        balances
                    }
                    Reserved::Unavailable(without) => panic!("{without:?}"),
                };
                for (claim, balance) in claims.iter().zip(balances) {
                    prop_assert_eq!(
                        balance,
                        model.0.get(&*claim.account).copied().unwrap_or_default()
                    );
                }
            }
            Step::Settle {
                which,
                spent,
                unpriced,
            } if !open.is_empty() => {
                let (claims, lease, amount) = open.swap_remove(which % open.len());
                let balances = settle(&claims, Some(lease), amount, Some(spent), unpriced).await;
                for (claim, balance) in claims.iter().zip(balances) {
                    let known = model.0.entry(claim.account.to_string()).or_default();
                    known.reserved = known.reserved.saturating_sub(pico(amount));
                    known.spent += pico(spent);
                    known.unpriced += unpriced;
                    prop_assert_eq!(balance, *known);
                }
            }
            Step::Settle { .. } => {}
            Step::Forget(index) => {
                let claims: Arc<[Claim]> = [claim(index)].into();
                let balances = settle(&claims, None, 0, None, 0).await;
                let known = model.0.entry(claims[0].account.to_string()).or_default();
                (known.spent, known.unpriced) = (Cost::ZERO, 0);
                prop_assert_eq!(balances[0], *known);
            }
        }
    }
    for (claims, lease, amount) in open {
        settle(&claims, Some(lease), amount, Some(0), 0).await;
    }
    Ok(())
}

/// Each case has accounts of its own.
fn rand_name() -> String {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed).to_string()
}

#[test]
fn the_scripts_decide_and_count_money_as_the_books_do_to_the_last_unit() {
    let Some(server) = Server::start() else {
        return;
    };
    let runtime = Runtime::new().unwrap();
    let (limiter, worker) = runtime
        .block_on(async { patient(&server).build() })
        .unwrap();
    runtime.spawn(worker);
    let budgets = limiter.budgets();
    proptest!(ProptestConfig::with_cases(48), |(limits in [money(), money()], steps in steps())| {
        runtime.block_on(play(&budgets, limits, steps))?;
    });
    // What has spent nothing and holds nothing takes no room.
    let used: Vec<String> = runtime.block_on(async {
        let mut connection = server.connect().await;
        ::redis::cmd("KEYS")
            .arg("*")
            .query_async(&mut connection)
            .await
            .unwrap()
    });
    for key in &used {
        let fields: std::collections::HashMap<String, Vec<u8>> = runtime.block_on(async {
            let mut connection = server.connect().await;
            ::redis::cmd("HGETALL")
                .arg(key)
                .query_async(&mut connection)
                .await
                .unwrap()
        });
        assert!(
            fields.keys().all(|field| field == "s" || field == "u"),
            "{key} {fields:?}"
        );
    }
}

#[tokio::test]
async fn what_a_replica_reserved_that_is_gone_lapses_and_windows_go_with_their_end() {
    let Some(server) = Server::start() else {
        return;
    };
    let mut connection = server.connect().await;
    let (limiter, worker) = patient(&server).prefix("p").build().unwrap();
    tokio::spawn(worker);
    let budgets = limiter.budgets();
    let ends = crate::wire::clock::now() + Duration::from_secs(100);
    let ends = u64::try_from(ends.duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap();
    let claims: Arc<[Claim]> = [Claim {
        account: "team/x".into(),
        window: "day 1".into(),
        ends,
        limit: Some(usd("1")),
    }]
    .into();
    let key = "p:{budgets}:team/x:day 1";
    let ttl = async |connection: &mut ::redis::aio::MultiplexedConnection| -> i64 {
        ::redis::cmd("PTTL")
            .arg(key)
            .query_async(connection)
            .await
            .unwrap()
    };
    let hour = 65 * 60 * 1_000;
    let reserved = budgets.reserve(Arc::clone(&claims), Some(usd("0.5"))).await;
    assert!(matches!(reserved, Reserved::Taken { .. }));
    assert!((hour - 5_000..=hour).contains(&ttl(&mut connection).await));
    // As if it had been reserved more than an hour ago.
    let fields: Vec<String> = ::redis::cmd("HKEYS")
        .arg(key)
        .query_async(&mut connection)
        .await
        .unwrap();
    let slot: u64 = fields[0].strip_prefix('r').unwrap().parse().unwrap();
    let value: Vec<u8> = ::redis::cmd("HGET")
        .arg(key)
        .arg(&fields[0])
        .query_async(&mut connection)
        .await
        .unwrap();
    for (at, holds) in [(slot - 12, true), (slot - 13, false)] {
        let mut edit = ::redis::pipe();
        edit.del(key).hset(key, format!("r{at}"), &value);
        edit.exec_async(&mut connection).await.unwrap();
        let refused = budgets.reserve(Arc::clone(&claims), Some(usd("0.6"))).await;
        assert_eq!(matches!(refused, Reserved::Refused(_)), holds, "{at}");
    }
    let (told, answer) = tokio::sync::oneshot::channel();
    budgets.settle(Charge {
        claims,
        lease: None,
        reserved: Cost::ZERO,
        spent: Some(usd("0.1")),
        unpriced: 0,
        told: Box::new(|balances| drop(told.send(balances))),
    });
    assert_eq!(answer.await.unwrap()[0].spent, usd("0.1"));
    let left = ttl(&mut connection).await;
    assert!((hour + 90_000..=hour + 100_000).contains(&left), "{left}");
}

#[tokio::test]
async fn a_server_that_stalls_keeps_nobody_and_what_it_reserved_goes_back() {
    let Some(server) = Server::start() else {
        return;
    };
    let mut connection = server.connect().await;
    let wait = Duration::from_millis(50);
    let store = RedisLimiter::builder(server.url())
        .timeout(wait)
        .on_failure(OnStoreFailure::FailClosed)
        .breaker(100, wait);
    let replica = Replica::of(store, BudgetLayer::builder().budget(team("1")));
    let connected = async {
        while replica.store.answered() == 0 {
            drop(replica.ask(0).await);
        }
    };
    timeout(Duration::from_secs(20), connected).await.unwrap();

    let mut pause = ::redis::cmd("CLIENT");
    pause.arg("PAUSE").arg(800).arg("WRITE");
    pause.exec_async(&mut connection).await.unwrap();
    let refused = timeout(Duration::from_millis(700), replica.ask(1_000)).await;
    assert_eq!(refused.unwrap().status(), 503);
    // One whose caller does not even wait so long.
    assert!(timeout(wait / 10, replica.ask(1_000)).await.is_err());
    replica.settled().await;
    let after = Replica::with(&server, team("1"));
    let answered = after.ask(1_000).await;
    let level = after.level();
    assert!(
        level.reserved < usd("0.009"),
        "its own alone: {}",
        level.reserved
    );
    drop(answered);
}
