//! What holds whatever callers do.

use std::sync::{Arc, Mutex};

use proptest::{collection::vec, prelude::*};
use tokio::{
    runtime::Runtime,
    time::{Instant, sleep, timeout},
};

use super::*;
use crate::{
    message::{ApiError, Dialect, Reason, Rejection},
    reserve::{Bucket, Level},
};

/// What becomes of a request that is let in.
#[derive(Debug, Clone, Copy)]
enum End {
    /// It uses so many tokens.
    Answered(u64),
    Failed,
    RefusedFurtherIn,
    NotBegun,
    LeftOnItsWay,
    BodyDropped,
}

#[derive(Debug, Clone)]
struct Call {
    after: Duration,
    reserves: u64,
    lasts: Duration,
    end: End,
}

/// What was taken at a moment, or given back.
#[derive(Debug, Clone, Copy)]
struct Flow {
    at: Duration,
    is_admission: bool,
    /// Requests and tokens.
    amounts: [i64; 2],
}

fn call() -> impl Strategy<Value = Call> {
    let end = prop_oneof![
        4 => (0_u64..600).prop_map(End::Answered),
        1 => Just(End::Failed),
        1 => Just(End::RefusedFurtherIn),
        1 => Just(End::NotBegun),
        1 => Just(End::LeftOnItsWay),
        1 => Just(End::BodyDropped),
    ];
    let millis = |most: u64| prop_oneof![Just(0), 0..most].prop_map(Duration::from_millis);
    (millis(9_000), 0_u64..300, millis(100_000), end).prop_map(|(after, reserves, lasts, end)| {
        Call {
            after,
            reserves,
            lasts,
            end,
        }
    })
}

fn paused() -> Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_time().start_paused(true).build().unwrap()
}

