//! Who is asked.

use std::collections::HashSet;

use super::*;
use crate::{
    control::{Change, Controls, Parameters},
    key::StickyBy,
    message::{AllowedUpstreams, Effects, Endpoint},
    reserve::AttemptLimit,
    stats::{Availability, Stats},
};

async fn all_asked(
    balance: &Balance<Target>,
    request: impl Fn() -> Request<RequestBody>,
) -> HashSet<String> {
    let mut asked = HashSet::new();
    for _ in 0..40 {
        asked.insert(whole(balance, request()).await);
    }
    asked
}

fn names(names: &[&str]) -> HashSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[tokio::test(start_paused = true)]
async fn what_an_upstream_keeps_stays_with_the_baseline() {
    let balance = balance(BalanceLayer::builder(), &three(1, 1));
    let stored = || with_body(r#"{"model":"fast","store":true}"#);
    assert_eq!(all_asked(&balance, stored).await, names(&["a"]));
    let models = || {
        Request::get("/v1/models")
            .body(RequestBody::empty())
            .unwrap()
    };
    assert_eq!(all_asked(&balance, models).await, names(&["a"]));
    let vouched = || {
        let mut request = models();
        *request.uri_mut() = "/quotes".parse().unwrap();
        request.extensions_mut().insert(Effects::Generate);
        request
    };
    assert_eq!(all_asked(&balance, vouched).await.len(), 3);
    // No sample of how long a member takes.
    let snapshot = balance.handle().snapshot();
    assert_eq!(snapshot.members[0].first_token, None);
}

#[tokio::test(start_paused = true)]
async fn only_those_are_asked_that_serve_it_and_may() {
    let all = three(1, 1);
    let serving = |place: usize, models: &str| {
        let models = models.split(' ').map(|model| model.parse().unwrap());
        all[place].target().models(models)
    };
    let upstreams = Upstreams::builder()
        .add(serving(0, "fast smart"))
        .add(serving(1, "fast"))
        .add(serving(2, "other").endpoints([Endpoint::ChatCompletions, Endpoint::Embeddings]))
        .build()
        .unwrap();
    let balance = BalanceLayer::builder().balance(&upstreams).unwrap();
    assert_eq!(all_asked(&balance, chat).await, names(&["a", "b"]));
    let smart = || with_body(r#"{"model":"smart"}"#);
    assert_eq!(all_asked(&balance, smart).await, names(&["a"]));
    // By whoever knows an alias for it.
    let alias = || with_body(r#"{"model":"an-alias"}"#);
    assert_eq!(all_asked(&balance, alias).await.len(), 3);
    let bound = || {
        let mut request = chat();
        request
            .extensions_mut()
            .insert(AllowedUpstreams::new(["b", "c"]));
        request
    };
    assert_eq!(all_asked(&balance, bound).await, names(&["b"]));
}

#[tokio::test(start_paused = true)]
async fn where_nobody_is_available_the_one_that_is_so_first_says_how_long_that_takes() {
    let all = three(1, 1);
    let stats = Stats::default();
    let balance = balance(BalanceLayer::builder().stats(&stats), &all);
    let now = tokio::time::Instant::now();
    for (name, seconds) in [("a", None), ("b", Some(9)), ("c", Some(5))] {
        let until = seconds.map(|seconds| now + Duration::from_secs(seconds));
        stats
            .availability(name)
            .publish(Availability::Unavailable { until });
    }
    assert_eq!(all_asked(&balance, chat).await, names(&["c"]));
}

#[tokio::test(start_paused = true)]
async fn a_second_attempt_goes_to_another() {
    let balance = balance(BalanceLayer::builder(), &three(1, 1));
    for _ in 0..10 {
        let limit = AttemptLimit::new(9);
        let mut asked = HashSet::new();
        for _ in 0..4 {
            let mut request = chat();
            request.extensions_mut().insert(limit.clone());
            asked.insert(whole(&balance, request).await);
        }
        // And the fourth to anybody.
        assert_eq!(asked.len(), 3);
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_is_drained_is_asked_for_nothing_new_until_it_is_put_back() {
    let balance = balance(BalanceLayer::builder().ramp(Duration::ZERO), &three(1, 1));
    let handle = balance.handle();
    handle.drain("a").unwrap();
    assert_eq!(all_asked(&balance, chat).await, names(&["b", "c"]));
    for name in ["b", "c"] {
        handle.drain(name).unwrap();
    }
    // Better than nobody.
    assert_eq!(all_asked(&balance, chat).await.len(), 3);
    handle.restore("a").unwrap();
    assert_eq!(all_asked(&balance, chat).await, names(&["a"]));
    assert!(handle.snapshot().members[1].is_drained);
    assert!(
        handle
            .drain("d")
            .unwrap_err()
            .to_string()
            .contains("known are a, b, c")
    );
}

#[tokio::test(start_paused = true)]
async fn members_are_shown_and_drained_by_name() {
    let balance = balance(BalanceLayer::builder().ramp(Duration::ZERO), &three(1, 1));
    let controls = Controls::default();
    controls.add("fast", balance.handle());
    let act = |action, json: &str| {
        let with = Parameters::parse(json.as_bytes()).unwrap();
        controls.act(("balances", "fast"), action, with)
    };
    let change = act("drain", r#"{"target":"a"}"#).await;
    assert_eq!(change, Ok(Change::new(Vec::<String>::new(), vec!["a"])));
    let shown = controls.show_kind("balances").unwrap();
    let shown = shown.pointer("/fast/members/0").unwrap();
    assert_eq!(
        (&shown["name"], &shown["drained"]),
        (&"a".into(), &true.into())
    );
    assert_eq!(all_asked(&balance, chat).await, names(&["b", "c"]));
    let change = act("restore", r#"{"target":"a"}"#).await;
    assert_eq!(change, Ok(Change::new(vec!["a"], Vec::<String>::new())));
    assert_eq!(all_asked(&balance, chat).await.len(), 3);
    for (json, reason) in [
        ("{}", "missing field `target`"),
        (r#"{"target":"d"}"#, "known are a, b, c"),
    ] {
        let error = act("drain", json).await.unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_stays_where_its_cache_is_warm_until_that_is_full() {
    let all = three(100, 900);
    let builder = BalanceLayer::builder().sticky(StickyBy::user());
    let balance = balance(builder, &all);
    let of = |user: &str| {
        with_body(format!(
            r#"{{"model":"fast","stream":true,"user":"{user}"}}"#
        ))
    };
    let mut homes = HashSet::new();
    for number in 0..20 {
        let user = format!("user-{number}");
        let home = whole(&balance, of(&user)).await;
        for _ in 0..3 {
            assert_eq!(whole(&balance, of(&user)).await, home);
        }
        homes.insert(home);
    }
    assert_eq!(homes.len(), 3);

    let mut held = Vec::new();
    let mut counts = std::collections::HashMap::<String, u32>::new();
    for _ in 0..60 {
        let (upstream, response) = ask(&balance, of("user-1")).await;
        *counts.entry(upstream).or_default() += 1;
        held.push(response);
    }
    // 1.25 times a third of 60.
    assert!(
        counts.values().all(|count| (10..=25).contains(count)),
        "{counts:?}"
    );
    assert_eq!(counts.values().max(), Some(&25));
}

#[tokio::test(start_paused = true)]
async fn the_layer_balances_between_a_service_and_targets() {
    let all = three(1, 1);
    let others = targets(&all[1..]);
    let layer = BalanceLayer::builder()
        .baseline("own")
        .build(&others)
        .unwrap();
    let own = service_fn(|request: Request<RequestBody>| async move {
        let chosen = request
            .extensions()
            .get::<crate::message::Chosen>()
            .unwrap();
        assert_eq!(chosen.as_str(), "own");
        Err::<Response<ResponseBody>, _>("of its own kind")
    });
    let service = tower::Layer::layer(&layer, own);
    let mut failed = 0;
    for _ in 0..30 {
        let answered = service.clone().oneshot(chat()).await;
        failed += usize::from(answered.is_err_and(|error| error == "of its own kind"));
    }
    assert!(failed > 0);
}

#[tokio::test(start_paused = true)]
async fn one_that_takes_the_place_of_another_knows_its_members_and_lets_new_ones_start_slowly() {
    let all = three(100, 400);
    let before = balance(BalanceLayer::builder(), &all[..2]);
    let (_, held) = ask(&before, chat()).await;
    before.handle().drain("a").unwrap();
    let handle = before.handle();
    let balance = balance(BalanceLayer::builder().continuing(Some(&handle)), &all);
    let members = balance.handle().snapshot().members;
    let in_flight = |members: &[MemberSnapshot]| members.iter().map(|m| m.in_flight).sum::<u32>();
    assert_eq!(in_flight(&members), 1);
    assert!(members[0].is_drained && members[2].admitted < 0.2);
    drop((before, held));
    assert_eq!(in_flight(&balance.handle().snapshot().members), 0);
}
