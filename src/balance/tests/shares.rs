//! How the load is shared.

use super::*;
use crate::{
    message::catalog::{ModelCatalog, ModelInfo, ModelTable, Price, Prices},
    stats::{Availability, Stats},
};

#[tokio::test(start_paused = true)]
async fn one_ten_times_slower_soon_gets_next_to_nothing_and_its_share_again_once_it_is_not() {
    let all = three(200, 3000);
    let balance = balance(BalanceLayer::builder(), &all);
    let before = load(&balance, 200, 50).await;
    assert!(percent(&before, "c") >= 25, "{}", percent(&before, "c"));

    all[2].first_token.store(2000, SeqCst);
    let slow = load(&balance, 200, 50).await;
    let settled = load(&balance, 200, 50).await;
    let (within, after) = (percent(&slow[100..], "c"), percent(&settled, "c"));
    println!("10 x slower: {within} % of requests 101 to 200, {after} % of the next 200");
    assert!(within < 5 && after < 5, "{within} {after}");

    all[2].first_token.store(200, SeqCst);
    load(&balance, 600, 50).await;
    let recovered = load(&balance, 200, 50).await;
    println!("30 s after it recovered: {} %", percent(&recovered, "c"));
    assert!(percent(&recovered, "c") >= 25);
}

#[tokio::test(start_paused = true)]
async fn streams_in_flight_are_load_though_their_heads_came_at_once() {
    // As soon with a first token as the others, and ten times as long at it.
    let all = three(200, 2000);
    all[2].rest.store(20_000, SeqCst);
    for policy in [Policy::PeakEwma, Policy::LeastInFlight] {
        let balance = balance(BalanceLayer::builder().policy(policy), &all);
        load(&balance, 600, 50).await;
        let asked = load(&balance, 400, 50).await;
        let share = percent(&asked, "c");
        assert!((2..=10).contains(&share), "{policy:?}: {share}");
    }
}

#[tokio::test(start_paused = true)]
async fn failing_at_once_attracts_nobody_however_busy_the_others_are() {
    for policy in [
        Policy::PeakEwma,
        Policy::LeastInFlight,
        Policy::Cheapest,
        Policy::Weighted,
    ] {
        let all = three(500, 5000);
        let mut builder = BalanceLayer::builder().policy(policy);
        if policy == Policy::Weighted {
            builder = builder.weights([1, 1, 1]);
        }
        let balance = balance(builder, &all);
        load(&balance, 200, 10).await;
        all[2].status.store(500, SeqCst);
        let failed = load(&balance, 400, 10).await;
        let share = percent(&failed[100..], "c");
        assert!(share < 5, "{policy:?}: {share}");

        all[2].status.store(200, SeqCst);
        load(&balance, 600, 10).await;
        // Over the lives of two streams: where all take as long, one wave of them ends with the next.
        let well = percent(&load(&balance, 1100, 10).await, "c");
        assert!(well >= 25, "{policy:?}: {well}");
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_never_has_failed_is_not_preferred_to_one_that_sometimes_does_out_of_proportion() {
    let all = three(100, 100);
    let balance = balance(BalanceLayer::builder(), &all);
    let mut asked = Vec::new();
    for number in 0..2000 {
        let status = if number % 50 == 0 { 500 } else { 200 };
        all[2].status.store(status, SeqCst);
        asked.extend(load(&balance, 1, 20).await);
    }
    assert!(percent(&asked, "c") >= 25, "{}", percent(&asked, "c"));
}

#[tokio::test(start_paused = true)]
async fn one_that_comes_back_starts_slowly() {
    let all = three(100, 400);
    let stats = Stats::default();
    let builder = BalanceLayer::builder().stats(&stats);
    let balance = balance(builder.ramp(Duration::from_secs(20)), &all);
    let cell = stats.availability("c");
    cell.publish(Availability::Unavailable { until: None });
    assert_eq!(percent(&load(&balance, 200, 20).await, "c"), 0);
    cell.publish(Availability::Available);
    let mut shares = Vec::new();
    for _ in 0..6 {
        shares.push(percent(&load(&balance, 250, 20).await, "c"));
    }
    assert!(shares[0] < 20 && shares[1] < 30, "{shares:?}");
    assert!(shares[5] >= 28, "{shares:?}");
}

#[tokio::test(start_paused = true)]
async fn a_member_that_is_probed_gets_a_request_a_second() {
    let all = three(10, 10);
    let stats = Stats::default();
    let balance = balance(BalanceLayer::builder().stats(&stats), &all);
    stats.availability("c").publish(Availability::Probing);
    load(&balance, 100, 50).await;
    assert!((5..=6).contains(&all[2].calls()), "{}", all[2].calls());
}

#[tokio::test(start_paused = true)]
async fn the_cheapest_healthy_member_is_taken_by_its_own_name_for_the_model() {
    let priced = |name: &str, usd: &str| {
        let mut info = ModelInfo::new(name);
        let mut prices = Prices::default();
        prices.base.input = Price::per_million(usd);
        prices.base.output = Price::per_million(usd);
        info.prices = Some(prices);
        info
    };
    let table = [
        priced("small", "1"),
        priced("big", "9"),
        priced("fast", "5"),
    ];
    let all = three(100, 100);
    let own = |place: usize, name: &'static str| {
        all[place]
            .target()
            .own_names(move |_| Some(name.to_owned()))
    };
    let upstreams = Upstreams::builder()
        .add(all[0].target())
        .add(own(1, "big"))
        .add(own(2, "small"))
        .build()
        .unwrap();
    let builder = BalanceLayer::builder().policy(Policy::Cheapest).seed(7);
    let catalog = ModelCatalog::new(ModelTable::from_iter(table));
    let balance = builder.catalog(catalog).balance(&upstreams).unwrap();
    assert_eq!(percent(&load(&balance, 50, 10).await, "c"), 100);
    all[2].status.store(503, SeqCst);
    load(&balance, 50, 10).await;
    let asked = load(&balance, 200, 10).await;
    assert!(percent(&asked, "a") > 90, "{asked:?}");
    assert_eq!(percent(&asked, "b"), 0);
}

#[tokio::test(start_paused = true)]
async fn weights_are_shares_of_the_requests() {
    let all = three(100, 100);
    let builder = BalanceLayer::builder().policy(Policy::Weighted);
    let balance = balance(builder.weights([6, 3, 1]), &all);
    let asked = load(&balance, 2000, 1).await;
    let shares = ["a", "b", "c"].map(|name| percent(&asked, name));
    assert!(
        shares[0].abs_diff(60) < 4 && shares[2].abs_diff(10) < 3,
        "{shares:?}"
    );
}
