use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use tokio::time::{Instant, sleep};

use super::*;

/// A thousand callers against 10,000 tokens a minute, over ten minutes of simulated time. What they reserve is wrong in both
/// directions: between a fourth and four times as much is used.
#[tokio::test(start_paused = true)]
async fn a_thousand_callers_whose_estimates_are_wrong_stay_within_the_limit_and_its_debt() {
    const LIMIT: u64 = 10_000;
    const MINUTES: u64 = 10;
    let settled = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&settled);
    let inner = tower::service_fn(move |request: Request<RequestBody>| {
        let settled = Arc::clone(&counted);
        async move {
            let reserved = request.body().max_output_tokens().unwrap();
            let used = match reserved % 7 {
                0..=2 => reserved / 4,
                3 | 4 => reserved,
                5 => reserved * 2,
                _ => reserved * 4,
            };
            sleep(Duration::from_millis(200 + 37 * (reserved % 50))).await;
            settled.fetch_add(used, Ordering::Relaxed);
            Ok::<_, Infallible>(answer(0, used))
        }
    });
    let layer = limited(1_000_000, LIMIT)
        .wait(MINUTE)
        .max_waiting(600, 600)
        .build()
        .unwrap();
    let service = layer.layer(inner);
    let end = Instant::now() + MINUTE * u32::try_from(MINUTES).unwrap();
    let callers: Vec<_> = (0..1_000_u64)
        .map(|caller| {
            let service = service.clone();
            tokio::spawn(async move {
                let mut asked = caller;
                while Instant::now() < end {
                    asked = asked * 31 % 997 + 1;
                    let head = send(&service, chat(20 + asked % 200)).await;
                    let wait = head
                        .headers
                        .get("retry-after")
                        .map(|wait| Duration::from_secs(wait.to_str().unwrap().parse().unwrap()));
                    sleep(wait.unwrap_or_default().max(Duration::from_secs(20))).await;
                }
            })
        })
        .collect();
    sleep(end - Instant::now()).await;
    let used = settled.load(Ordering::Relaxed);
    let forgiven = layer.handle().local().unwrap().forgiven();
    let allowed = LIMIT + LIMIT * MINUTES;
    println!(
        "settled {used} of {allowed} tokens (burst and ten minutes), overshoot {}, debt at most {LIMIT}, forgiven {forgiven}",
        used.saturating_sub(allowed)
    );
    assert!(used <= allowed + LIMIT, "{used}");
    assert_eq!(forgiven, 0);
    // The rate is used: what was given back went to others.
    assert!(used >= LIMIT * MINUTES * 95 / 100, "{used}");
    for caller in callers {
        caller.abort();
    }
}
