use std::{collections::HashMap, sync::Arc, thread, time::Duration};

use proptest::prelude::*;
use tokio::time::advance;

use super::*;
use crate::reserve::{Dimension, Reservation, Verdict};

const MINUTE: Duration = Duration::from_secs(60);

fn account(name: &str) -> Account {
    Account::new(Key::named("test", name))
}

fn tokens(amount: u64) -> Amounts {
    Amounts::request().with_tokens(amount, 0)
}

fn reserve(
    limiter: &Arc<LocalLimiter>,
    name: &str,
    quota: &Quota,
    amount: u64,
) -> Result<Reservation, Verdict> {
    let Answer::Now(Some(decision)) = limiter.reserve(&account(name), quota, tokens(amount)) else {
        panic!("answers at once")
    };
    if !decision.is_admitted() {
        return Err(decision.verdict);
    }
    let limiter: Arc<dyn Limiter> = Arc::clone(limiter) as _;
    let reserved = tokens(amount);
    Ok(Reservation::new(
        limiter,
        account(name),
        quota.clone(),
        reserved,
        decision.place,
    ))
}

fn used(limiter: &LocalLimiter, name: &str, quota: &Quota) -> Vec<u64> {
    let Answer::Now(Some(levels)) = limiter.levels(&account(name), quota) else {
        panic!("answers at once")
    };
    levels.of(quota).map(|level| level.used).collect()
}

#[tokio::test(start_paused = true)]
async fn all_dimensions_are_taken_or_none() {
    let limiter = Arc::new(LocalLimiter::default());
    let quota = Quota::per_minute(10, 100).unwrap();
    reserve(&limiter, "a", &quota, 60)
        .unwrap()
        .settle(tokens(60));
    assert_eq!(
        reserve(&limiter, "a", &quota, 60).unwrap_err(),
        Verdict::Full {
            wait: Duration::from_secs(12),
            limit: 1
        }
    );
    assert_eq!(used(&limiter, "a", &quota), [1, 60]);
    assert_eq!(
        reserve(&limiter, "a", &quota, 101).unwrap_err(),
        Verdict::TooLarge { limit: 1 }
    );
    advance(Duration::from_secs(12)).await;
    reserve(&limiter, "a", &quota, 60)
        .unwrap()
        .settle(tokens(60));
    // Another key is not concerned.
    assert_eq!(used(&limiter, "b", &quota), [0, 0]);
}

#[tokio::test(start_paused = true)]
async fn several_windows_hold_together() {
    let limiter = Arc::new(LocalLimiter::default());
    let day = Duration::from_secs(86_400);
    let quota = Quota::new([Limit::tokens(100, MINUTE), Limit::tokens(150, day)]).unwrap();
    reserve(&limiter, "a", &quota, 100)
        .unwrap()
        .settle(tokens(100));
    advance(MINUTE).await;
    let Err(Verdict::Full { wait, limit: 1 }) = reserve(&limiter, "a", &quota, 100) else {
        panic!("the day's limit holds")
    };
    assert!(wait > Duration::from_secs(3_600 * 7), "{wait:?}");
    reserve(&limiter, "a", &quota, 50)
        .unwrap()
        .settle(tokens(50));
}

#[tokio::test(start_paused = true)]
async fn what_is_dropped_goes_back_and_what_is_settled_stays() {
    let limiter = Arc::new(LocalLimiter::default());
    let quota = Quota::per_minute(10, 100).unwrap();
    drop(reserve(&limiter, "a", &quota, 100).unwrap());
    assert_eq!(used(&limiter, "a", &quota), [0, 0]);
    let owing = reserve(&limiter, "a", &quota, 10).unwrap();
    owing.settle(tokens(170));
    assert_eq!(used(&limiter, "a", &quota), [1, 170]);
    assert_eq!(limiter.forgiven(), 0);
    reserve(&limiter, "b", &quota, 10)
        .unwrap()
        .settle(tokens(1_000));
    assert_eq!(used(&limiter, "b", &quota), [1, 200]);
    assert_eq!(limiter.forgiven(), 800);
}

