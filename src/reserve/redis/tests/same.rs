//! The scripts' arithmetic beside the bucket's.

use ::redis::aio::MultiplexedConnection;
use proptest::prelude::*;
use tokio::runtime::Runtime;

use super::*;
use crate::reserve::{
    Bucket, Dimension, Levels, Limit,
    redis::scripts::{Scripts, read_reserved, read_settled},
};

/// The same in this process.
struct Model {
    quota: Quota,
    buckets: Vec<Bucket>,
}

impl Model {
    fn backlogs(&self, now: u64) -> Levels {
        let pairs = self.quota.limits().iter().zip(&self.buckets);
        Levels::new(pairs.map(|(limit, bucket)| bucket.backlog(limit, now)))
    }

    fn reserve(&mut self, now: u64, amounts: Amounts) -> bool {
        let limits = self.quota.limits();
        let mut pairs = limits.iter().zip(&self.buckets);
        if !pairs.all(|(limit, bucket)| bucket.has(limit, now, amounts.get(limit.dimension()))) {
            return false;
        }
        for (limit, bucket) in limits.iter().zip(&mut self.buckets) {
            bucket.take(limit, now, amounts.get(limit.dimension()));
        }
        true
    }

    fn settle(&mut self, now: u64, reserved: Amounts, used: Amounts) -> u64 {
        let mut forgiven: u64 = 0;
        for (limit, bucket) in self.quota.limits().iter().zip(&mut self.buckets) {
            let reserved = reserved.get(limit.dimension());
            let used = used.get(limit.dimension());
            if used > reserved {
                forgiven = forgiven.saturating_add(bucket.charge(limit, now, used - reserved));
            } else {
                bucket.give_back(limit, reserved - used);
            }
        }
        forgiven
    }
}

