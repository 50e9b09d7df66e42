//! Windows that end, clocks that are set, runs that end.

use super::*;
use crate::ledger::Record;

fn layer(budget: Budget, hands: &Hands) -> BudgetLayer {
    let builder = BudgetLayer::builder().budget(budget);
    builder.clock(hands.clock()).build().unwrap()
}

fn spent(layer: &BudgetLayer) -> Cost {
    layer.handle().level("team", &growth()).unwrap().spent
}

#[tokio::test(start_paused = true)]
async fn a_budget_is_renewed_at_the_first_moment_of_its_window() {
    let hands = Hands::at("2026-11-30T23:59:59Z");
    let layer = layer(team("0.0081"), &hands);
    read(send(&layer, ask("gpt-4.1", 1_000)).await).await;
    assert_eq!(send(&layer, ask("gpt-4.1", 1_000)).await.status(), 429);
    let level = layer.handle().level("team", &growth()).unwrap();
    let renewed = crate::wire::rfc3339::parse("2026-12-01T00:00:00Z");
    assert_eq!(level.renewed_at, renewed);
    hands.set("2026-12-01T00:00:00Z");
    assert_eq!(spent(&layer), Cost::ZERO);
    assert_eq!(send(&layer, ask("gpt-4.1", 1_000)).await.status(), 200);
}

#[tokio::test(start_paused = true)]
async fn a_request_counts_in_the_window_in_which_it_was_admitted() {
    let hands = Hands::at("2026-11-30T23:59:59Z");
    let layer = layer(team("1"), &hands);
    let over_midnight = send(&layer, ask("gpt-4.1", 1_000)).await;
    hands.set("2026-12-01T00:00:01Z");
    let of_december = send(&layer, ask("gpt-4.1", 1_000)).await;
    read(over_midnight).await;
    let level = layer.handle().level("team", &growth()).unwrap();
    assert_eq!(level.spent, Cost::ZERO);
    assert!(level.reserved > Cost::ZERO);
    read(of_december).await;
    assert_eq!(spent(&layer), usd("0.0028"));
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_steps_back_does_not_renew_and_one_that_was_wrong_does_not_hold() {
    let hands = Hands::at("2026-11-30T23:59:59Z");
    let layer = layer(team("1"), &hands);
    hands.set("2026-12-01T00:00:00Z");
    read(send(&layer, ask("gpt-4.1", 10)).await).await;
    hands.set("2026-11-30T23:59:59Z");
    assert_eq!(spent(&layer), usd("0.0028"));
    hands.set("2026-12-01T00:00:00Z");
    assert_eq!(spent(&layer), usd("0.0028"));

    // Years ahead by mistake, and back.
    hands.set("2036-12-01T00:00:00Z");
    read(send(&layer, ask("gpt-4.1", 10)).await).await;
    hands.set("2026-12-02T00:00:00Z");
    assert_eq!(spent(&layer), usd("0.0028"));
    hands.set("2027-01-01T00:00:00Z");
    assert_eq!(spent(&layer), Cost::ZERO);
}

#[tokio::test(start_paused = true)]
async fn what_an_earlier_run_spent_in_this_window_is_found_again() {
    let hands = Hands::at("2026-11-21T12:00:00Z");
    let budget = || team("1").soft(usd("0.5"));
    let layer = layer(budget(), &hands);
    let record = |time: &str, key: &str, cost| {
        let time = crate::wire::rfc3339::parse(time).unwrap();
        let mut record = Record::new(time, "r", "u".into());
        record.budgets.insert("team", key);
        record.budgets.insert("forgotten", "x");
        record.cost_usd = cost;
        record
    };
    layer.handle().recover([
        record("2026-10-31T23:59:59Z", "header:growth", Some(usd("9"))),
        record("2026-11-01T00:00:00Z", "header:growth", Some(usd("0.25"))),
        record("2026-11-21T11:59:59Z", "header:growth", Some(usd("0.5"))),
        record("2026-11-21T11:59:59Z", "header:growth", None),
        record("2026-11-21T11:59:59Z", "header:other", Some(Cost::ZERO)),
    ]);
    let levels = layer.handle().levels("team");
    assert_eq!(levels.len(), 1);
    assert_eq!((levels[0].spent, levels[0].unpriced), (usd("0.75"), 1));
    let since = layer.handle().since();
    assert_eq!(since, crate::wire::rfc3339::parse("2026-11-01T00:00:00Z"));
    let warned = send(&layer, ask("gpt-4.1", 10)).await;
    assert!(warned.headers().contains_key(X_RELAY_BUDGET_WARNING));
}

#[tokio::test(start_paused = true)]
async fn a_budget_for_ever_asks_for_all_records() {
    let total = Budget::new("team", KeyBy::global(), usd("1"), Per::Total);
    let layer = BudgetLayer::builder()
        .budgets([
            total,
            Budget::new("day", KeyBy::global(), usd("1"), Per::Day),
        ])
        .build()
        .unwrap();
    assert_eq!(layer.handle().since(), None);
}
