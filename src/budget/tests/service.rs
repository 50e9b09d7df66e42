//! One request and what it is charged.

use tower_service::Service;

use super::*;

fn level(layer: &BudgetLayer) -> BudgetLevel {
    layer.handle().level("team", &growth()).unwrap()
}

fn one(budget: Budget) -> BudgetLayer {
    BudgetLayer::builder().budget(budget).build().unwrap()
}

#[tokio::test(start_paused = true)]
async fn an_estimate_is_reserved_and_the_real_cost_settled() {
    let layer = one(team("1"));
    let response = send(&layer, ask("gpt-4.1", 1_000)).await;
    let reserved = level(&layer).reserved;
    assert!(
        reserved >= usd("0.008") && reserved < usd("0.0081"),
        "{reserved}"
    );
    assert_eq!(level(&layer).left, usd("1").saturating_sub(reserved));
    read(response).await;
    let after = level(&layer);
    assert_eq!((after.spent, after.reserved), (usd("0.0028"), Cost::ZERO));
}

#[tokio::test(start_paused = true)]
async fn what_a_budget_has_no_room_for_is_refused_for_good() {
    let layer = one(team("0.01"));
    read(send(&layer, ask("gpt-4.1", 1_000)).await).await;
    let refused = send(&layer, ask("gpt-4.1", 1_000)).await;
    assert_eq!(refused.headers()["x-should-retry"], "false");
    let outcome = crate::message::Outcome::of_head(&refused);
    assert_eq!(
        outcome,
        Some(crate::message::Outcome::Refused(
            crate::message::Refusal::Tenant
        ))
    );
    assert_eq!(refusal(refused).await, (429, "budget_exceeded".to_owned()));
    assert_eq!(level(&layer).reserved, Cost::ZERO);
    // A smaller one has room.
    assert_eq!(send(&layer, ask("gpt-4.1", 100)).await.status(), 200);
}

#[tokio::test(start_paused = true)]
async fn the_bill_is_charged_where_there_is_one_and_when_its_last_attempt_ends() {
    let layer = BudgetLayer::builder()
        .budget(team("1"))
        .metered(true)
        .build()
        .unwrap();
    let late = Arc::new(Mutex::new(None));
    let kept = Arc::clone(&late);
    let line = |pico| {
        let cost = Some(Cost::from_pico_usd(pico));
        BillLine::new("a".into(), Usage::default(), CostSource::Reported, cost)
    };
    let inner = answering(move |mut request: Request<RequestBody>| {
        let bill = Bill::of(request.extensions_mut());
        bill.open().close(line(5));
        *kept.lock().unwrap() = Some(bill.open());
        answer(ANSWER)
    });
    let Ok(response) = layer.layer(inner).oneshot(ask("gpt-4.1", 10)).await;
    read(response).await;
    assert_eq!(level(&layer).spent, Cost::ZERO);
    assert!(level(&layer).reserved > Cost::ZERO);
    late.lock().unwrap().take().unwrap().close(line(7));
    let after = level(&layer);
    assert_eq!((after.spent.pico_usd(), after.reserved), (12, Cost::ZERO));
}

