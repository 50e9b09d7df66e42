//! The scripts' sums beside the books'.

use proptest::prelude::*;
use tokio::runtime::Runtime;

use super::*;

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
