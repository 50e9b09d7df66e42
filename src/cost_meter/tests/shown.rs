//! The cost where the caller sees it, and ledgers that make attempts wait.

use std::future::Future;

use super::*;

#[tokio::test(start_paused = true)]
async fn the_head_states_the_cost_of_all_attempts_where_it_is_asked_to() {
    let (meter, kept) = meter();
    let layer = meter.cost_header(true).build().unwrap();
    let mut request = asked();
    let bill = Bill::of(request.extensions_mut());
    let line = crate::message::BillLine::new(
        "a".into(),
        crate::message::usage::Usage::default(),
        CostSource::Reported,
        Cost::parse_usd("1"),
    );
    bill.open().close(line);
    let response = served(&layer, request, |_| answer(JSON, ANSWER)).await;
    assert_eq!(response.headers()[X_RELAY_COST_USD], "1.0028");
    assert_eq!(text(response).await, ANSWER);
    assert_eq!(kept.only().cost_usd.unwrap().to_string(), "0.0028");

    let stream = served(&layer, asked(), |_| answer(EVENTS, "data: [DONE]\n\n")).await;
    assert!(!stream.headers().contains_key(X_RELAY_COST_USD));
}

#[tokio::test(start_paused = true)]
async fn an_answer_too_long_to_hold_passes_without_its_cost_in_the_head() {
    let (meter, kept) = meter();
    let long = ANSWER.replacen('{', &format!(r#"{{"text":"{}","#, "x".repeat(2 << 20)), 1);
    let sent = long.clone();
    let layer = meter.cost_header(true).build().unwrap();
    let response = served(&layer, asked(), move |_| answer(JSON, sent.clone())).await;
    assert!(!response.headers().contains_key(X_RELAY_COST_USD));
    assert!(text(response).await == long);
    assert_eq!(kept.only().cost_usd.unwrap().to_string(), "0.0028");
}

#[tokio::test(start_paused = true)]
async fn usage_states_the_cost_where_it_is_asked_to() {
    let (meter, kept) = meter();
    let layer = meter.cost_in_body(true).build().unwrap();
    let seen = text(served(&layer, asked(), |_| answer(JSON, ANSWER)).await).await;
    assert_eq!(seen, ANSWER.replace("1100}", "1100,\"cost\":0.0028}"));
    assert_eq!(kept.only().usage.total(), 1_100);

    let error = r#"{"error":{"message":"no"}}"#;
    let seen = text(served(&layer, asked(), move |_| answer(JSON, error)).await).await;
    assert_eq!(seen, error);
}

/// A ledger without room, until there is.
#[derive(Debug)]
struct Full;

impl Ledger for Full {
    fn record(&self, _: Record, _: Slot) {}

    fn try_slot(&self) -> Option<Slot> {
        None
    }

    fn slot(&self) -> std::pin::Pin<Box<dyn Future<Output = Slot> + Send>> {
        Box::pin(async {
            tokio::time::sleep(std::time::Duration::from_secs(3)).await;
            Slot::default()
        })
    }
}

#[tokio::test(start_paused = true)]
async fn an_attempt_waits_for_room_in_the_ledger() {
    let layer = CostMeterLayer::builder()
        .ledger(Arc::new(Full))
        .build()
        .unwrap();
    let start = tokio::time::Instant::now();
    let response = served(&layer, asked(), |_| answer(JSON, ANSWER)).await;
    assert_eq!(start.elapsed().as_secs(), 3);
    assert_eq!(text(response).await, ANSWER);
}
