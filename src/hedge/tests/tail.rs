//! What it is for.

use http_body_util::BodyExt;

use super::*;
use crate::random::Random;

const REQUESTS: u64 = 4000;

/// Answers within 80 to 120 ms, and one in twenty within 800 to 1200.
fn with_a_tail(name: &'static str, seed: u64) -> Upstream {
    let random = Random::seeded(seed);
    Upstream::new(name, move |_| {
        let slow = random.next() % 100 < 5;
        let millis = 80 + random.next() % 41;
        stream_after(if slow { 10 * millis } else { millis })
    })
}

/// The times to the first output that callers saw, in milliseconds, in order.
async fn times(hedge: &Hedge<Target>) -> Vec<u128> {
    let mut times = Vec::new();
    for _ in 0..REQUESTS {
        let start = Instant::now();
        let Ok(response) = hedge.clone().oneshot(chat()).await;
        let mut body = response.into_body();
        while body.frame().await.unwrap().unwrap().into_data().unwrap() != TOKEN {}
        times.push(start.elapsed().as_millis());
        body.collect().await.unwrap();
    }
    times.sort_unstable();
    times
}

fn percentile(times: &[u128], percent: usize) -> u128 {
    times[times.len() * percent / 100 - 1]
}

#[tokio::test(start_paused = true)]
async fn the_99th_percentile_falls_by_half_for_one_call_in_twenty() {
    for seed in 1..=3 {
        let upstreams = [with_a_tail("a", seed), with_a_tail("b", seed + 100)];
        let hedge = HedgeLayer::builder().hedge(&targets(&[&upstreams[0], &upstreams[1]]));
        let hedge = hedge.unwrap();
        hedge.handle().set_enabled(false);
        let without = times(&hedge).await;
        hedge.handle().set_enabled(true);
        let with = times(&hedge).await;

        let extra = upstreams[1].calls();
        let [before, after] = [&without, &with].map(|times| percentile(times, 99));
        let tenths = extra * 1000 / REQUESTS;
        let [usual, still] = [&without, &with].map(|times| percentile(times, 50));
        println!(
            "p99 {before} ms without, {after} ms with {}.{} % more calls (median {usual} and {still} ms)",
            tenths / 10,
            tenths % 10,
        );
        assert!(after * 2 <= before, "{after} of {before}");
        assert!(extra * 100 < REQUESTS * 6, "{extra}");
    }
}

#[tokio::test(start_paused = true)]
async fn when_everything_becomes_slow_the_load_is_not_doubled() {
    let slow = Upstream::new("a", |call| {
        stream_after(if call < 1000 { 100 } else { 3000 })
    });
    let other = Upstream::new("b", |_| stream_after(3000));
    let hedge = HedgeLayer::builder()
        .hedge(&targets(&[&slow, &other]))
        .unwrap();
    for _ in 0..2000 {
        ask(&hedge).await;
    }
    assert!(other.calls() <= 10 + 100, "{}", other.calls());
}
