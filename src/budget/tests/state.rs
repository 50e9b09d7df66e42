//! The books by themselves.

use proptest::prelude::*;

use super::{
    super::state::{Books, Party, Ticket},
    *,
};
use crate::reserve::Balance;

const DAY: u64 = 86_400;

fn at(second: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_790_000_000 / DAY * DAY + second)
}

fn pico(amount: u128) -> Cost {
    Cost::from_pico_usd(amount)
}

fn budgets(hard: u128) -> [Budget; 2] {
    [
        Budget::new("all", KeyBy::global(), pico(hard), Per::Total),
        Budget::new("key", KeyBy::api_key(), pico(hard / 2), Per::Day),
    ]
}

fn parties(key: &str) -> [Party; 2] {
    [(0, "global".into()), (1, key.into())]
}

#[test]
fn a_request_takes_from_all_budgets_or_from_none() {
    let mut books = Books::new(&budgets(100), 10, at(0));
    let exceeded = books.reserve(at(0), &parties("a"), Some(pico(60)), &[]);
    let exceeded = exceeded.unwrap_err();
    assert_eq!(exceeded.len(), 1);
    assert_eq!(exceeded[0].party, (1, "a".into()));
    assert_eq!(
        books.level(at(0), 0, "global").unwrap().reserved,
        Cost::ZERO
    );
    assert!(
        books
            .reserve(at(0), &parties("a"), Some(pico(50)), &[])
            .is_ok()
    );
    assert!(
        books
            .reserve(at(0), &parties("b"), Some(pico(50)), &[])
            .is_ok()
    );
    assert!(
        books
            .reserve(at(0), &parties("c"), Some(pico(1)), &[])
            .is_err()
    );
}

#[test]
fn keys_that_are_made_up_leave_nothing_and_those_beyond_share() {
    let mut books = Books::new(&budgets(1_000), 2, at(0));
    for number in 0..1_000 {
        let key = number.to_string();
        let ticket = books.reserve(at(0), &parties(&key), Some(pico(1)), &[]);
        books.settle(at(0), &ticket.unwrap(), Cost::ZERO, 0);
    }
    assert!(books.levels(at(0), 1).is_empty());
    for key in ["a", "b", "c", "d"] {
        let ticket = books.reserve(at(0), &parties(key), Some(pico(1)), &[]);
        books.settle(at(0), &ticket.unwrap(), pico(3), 0);
    }
    let levels = books.levels(at(0), 1);
    let spent: Vec<_> = levels
        .iter()
        .map(|(key, level)| (&**key, level.spent.pico_usd()))
        .collect();
    assert_eq!(spent, [("a", 3), ("b", 3), ("other", 6)]);
    assert_eq!(books.level(at(0), 1, "zzz").unwrap().spent, pico(6));
}

#[test]
fn a_key_is_warned_once_in_a_window() {
    let soft = Budget::new("key", KeyBy::api_key(), pico(100), Per::Day).soft(pico(10));
    let mut books = Books::new(&[soft], 10, at(0));
    let party = [(0, "a".into())];
    let mut spend = |second, amount| {
        let ticket = books
            .reserve(at(second), &party, Some(pico(1)), &[])
            .unwrap();
        books.settle(at(second), &ticket, pico(amount), 0).len()
    };
    let warned = [(0, 9), (1, 1), (2, 5), (DAY, 10), (DAY + 1, 1)];
    assert_eq!(
        warned.map(|(second, amount)| spend(second, amount)),
        [0, 1, 0, 1, 0]
    );
}

#[test]
fn no_amount_is_too_large() {
    let mut books = Books::new(&budgets(u128::MAX), 10, at(0));
    let most = pico(u128::MAX / 2);
    for _ in 0..3 {
        let ticket = books.reserve(at(0), &parties("a"), Some(pico(1)), &[]);
        if let Ok(ticket) = ticket {
            books.settle(at(0), &ticket, most, u64::MAX);
        }
    }
    assert!(books.level(at(0), 0, "global").unwrap().spent >= most);
}

