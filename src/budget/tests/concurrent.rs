//! Many at once.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_thousand_at_once_do_not_run_past_a_budget() {
    let layer = BudgetLayer::builder().budget(team("0.81")).build().unwrap();
    let level = || layer.handle().level("team", &growth()).unwrap();
    let one = send(&layer, ask("gpt-4.1", 1_000)).await;
    let estimate = level().reserved.pico_usd();
    read(one).await;
    layer.handle().reset("team", &growth());
    let room = usize::try_from(usd("0.81").pico_usd() / estimate).unwrap();
    let inner = tower::service_fn(|_: Request<RequestBody>| async {
        tokio::task::yield_now().await;
        Ok::<_, std::convert::Infallible>(answer(ANSWER))
    });
    let service = layer.layer(inner);
    let asked: Vec<_> = (0..1_000)
        .map(|_| tokio::spawn(service.clone().oneshot(ask("gpt-4.1", 1_000))))
        .collect();
    let mut held = Vec::new();
    let mut refused = 0;
    for asked in asked {
        let Ok(response) = asked.await.unwrap();
        // Nothing is settled before all have asked.
        match response.status().as_u16() {
            200 => held.push(response),
            _ => refused += 1,
        }
    }
    assert_eq!((held.len(), refused), (room, 1_000 - room));
    assert!(level().reserved <= usd("0.81"));
    let ends: Vec<_> = held
        .into_iter()
        .map(|response| tokio::spawn(read(response)))
        .collect();
    for end in ends {
        end.await.unwrap();
    }
    let spent = usd("0.0028").pico_usd() * room as u128;
    assert_eq!(
        (level().spent.pico_usd(), level().reserved),
        (spent, Cost::ZERO)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whatever_is_charged_at_once_is_the_sum_of_the_bills() {
    let all = Budget::new("all", KeyBy::global(), usd("1000"), Per::Total);
    let layer = BudgetLayer::builder()
        .budgets([all, team("1000")])
        .metered(true)
        .build()
        .unwrap();
    let billed = Arc::new(Mutex::new(Cost::ZERO));
    let sum = Arc::clone(&billed);
    let inner = tower::service_fn(move |mut request: Request<RequestBody>| {
        let bill = Bill::of(request.extensions_mut());
        let cap = request.body().max_output_tokens().unwrap_or(0);
        let attempts: Vec<_> = (0..cap % 3).map(|_| bill.open()).collect();
        let sum = Arc::clone(&sum);
        async move {
            for attempt in attempts {
                tokio::task::yield_now().await;
                let cost = Cost::from_pico_usd(u128::from(cap) * 7);
                *sum.lock().unwrap() += cost;
                let used = Usage::default();
                attempt.close(BillLine::new(
                    "u".into(),
                    used,
                    CostSource::Reported,
                    Some(cost),
                ));
            }
            Ok::<_, std::convert::Infallible>(answer(ANSWER))
        }
    });
    let service = layer.layer(inner);
    let asked: Vec<_> = (0..500u64)
        .map(|number| {
            let service = service.clone();
            tokio::spawn(async move {
                let Ok(response) = service.oneshot(ask("gpt-4.1", number)).await;
                // Some leave.
                if number % 4 != 0 {
                    read(response).await;
                }
            })
        })
        .collect();
    for asked in asked {
        asked.await.unwrap();
    }
    let billed = *billed.lock().unwrap();
    for (budget, key) in [("all", Key::GLOBAL), ("team", growth())] {
        let level = layer.handle().level(budget, &key).unwrap();
        assert_eq!((level.spent, level.reserved), (billed, Cost::ZERO));
    }
}
