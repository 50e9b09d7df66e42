//! Limits, beside `governor`'s in the same run.

use std::{
    hint::black_box,
    num::NonZeroU32,
    sync::{Arc, Barrier},
    thread,
    time::Duration,
};

use criterion::{BatchSize, Criterion, criterion_group};
use governor::RateLimiter;
use tokio::time::Instant;
use tower_relay::{
    key::Key,
    reserve::{Account, Amounts, Answer, Limit, Limiter, LocalLimiter, Quota, Reservation},
};

criterion_group!(benches, limits);

const KEYS: u32 = 10_000;

fn reserve(limiter: &LocalLimiter, account: &Account, quota: &Quota, amounts: Amounts) -> bool {
    let Answer::Now(Some(decision)) = limiter.reserve(account, quota, amounts) else {
        panic!("an answer at once")
    };
    assert!(decision.is_admitted());
    decision.shared
}

fn key(number: u32) -> Key {
    Key::secret("api_key", &number.to_le_bytes())
}

fn limits(c: &mut Criterion) {
    let mut group = c.benchmark_group("limit");
    // Never full: what is measured is an admission.
    let hour = Duration::from_secs(3_600);
    let most = u64::MAX / 4;
    let quota = Quota::new([Limit::requests(most, hour), Limit::tokens(most, hour)]).unwrap();
    let limiter = Arc::new(LocalLimiter::default());
    let account = Account::new(key(7));
    let amounts = Amounts::request().with_tokens(500, 1_000);
    for number in 0..KEYS {
        reserve(&limiter, &Account::new(key(number)), &quota, amounts);
    }

    group.bench_function("reserve", |b| {
        b.iter(|| reserve(&limiter, black_box(&account), &quota, amounts));
    });
    let keys: Vec<_> = (0..KEYS).map(key).collect();
    let mut next = keys.iter().cycle();
    group.bench_function("reserve_any_of_10000_keys_with_hashing", |b| {
        b.iter(|| {
            let account = Account::new(next.next().unwrap().clone());
            reserve(&limiter, black_box(&account), &quota, amounts)
        });
    });
    let held = || {
        let limiter: Arc<dyn Limiter> = Arc::clone(&limiter) as _;
        Reservation::new(limiter, account.clone(), quota.clone(), amounts, false)
    };
    let used = Amounts::request().with_tokens(480, 311);
    group.bench_function("settle", |b| {
        b.iter_batched(
            held,
            |held| held.settle(black_box(used)),
            BatchSize::SmallInput,
        );
    });
    group.bench_function("two_threads_on_one_key", |b| {
        b.iter_custom(|rounds| {
            two_threads(rounds, || {
                reserve(&limiter, black_box(&account), &quota, amounts);
            })
        });
    });

    let governed = governor::Quota::per_second(NonZeroU32::MAX).allow_burst(NonZeroU32::MAX);
    let keyed = RateLimiter::keyed(governed);
    for number in 0..KEYS {
        keyed.check_key(&key(number)).unwrap();
    }
    let one = key(7);
    group.bench_function("governor_check_key", |b| {
        b.iter(|| keyed.check_key(black_box(&one)).is_ok());
    });
    let mut next = keys.iter().cycle();
    group.bench_function("governor_check_any_of_10000_keys", |b| {
        b.iter(|| keyed.check_key(black_box(next.next().unwrap())).is_ok());
    });
    group.bench_function("governor_two_threads_on_one_key", |b| {
        b.iter_custom(|rounds| {
            two_threads(rounds, || {
                black_box(keyed.check_key(black_box(&one)).is_ok());
            })
        });
    });
}

/// How long two threads take that each do `rounds`.
fn two_threads(rounds: u64, action: impl Fn() + Sync) -> Duration {
    let barrier = Barrier::new(3);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                barrier.wait();
                (0..rounds).for_each(|_| action());
                barrier.wait();
            });
        }
        barrier.wait();
        let start = Instant::now();
        barrier.wait();
        start.elapsed()
    })
}