#[tokio::test(start_paused = true)]
async fn a_quota_that_changes_keeps_what_is_used() {
    let limiter = Arc::new(LocalLimiter::default());
    let small = Quota::per_minute(10, 100).unwrap();
    let large = Quota::per_minute(20, 1_000).unwrap();
    let held = reserve(&limiter, "a", &small, 100).unwrap();
    advance(MINUTE / 2).await;
    assert_eq!(used(&limiter, "a", &large), [0, 50]);
    held.settle(tokens(120));
    assert_eq!(used(&limiter, "a", &large), [0, 70]);
    let hourly = Quota::new([Limit::tokens(5, MINUTE * 60)]).unwrap();
    assert_eq!(used(&limiter, "a", &hourly), [0]);
}

#[tokio::test(start_paused = true)]
async fn only_keys_whose_buckets_are_full_are_forgotten_and_others_share() {
    let limiter = Arc::new(LocalLimiter::new(4));
    let quota = Quota::per_minute(60, 100).unwrap();
    for name in ["a", "b", "c", "d"] {
        reserve(&limiter, name, &quota, 100)
            .unwrap()
            .settle(tokens(100));
    }
    // No one may go, so the newcomers share: the second finds used what the first took.
    let first = reserve(&limiter, "e", &quota, 80).unwrap();
    assert!(reserve(&limiter, "f", &quota, 80).is_err());
    assert_eq!(limiter.overflowed(), 2);
    for name in ["a", "b", "c", "d"] {
        assert_eq!(used(&limiter, name, &quota)[1], 100);
    }
    first.settle(tokens(0));
    reserve(&limiter, "f", &quota, 80)
        .unwrap()
        .settle(tokens(0));
    advance(MINUTE).await;
    reserve(&limiter, "g", &quota, 80)
        .unwrap()
        .settle(tokens(80));
    assert_eq!(used(&limiter, "g", &quota)[1], 80);
    assert_eq!(limiter.keys().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_debt_of_a_key_that_was_forgotten_meanwhile_is_not() {
    let limiter = Arc::new(LocalLimiter::new(1));
    let quota = Quota::per_minute(60, 100).unwrap();
    let long = reserve(&limiter, "a", &quota, 10).unwrap();
    advance(MINUTE).await;
    drop(reserve(&limiter, "b", &quota, 10).unwrap());
    assert_eq!(used(&limiter, "a", &quota), [0, 0]);
    long.settle(tokens(60));
    assert_eq!(used(&limiter, "a", &quota)[1], 50);
}

#[tokio::test(start_paused = true)]
async fn a_reset_fills_the_buckets() {
    let limiter = Arc::new(LocalLimiter::default());
    let quota = Quota::per_minute(10, 100).unwrap();
    reserve(&limiter, "a", &quota, 100)
        .unwrap()
        .settle(tokens(100));
    limiter.reset(&account("a")).await;
    assert_eq!(used(&limiter, "a", &quota), [0, 0]);
}

#[test]
fn threads_that_reserve_and_settle_conserve_every_token() {
    // So slow that nothing flows back while the test runs: a token takes a year.
    let limit =
        |dimension| Limit::new(dimension, 1, Duration::from_secs(31_000_000)).with_burst(1 << 40);
    let quota = Quota::new([limit(Dimension::Requests), limit(Dimension::Tokens)]).unwrap();
    let limiter = Arc::new(LocalLimiter::default());
    thread::scope(|scope| {
        for thread in 0..4_u64 {
            let (limiter, quota) = (Arc::clone(&limiter), quota.clone());
            scope.spawn(move || {
                let mut held = Vec::new();
                for round in 0..2_000_u64 {
                    let name = ["a", "b"][usize::try_from(round % 2).unwrap()];
                    held.push(
                        reserve(&limiter, name, &quota, 1 + (round * 7 + thread) % 13).unwrap(),
                    );
                    if round % 3 == 0 {
                        let at = usize::try_from(round * 5).unwrap() % held.len();
                        held.swap_remove(at).settle(tokens(5));
                    }
                }
                for reservation in held {
                    reservation.settle(tokens(5));
                }
            });
        }
    });
    for name in ["a", "b"] {
        let Answer::Now(Some(levels)) = limiter.levels(&account(name), &quota) else {
            panic!("answers at once")
        };
        let used: Vec<_> = levels.of(&quota).map(|level| level.used).collect();
        assert_eq!(used, [4_000, 20_000]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn no_new_key_ever_changes_what_a_known_one_has_used(
        max in 1_usize..40,
        names in prop::collection::vec(0_u32..200, 1..300),
    ) {
        let limit = Limit::tokens(1, Duration::from_secs(31_000_000)).with_burst(1 << 30);
        let quota = Quota::new([limit]).unwrap();
        let limiter = Arc::new(LocalLimiter::new(max));
        let mut own = HashMap::new();
        for name in names {
            let name = name.to_string();
            let Answer::Now(Some(decision)) = limiter.reserve(&account(&name), &quota, tokens(3)) else {
                panic!("answers at once")
            };
            prop_assert!(decision.is_admitted());
            if decision.place == Place::Own {
                *own.entry(name).or_insert(0) += 3;
            }
        }
        prop_assert!(own.len() <= max);
        prop_assert_eq!(limiter.keys().len(), own.len());
        for (name, taken) in own {
            prop_assert_eq!(used(&limiter, &name, &quota), [taken]);
        }
    }
}

/// Newcomers flood in, with time enough between them that most may be forgotten again, while a thousand keys stay busy.
async fn flood(newcomers: u64, max_keys: usize) -> Arc<LocalLimiter> {
    let limiter = Arc::new(LocalLimiter::new(max_keys));
    let slow = Limit::tokens(1, Duration::from_secs(31_000_000)).with_burst(1 << 40);
    let busy = Quota::new([slow]).unwrap();
    let quota = Quota::per_minute(600, 100_000).unwrap();
    let mut rounds = 0;
    for newcomer in 0..newcomers {
        if newcomer % 10_000 == 0 {
            rounds += 1;
            for name in 0..1_000 {
                let name = format!("busy-{name}");
                let held = reserve(&limiter, &name, &busy, 3).unwrap();
                held.settle(tokens(2));
            }
        }
        if newcomer % 100 == 0 {
            advance(Duration::from_millis(1)).await;
        }
        let account = Account::new(Key::secret("test", &newcomer.to_le_bytes()));
        drop(limiter.reserve(&account, &quota, tokens(10)));
    }
    assert!(limiter.keys().len() <= max_keys);
    for name in 0..1_000 {
        let name = format!("busy-{name}");
        assert_eq!(used(&limiter, &name, &busy), [2 * rounds], "{name}");
    }
    limiter
}

#[tokio::test(start_paused = true)]
async fn busy_keys_keep_their_state_in_a_flood_of_new_ones() {
    flood(60_000, 20_000).await;
}

/// The memory of this process, in bytes.
fn memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(
        line.trim()
            .strip_suffix(" kB")?
            .trim()
            .parse::<u64>()
            .ok()?
            * 1024,
    )
}

#[tokio::test(start_paused = true)]
#[ignore = "takes a minute: cargo test --release ten_million -- --ignored --nocapture"]
async fn ten_million_keys_take_no_more_memory_than_a_hundred_thousand() {
    let Some(before) = memory() else {
        println!("skipped: this system does not tell how much memory a process takes");
        return;
    };
    let limiter = flood(10_000_000, LocalLimiter::MAX_KEYS).await;
    let taken = memory().unwrap_or(u64::MAX).saturating_sub(before);
    println!(
        "10,000,000 keys: {} held, {} had to share, {} MB",
        limiter.keys().len(),
        limiter.overflowed(),
        taken >> 20
    );
    assert!(taken < 64 << 20, "{taken} bytes");
}