#[tokio::test(start_paused = true)]
async fn a_metered_request_without_an_attempt_costs_nothing() {
    let layer = BudgetLayer::builder()
        .budget(team("1"))
        .metered(true)
        .build()
        .unwrap();
    read(send(&layer, ask("gpt-4.1", 10)).await).await;
    assert!(layer.handle().levels("team").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_future_that_is_dropped_gives_back_what_it_did_not_use() {
    let layer = one(team("1"));
    let stuck = tower::service_fn(|_: Request<RequestBody>| {
        std::future::pending::<Result<Response<ResponseBody>, std::convert::Infallible>>()
    });
    let mut service = layer.layer(stuck);
    let unsent = service.call(ask("gpt-4.1", 1_000));
    assert!(level(&layer).reserved > Cost::ZERO);
    drop(unsent);
    assert!(layer.handle().levels("team").is_empty());

    // Once it is on its way nobody knows: no less than was reserved.
    let mut sent = tokio_test::task::spawn(service.call(ask("gpt-4.1", 1_000)));
    assert!(sent.poll().is_pending());
    drop(sent);
    assert!(level(&layer).spent >= usd("0.008"));
    assert_eq!(level(&layer).reserved, Cost::ZERO);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_left_is_no_cheaper_than_what_was_reserved() {
    let layer = one(team("1"));
    drop(send(&layer, ask("gpt-4.1", 1_000)).await);
    assert!(level(&layer).spent >= usd("0.008"));
}

#[tokio::test(start_paused = true)]
async fn an_answer_from_a_cache_costs_nothing_read_or_left() {
    let layer = one(team("1"));
    let cached = layer.layer(answering(|_| {
        let mut response = answer(ANSWER);
        let hit = Cached::new(Duration::from_secs(9));
        response.extensions_mut().insert(hit);
        response
    }));
    let Ok(left) = cached.clone().oneshot(ask("gpt-4.1", 1_000)).await;
    assert!(level(&layer).reserved > Cost::ZERO);
    drop(left);
    let Ok(response) = cached.oneshot(ask("gpt-4.1", 1_000)).await;
    read(response).await;
    assert!(layer.handle().levels("team").is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_error_costs_nothing() {
    let layer = one(team("1"));
    let failing = answering(|_| {
        let mut response = answer(r#"{"error":{"message":"no"}}"#);
        *response.status_mut() = http::StatusCode::BAD_REQUEST;
        response
    });
    let Ok(response) = layer.layer(failing).oneshot(ask("gpt-4.1", 10)).await;
    read(response).await;
    assert!(layer.handle().levels("team").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_cheaper_model_is_asked_instead_and_the_caller_is_told() {
    let cheap = OnExceeded::Model("gpt-4.1-nano".into());
    let layer = one(team("0.001").on_exceeded(cheap));
    let seen = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&seen);
    let inner = answering(move |request: Request<RequestBody>| {
        let asked = Bill::find(request.extensions()).and_then(|bill| bill.asked());
        let model = request.body().model().map(String::from);
        noted.lock().unwrap().push((model, asked));
        answer(ANSWER)
    });
    let service = layer.layer(inner);
    for _ in 0..2 {
        let Ok(response) = service.clone().oneshot(ask("gpt-4.1", 1_000)).await;
        assert_eq!(response.headers()[X_RELAY_BUDGET_MODEL], "gpt-4.1-nano");
        read(response).await;
    }
    let one = (Some("gpt-4.1-nano".to_owned()), Some(Arc::from("gpt-4.1")));
    assert_eq!(*seen.lock().unwrap(), [one.clone(), one]);
    // Counted at the cheaper one's price: 0.10 and 0.40 USD a million.
    assert_eq!(level(&layer).spent, usd("0.00028"));
}

#[tokio::test(start_paused = true)]
async fn a_budget_around_one_that_switches_still_refuses() {
    let cheap = OnExceeded::Model("gpt-4.1-nano".into());
    let layer = BudgetLayer::builder()
        .budget(Budget::new("all", KeyBy::global(), usd("0.0001"), Per::Day))
        .budget(team("0.001").on_exceeded(cheap))
        .build()
        .unwrap();
    let refused = send(&layer, ask("gpt-4.1", 1_000)).await;
    assert_eq!(refusal(refused).await, (429, "budget_exceeded".to_owned()));
    assert!(layer.handle().levels("all").is_empty());
    assert!(layer.handle().levels("team").is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_unknown_price_passes_or_is_refused_and_a_price_of_zero_is_free() {
    let layer = one(team("1"));
    read(send(&layer, ask("nobody-knows", 10)).await).await;
    let after = level(&layer);
    assert_eq!((after.spent, after.unpriced), (Cost::ZERO, 1));

    let strict = one(team("1").unknown_price(UnknownPrice::Refuse));
    let refused = send(&strict, ask("nobody-knows", 10)).await;
    assert_eq!(refusal(refused).await, (400, "unknown_price".to_owned()));

    // Nothing is left, so what may cost anything does not pass, and what is free does.
    let spent = one(team("0"));
    let refused = send(&spent, ask("nobody-knows", 10)).await;
    assert_eq!(refused.status(), 429);
    let mut free = crate::message::catalog::ModelInfo::new("free");
    let rates = crate::message::catalog::Rates {
        input: Some(crate::message::catalog::Price::FREE),
        output: Some(crate::message::catalog::Price::FREE),
        ..Default::default()
    };
    free.prices = Some(crate::message::catalog::Prices {
        base: rates,
        ..Default::default()
    });
    let table = crate::message::catalog::ModelTable::from_iter([free]);
    let free = BudgetLayer::builder()
        .budget(team("0"))
        .catalog(crate::message::catalog::ModelCatalog::new(table))
        .build()
        .unwrap();
    assert_eq!(send(&free, ask("free", 10)).await.status(), 200);
}

#[tokio::test(start_paused = true)]
async fn names_that_callers_use_are_priced_as_what_they_stand_for() {
    let layer = BudgetLayer::builder()
        .budget(team("1").unknown_price(UnknownPrice::Refuse))
        .names(|name| (name == "fast").then(|| "gpt-4.1".to_owned()))
        .build()
        .unwrap();
    assert_eq!(send(&layer, ask("fast", 10)).await.status(), 200);
}

#[tokio::test(start_paused = true)]
async fn from_the_soft_limit_on_answers_say_so() {
    let layer = one(team("1").soft(usd("0.0028")));
    let first = send(&layer, ask("gpt-4.1", 10)).await;
    assert!(!first.headers().contains_key(X_RELAY_BUDGET_WARNING));
    read(first).await;
    let second = send(&layer, ask("gpt-4.1", 10)).await;
    assert_eq!(
        second.headers()[X_RELAY_BUDGET_WARNING],
        "team; spent=0.0028; limit=1"
    );
}

#[tokio::test(start_paused = true)]
async fn the_accounts_of_a_request_stand_in_its_extensions() {
    let layer = one(team("1"));
    let inner = answering(|request: Request<RequestBody>| {
        let Accounts(accounts) = request.extensions().get().unwrap();
        assert_eq!(accounts.get("team"), Some("header:growth"));
        answer(ANSWER)
    });
    let Ok(response) = layer.layer(inner).oneshot(ask("gpt-4.1", 10)).await;
    assert_eq!(response.status(), 200);
}

#[tokio::test(start_paused = true)]
async fn limits_change_and_spending_is_forgotten_by_the_handle() {
    let layer = one(team("0"));
    let handle = layer.handle();
    assert_eq!(send(&layer, ask("gpt-4.1", 10)).await.status(), 429);
    assert!(handle.set_limits("team", &growth(), Some(Limits::hard(usd("1")))));
    read(send(&layer, ask("gpt-4.1", 10)).await).await;
    assert_eq!(level(&layer).spent, usd("0.0028"));
    assert!(handle.reset("team", &growth()));
    assert_eq!(level(&layer).spent, Cost::ZERO);
    handle.set_limits("team", &growth(), None);
    assert_eq!(send(&layer, ask("gpt-4.1", 10)).await.status(), 429);
    assert!(handle.set_default("team", Limits::hard(usd("1"))));
    assert_eq!(send(&layer, ask("gpt-4.1", 10)).await.status(), 200);
    assert!(!handle.reset("nobody's", &growth()));
}

#[test]
fn what_cannot_work_is_an_error() {
    let build = |budget: Budget| BudgetLayer::builder().budget(budget).build();
    assert!(BudgetLayer::builder().build().is_err());
    assert!(build(team("1").soft(usd("2"))).is_err());
    assert!(build(team("1").utc_offset_minutes(2_000)).is_err());
    assert!(build(Budget::new("", KeyBy::global(), usd("1"), Per::Day)).is_err());
    let twice = BudgetLayer::builder()
        .budgets([team("1"), team("2")])
        .build();
    assert!(twice.unwrap_err().to_string().contains("there twice"));
    assert!(
        BudgetLayer::builder()
            .budget(team("1"))
            .max_keys(0)
            .build()
            .is_err()
    );
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_changed_to_a_cheaper_model_is_refused() {
    let cheap = || OnExceeded::Model("gpt-4.1-nano".into());
    let layer = one(team("0").on_exceeded(cheap()));
    let mut unread = ask("gpt-4.1", 10);
    *unread.body_mut() = RequestBody::bytes("compressed, say");
    assert_eq!(send(&layer, unread).await.status(), 415);
    let mut embeddings = ask("text-embedding-3-small", 10);
    *embeddings.body_mut() =
        RequestBody::json(r#"{"model":"text-embedding-3-small","input":"What is a budget?"}"#);
    *embeddings.uri_mut() = "/v1/embeddings".parse().unwrap();
    assert_eq!(send(&layer, embeddings).await.status(), 429);
}

/// It would be paid for when its answer has ended, and as many at once as anybody sends.
#[tokio::test(start_paused = true)]
async fn a_body_that_is_not_read_is_not_sent_past_a_budget() {
    let layer = one(team("1"));
    let mut unread = ask("gpt-4.1", 10);
    *unread.body_mut() = RequestBody::bytes(r#"{"model":"gpt-4.1","messages":[]}"#);
    let response = send(&layer, unread).await;
    assert_eq!(response.status(), 415);
    let mut uploaded = ask("gpt-4.1", 10);
    *uploaded.body_mut() = RequestBody::bytes("a file");
    *uploaded.uri_mut() = "/v1/files".parse().unwrap();
    assert_eq!(send(&layer, uploaded).await.status(), 200);
}

#[tokio::test(start_paused = true)]
async fn what_stood_in_the_bill_before_is_not_charged_again() {
    let layer = BudgetLayer::builder()
        .budget(team("1"))
        .metered(true)
        .build()
        .unwrap();
    let inner = answering(|mut request: Request<RequestBody>| {
        let cost = Some(Cost::from_pico_usd(7));
        let line = BillLine::new("a".into(), Usage::default(), CostSource::Reported, cost);
        Bill::of(request.extensions_mut()).open().close(line);
        answer(ANSWER)
    });
    let service = layer.layer(inner);
    let bill = Bill::default();
    for _ in 0..3 {
        // A retry around the budget.
        let mut request = ask("gpt-4.1", 10);
        request.extensions_mut().insert(bill.clone());
        let Ok(response) = service.clone().oneshot(request).await;
        read(response).await;
    }
    assert_eq!(
        (bill.cost().pico_usd(), level(&layer).spent.pico_usd()),
        (21, 21)
    );
}

#[tokio::test(start_paused = true)]
async fn layers_of_budgets_within_each_other_all_stand_in_the_ledger() {
    let outer = one(Budget::new("all", KeyBy::global(), usd("1"), Per::Day));
    let inner = one(team("1"));
    let seen = answering(|request: Request<RequestBody>| {
        let Accounts(accounts) = request.extensions().get().unwrap();
        assert_eq!(accounts.iter().count(), 2);
        answer(ANSWER)
    });
    let Ok(response) = outer
        .layer(inner.layer(seen))
        .oneshot(ask("gpt-4.1", 10))
        .await;
    assert_eq!(response.status(), 200);
}