#[derive(Debug, Clone)]
enum Step {
    /// So many microseconds.
    Wait(u64),
    /// Shares of the burst, in thousandths.
    Reserve(u64),
    Settle(u64, u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let wait = prop_oneof![0_u64..1_000, 0_u64..100_000_000, 0_u64..1 << 44];
    let share = || prop_oneof![Just(0), Just(1), 0_u64..1_100];
    let step = prop_oneof![
        wait.prop_map(Step::Wait),
        share().prop_map(Step::Reserve),
        (share(), 0_u64..4_000).prop_map(|(reserved, used)| Step::Settle(reserved, used)),
    ];
    prop::collection::vec(step, 1..25)
}

/// Requests, tokens and money; small, odd, and as large as they come.
fn quota() -> impl Strategy<Value = Quota> {
    let amount = || {
        prop_oneof![
            1_u64..2_000,
            1_u64..1 << 40,
            any::<u64>().prop_map(|n| n.max(1))
        ]
    };
    let window = prop_oneof![
        Just(60_000_000_000_u64),
        Just(86_400_000_000_000),
        1_u64..31_000_000_000_000_000
    ];
    let limit = (amount(), window, amount(), amount());
    prop::collection::vec(limit, 1..4).prop_map(|limits| {
        let dimensions = [Dimension::Requests, Dimension::Tokens, Dimension::PicoUsd];
        let limits = limits.into_iter().zip(dimensions);
        Quota::new(limits.map(|((amount, window, burst, debt), dimension)| {
            Limit::new(dimension, amount, Duration::from_nanos(window))
                .with_burst(burst)
                .with_debt(debt)
        }))
        .unwrap()
    })
}

/// So many thousandths of each limit's burst.
fn amounts(quota: &Quota, share: u64) -> Amounts {
    quota.limits().iter().fold(Amounts::NONE, |amounts, limit| {
        let amount = u128::from(limit.burst()) * u128::from(share) / 1_000;
        amounts.with(limit.dimension(), u64::try_from(amount).unwrap_or(u64::MAX))
    })
}

async fn run(
    scripts: &Scripts,
    connection: &mut MultiplexedConnection,
    quota: Quota,
    steps: Vec<Step>,
) -> Result<(), TestCaseError> {
    let mut now = 1_900_000_000_000_000_u64;
    let set_clock = |now: u64| {
        let mut call = ::redis::cmd("MSET");
        call.arg("s")
            .arg(now / 1_000_000)
            .arg("us")
            .arg(now % 1_000_000);
        call
    };
    let reset = ::redis::cmd("DEL").arg("a").to_owned();
    reset.exec_async(connection).await.unwrap();
    set_clock(now).exec_async(connection).await.unwrap();
    let buckets = vec![Bucket::default(); quota.limits().len()];
    let mut model = Model {
        quota: quota.clone(),
        buckets,
    };
    for step in steps {
        match step {
            Step::Wait(micros) => {
                now += micros;
                set_clock(now).exec_async(connection).await.unwrap();
            }
            Step::Reserve(share) => {
                let amounts = amounts(&quota, share);
                let call = scripts.reserve("a", &quota, amounts);
                let answer: Vec<u8> = call.invoke_async(connection).await.unwrap();
                let taken = read_reserved(&quota, &answer).unwrap();
                prop_assert_eq!(taken.is_admitted, model.reserve(now * 1_000, amounts));
                prop_assert_eq!(taken.levels, model.backlogs(now * 1_000));
            }
            Step::Settle(reserved, used) => {
                let (reserved, used) = (amounts(&quota, reserved), amounts(&quota, used));
                let call = scripts.settle(&Settle {
                    key: "a".to_owned(),
                    quota: quota.clone(),
                    reserved,
                    used,
                });
                let answer: Vec<u8> = call.invoke_async(connection).await.unwrap();
                let forgiven = model.settle(now * 1_000, reserved, used);
                prop_assert_eq!(read_settled(&quota, &answer), forgiven);
                let call = scripts.reserve("a", &quota, Amounts::NONE);
                let answer: Vec<u8> = call.invoke_async(connection).await.unwrap();
                let taken = read_reserved(&quota, &answer).unwrap();
                prop_assert_eq!(taken.levels, model.backlogs(now * 1_000));
            }
        }
    }
    Ok(())
}

#[test]
fn the_scripts_decide_and_count_as_the_bucket_does_to_the_last_unit() {
    let Some(server) = Server::start() else {
        return;
    };
    let runtime = Runtime::new().unwrap();
    let scripts = Scripts::with_fake_clock();
    let connection = runtime.block_on(server.connect());
    proptest!(ProptestConfig::with_cases(64), |(quota in quota(), steps in steps())| {
        runtime.block_on(run(&scripts, &mut connection.clone(), quota, steps))?;
    });
}

#[tokio::test]
async fn a_clock_that_goes_back_gives_nothing_back_and_locks_nobody_out() {
    let Some(server) = Server::start() else {
        return;
    };
    let mut connection = server.connect().await;
    let scripts = Scripts::with_fake_clock();
    let quota = Quota::new([Limit::tokens(60, Duration::from_secs(60))]).unwrap();
    let mut backlogs = Vec::new();
    for (seconds, tokens) in [(10_000, 40), (1_000, 10), (1_030, 0)] {
        let mut clock = ::redis::cmd("MSET");
        clock.arg("s").arg(seconds).arg("us").arg(0);
        clock.exec_async(&mut connection).await.unwrap();
        let amounts = Amounts::NONE.with(Dimension::Tokens, tokens);
        let call = scripts.reserve("a", &quota, amounts);
        let answer: Vec<u8> = call.invoke_async(&mut connection).await.unwrap();
        let taken = read_reserved(&quota, &answer).unwrap();
        assert!(taken.is_admitted);
        backlogs.push(taken.levels.get(&quota, 0).unwrap().used);
    }
    assert_eq!(backlogs, [40, 50, 20]);
}
