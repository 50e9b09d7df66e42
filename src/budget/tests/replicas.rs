//! Replicas that share a budget in a real server.

mod outage;
mod same;

use tokio::{task::JoinHandle, time::timeout};

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