/// Has all `calls` made, and says what flowed and what is used at the end.
async fn run(builder: RateLimitBuilder, calls: Vec<Call>) -> (Vec<Flow>, Vec<u64>) {
    let start = Instant::now();
    let layer = builder.build().unwrap();
    let flows: Arc<Mutex<Vec<Flow>>> = Arc::default();
    let flow = move |is_admission, requests, tokens: i64| Flow {
        at: start.elapsed(),
        is_admission,
        amounts: [requests, tokens],
    };
    let mut tasks = Vec::new();
    let mut comes = Duration::ZERO;
    for call in calls {
        comes += call.after;
        let (lasts, end) = (call.lasts, call.end);
        let reserved = i64::try_from(call.reserves).unwrap();
        let flows = Arc::clone(&flows);
        let admitted = Arc::new(Mutex::new(false));
        let (log, admits) = (Arc::clone(&flows), Arc::clone(&admitted));
        let mut service = layer.layer(tower::service_fn(move |_: Request<RequestBody>| {
            *admits.lock().unwrap() = true;
            log.lock().unwrap().push(flow(true, 1, reserved));
            async move {
                sleep(lasts).await;
                Ok::<_, Infallible>(match end {
                    End::Answered(tokens) => answer(0, tokens),
                    End::RefusedFurtherIn => {
                        let rejection = Rejection::new("test", Reason::CircuitOpen);
                        rejection.into_response(&ApiError::invalid_request("x"), Dialect::default())
                    }
                    End::LeftOnItsWay => std::future::pending().await,
                    End::NotBegun | End::BodyDropped => answer(0, 1),
                    End::Failed => {
                        let mut failed = answer(0, 1);
                        *failed.status_mut() = http::StatusCode::BAD_GATEWAY;
                        failed
                    }
                })
            }
        }));
        tasks.push(tokio::spawn(async move {
            sleep(comes).await;
            let _ = service.ready().await;
            let asked = service.call(chat(call.reserves));
            let (requests, tokens) = match end {
                End::NotBegun => {
                    drop(asked);
                    (-1, -reserved)
                }
                End::LeftOnItsWay => {
                    assert!(timeout(lasts, asked).await.map_or(true, |refused| {
                        refused.is_ok_and(|refused| refused.status() == 429)
                    }));
                    (0, -reserved)
                }
                End::Answered(used) => {
                    let _ = crate::testing::read(asked.await.unwrap()).await;
                    (0, i64::try_from(used).unwrap() - reserved)
                }
                End::Failed | End::BodyDropped => {
                    drop(asked.await);
                    (0, -reserved)
                }
                End::RefusedFurtherIn => {
                    drop(asked.await);
                    (-1, -reserved)
                }
            };
            if *admitted.lock().unwrap() {
                flows.lock().unwrap().push(flow(false, requests, tokens));
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(layer.handle().waiting(), 0);
    let used = used(&layer.handle()).await;
    let flows = flows.lock().unwrap().clone();
    (flows, used)
}

/// What one bucket of `limit` says that saw the same.
fn replayed(limit: &Limit, flows: &[Flow], dimension: usize, end: Duration) -> u64 {
    let nanos = |at: Duration| u64::try_from(at.as_nanos()).unwrap();
    let mut bucket = Bucket::default();
    for flow in flows {
        let amount = flow.amounts[dimension];
        let absolute = amount.unsigned_abs();
        if flow.is_admission {
            bucket.take(limit, nanos(flow.at), absolute);
        } else if amount > 0 {
            assert_eq!(bucket.charge(limit, nanos(flow.at), absolute), 0);
        } else {
            bucket.give_back(limit, absolute);
        }
    }
    Level::of(*limit, bucket.backlog(limit, nanos(end))).used
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Over any span, what is taken less what is given back is at most the burst and what flowed in; and whatever ends in whichever way
    /// is settled once, with what it used.
    #[test]
    fn over_any_span_burst_and_rate_hold_and_every_end_settles_to_the_token(
        requests in 1_u64..40,
        tokens in 300_u64..3_000,
        waits in any::<bool>(),
        calls in vec(call(), 1..60),
    ) {
        let limits = [Limit::requests(requests, MINUTE), Limit::tokens(tokens, MINUTE).with_debt(1 << 40)];
        let wait = if waits { MINUTE * 3 } else { Duration::ZERO };
        let builder = limited(1, 1).quota(Quota::new(limits).unwrap()).wait(wait);
        let (flows, end, used) = paused().block_on(async {
            let start = Instant::now();
            let (flows, used) = run(builder, calls).await;
            (flows, start.elapsed(), used)
        });
        for (dimension, limit) in limits.iter().enumerate() {
            prop_assert_eq!(replayed(limit, &flows, dimension, end), used[dimension]);
            for (index, first) in flows.iter().enumerate().filter(|(_, flow)| flow.is_admission) {
                let mut sum = 0;
                for flow in &flows[index..] {
                    sum += i128::from(flow.amounts[dimension]);
                    let flowed = u128::from(limit.amount()) * flow.at.saturating_sub(first.at).as_nanos();
                    let allowed = u128::from(limit.burst()) * MINUTE.as_nanos() + flowed;
                    let taken = u128::try_from(sum).unwrap_or(0) * MINUTE.as_nanos();
                    // Who asks for nothing is let in whatever is owed.
                    let asks = flow.is_admission && flow.amounts[dimension] > 0;
                    prop_assert!(!asks || taken <= allowed, "{sum} from {:?} to {:?}", first.at, flow.at);
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// As long as someone waits, nothing of the rate goes unused.
    #[test]
    fn who_waits_gets_all_that_the_rate_allows(
        limit in 300_u64..1_500,
        sizes in vec(1_u64..120, 20),
        lasts in vec(0_u64..100, 20),
    ) {
        let largest = sizes.iter().copied().max().unwrap();
        // Time for everyone's turn, and for more than that.
        let minutes = 3 + sizes.iter().sum::<u64>() / limit;
        let layer = limited(1_000_000, limit).wait(MINUTE * 60).build().unwrap();
        let (least, sum) = paused().block_on(async {
            let taken = Arc::new(Mutex::new(vec![0_u64; sizes.len()]));
            for (caller, (size, lasts)) in sizes.into_iter().zip(lasts).enumerate() {
                let taken = Arc::clone(&taken);
                let service = layer.layer(tower::service_fn(move |_: Request<RequestBody>| {
                    taken.lock().unwrap()[caller] += size;
                    async move {
                        sleep(Duration::from_millis(lasts)).await;
                        Ok::<_, Infallible>(answer(0, size))
                    }
                }));
                tokio::spawn(async move {
                    loop {
                        assert_eq!(send(&service, chat(size)).await.status, 200);
                    }
                });
            }
            sleep(MINUTE * u32::try_from(minutes).unwrap()).await;
            let taken = taken.lock().unwrap();
            (taken.iter().copied().min().unwrap(), taken.iter().sum::<u64>())
        });
        prop_assert!(least > 0, "one of them starved");
        let allowed = limit + limit * minutes;
        prop_assert!((allowed - largest..=allowed).contains(&sum), "{sum} of {allowed}");
    }
}