#[derive(Debug, Clone)]
enum Step {
    Reserve { key: u8, amount: u16 },
    Settle { which: usize, spent: u16 },
    Wait(u32),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..4u8, 0..2_000u16).prop_map(|(key, amount)| Step::Reserve { key, amount }),
        4 => (any::<usize>(), 0..2_500u16).prop_map(|(which, spent)| Step::Settle { which, spent }),
        1 => (0..100_000u32).prop_map(Step::Wait),
    ];
    prop::collection::vec(step, 0..80)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// In whatever order: what is reserved is that of the open requests, what is spent that of the settled ones of the window, and what
    /// was admitted never goes beyond the limit by more than the estimates were wrong.
    #[test]
    fn money_is_conserved(steps in steps()) {
        const HARD: u128 = 6_000;
        let mut books = Books::new(&budgets(HARD), 100, at(0));
        let mut open: Vec<(Ticket, String, u128, u64)> = Vec::new();
        let (mut now, mut spent_in_all, mut error) = (0u64, 0u128, 0u128);
        let mut spent_by_key = std::collections::HashMap::<String, u128>::new();
        for step in steps {
            let day = now / DAY;
            match step {
                Step::Reserve { key, amount } => {
                    let key = key.to_string();
                    let amount = u128::from(amount);
                    let reserved: u128 = open.iter().map(|open| open.2).sum();
                    let of_key: u128 = open.iter().filter(|open| open.1 == key && open.3 == day).map(|open| open.2).sum();
                    let has_room = amount == 0
                        || spent_in_all + reserved + amount <= HARD
                            && spent_by_key.get(&key).copied().unwrap_or(0) + of_key + amount <= HARD / 2;
                    let ticket = books.reserve(at(now), &parties(&key), Some(pico(amount)), &[]);
                    prop_assert_eq!(ticket.is_ok(), has_room);
                    if let Ok(ticket) = ticket {
                        open.push((ticket, key, amount, day));
                    }
                }
                Step::Settle { which, spent } if !open.is_empty() => {
                    let (ticket, key, amount, reserved_on) = open.swap_remove(which % open.len());
                    let spent = u128::from(spent);
                    books.settle(at(now), &ticket, pico(spent), 0);
                    spent_in_all += spent;
                    error += spent.saturating_sub(amount);
                    if reserved_on == day {
                        *spent_by_key.entry(key).or_default() += spent;
                    }
                }
                Step::Settle { .. } => {}
                Step::Wait(seconds) => {
                    now += u64::from(seconds);
                    if now / DAY != day {
                        spent_by_key.clear();
                    }
                }
            }
            let day = now / DAY;
            let all = books.level(at(now), 0, "global").unwrap();
            prop_assert_eq!(all.spent, pico(spent_in_all));
            prop_assert_eq!(all.reserved, pico(open.iter().map(|open| open.2).sum()));
            prop_assert!((all.spent + all.reserved).pico_usd() <= HARD + error);
            for key in 0..4u8 {
                let key = key.to_string();
                let level = books.level(at(now), 1, &key).unwrap();
                prop_assert_eq!(level.spent.pico_usd(), spent_by_key.get(&key).copied().unwrap_or(0));
                let reserved = open.iter().filter(|open| open.1 == key && open.3 == day).map(|open| open.2).sum();
                prop_assert_eq!(level.reserved, pico(reserved));
            }
        }
        for (ticket, ..) in open.drain(..) {
            books.settle(at(now), &ticket, Cost::ZERO, 0);
        }
        prop_assert_eq!(books.level(at(now), 0, "global").unwrap().reserved, Cost::ZERO);
    }
}

#[test]
fn without_the_store_a_replica_has_its_share_of_what_was_left_when_it_was_heard() {
    let mut books = Books::new(&budgets(1_000), 10, at(0));
    let parties = parties("a");
    let claims = books.claims(at(0), &parties, &[]);
    assert_eq!(
        claims
            .iter()
            .map(|claim| (&*claim.account, &*claim.window, claim.limit))
            .collect::<Vec<_>>(),
        [
            ("all/global", "total", Some(pico(1_000))),
            ("key/a", "day 20717", Some(pico(500)))
        ]
    );
    assert_eq!((claims[0].ends, claims[1].ends % (DAY * 1_000)), (0, 0));
    let balance = |spent| Balance {
        spent: pico(spent),
        ..Balance::default()
    };
    books.hear(at(0), &parties, &claims, &[balance(400), balance(100)]);
    // Of 600 and 400 that are left, a fourth each: 150 and 100.
    let mut reserve = |amount| books.reserve_alone(at(0), &parties, Some(pico(amount)), &[], 4);
    assert_eq!(reserve(101).unwrap_err()[0].party.0, 1);
    assert!(reserve(60).is_ok() && reserve(40).is_ok() && reserve(1).is_err());
    assert!(reserve(0).is_ok());
    books.settle_alone(at(0), &parties, pico(60), pico(10));
    let mut reserve = |amount| books.reserve_alone(at(0), &parties, Some(pico(amount)), &[], 4);
    assert!(reserve(50).is_ok() && reserve(1).is_err());
    // What the store says next holds, of its own window alone.
    books.hear(at(0), &parties, &claims, &[balance(500), balance(200)]);
    assert_eq!(books.level(at(0), 1, "a").unwrap().spent, pico(200));
    books.hear(at(DAY), &parties, &claims, &[balance(600), balance(300)]);
    assert_eq!(books.level(at(DAY), 0, "global").unwrap().spent, pico(600));
    assert_eq!(books.level(at(DAY), 1, "a").unwrap().spent, Cost::ZERO);
}
