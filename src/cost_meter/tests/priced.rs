//! Each kind of token at the price of what served.

use super::*;
use crate::message::catalog::{ModelCatalog, ModelInfo, ModelTable, Price, Prices, Rates, Service};

/// 1 USD a million for input and 10 for output; twice that in the tier `priority`.
fn prices() -> ModelCatalog {
    let price = |usd| Price::per_million(usd);
    let base = Rates {
        input: price("1"),
        output: price("10"),
        cache_read: price("0.1"),
        cache_write_5m: price("1.25"),
        cache_write_1h: price("2"),
        audio_in: price("40"),
        audio_out: price("80"),
        ..Rates::default()
    };
    let priority = Rates {
        input: price("2"),
        output: price("20"),
        ..Rates::default()
    };
    let mut model = ModelInfo::new("m");
    model.prices = Some(Prices {
        base,
        services: vec![Service {
            name: "priority".into(),
            rates: priority,
            above: Vec::new(),
        }],
        ..Prices::default()
    });
    ModelCatalog::new(ModelTable::from_iter([model]))
}

async fn line(answered: &'static str) -> Record {
    let (meter, kept) = meter();
    let layer = meter.catalog(prices()).build().unwrap();
    let request = chat(
        r#"{"model":"m","service_tier":"auto","messages":[{"role":"user","content":"What is the capital of France?"}]}"#,
    );
    text(served(&layer, request, move |_| answer(JSON, answered)).await).await;
    kept.only()
}

#[tokio::test(start_paused = true)]
async fn every_kind_is_charged_once_wherever_a_provider_counts_it() {
    for (name, answered, usd) in [
        (
            "the tier that served",
            r#"{"choices":[],"service_tier":"priority","usage":{"prompt_tokens":1000,"completion_tokens":100}}"#,
            "0.004",
        ),
        (
            "a tier without prices of its own",
            r#"{"choices":[],"service_tier":"default","usage":{"prompt_tokens":1000,"completion_tokens":100}}"#,
            "0.002",
        ),
        (
            "cached and reasoning inside",
            r#"{"choices":[],"usage":{"prompt_tokens":1000,"completion_tokens":100,"prompt_tokens_details":{"cached_tokens":800},"completion_tokens_details":{"reasoning_tokens":60}}}"#,
            "0.00128",
        ),
        (
            "cached outside, written for five minutes and an hour",
            r#"{"type":"message","content":[],"stop_reason":"end_turn","usage":{"input_tokens":100,"cache_read_input_tokens":2000,"cache_creation_input_tokens":1000,"cache_creation":{"ephemeral_5m_input_tokens":400,"ephemeral_1h_input_tokens":600},"output_tokens":10}}"#,
            "0.0021",
        ),
        (
            "audio",
            r#"{"choices":[],"usage":{"prompt_tokens":100,"completion_tokens":50,"prompt_tokens_details":{"audio_tokens":40},"completion_tokens_details":{"audio_tokens":30}}}"#,
            "0.00426",
        ),
        (
            "reasoning outside",
            r#"{"candidates":[{"content":{"parts":[{"text":"hi"}]},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":1000,"cachedContentTokenCount":800,"candidatesTokenCount":40,"thoughtsTokenCount":60,"totalTokenCount":1100}}"#,
            "0.00128",
        ),
    ] {
        let record = line(answered).await;
        assert_eq!(record.cost_usd.unwrap().to_string(), usd, "{name}");
        assert_eq!(record.source, CostSource::Reported, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn zeros_that_are_stated_are_free_and_what_is_absent_is_estimated() {
    let stated = line(
        r#"{"choices":[{"message":{"content":"hi"}}],"usage":{"prompt_tokens":0,"completion_tokens":0}}"#,
    )
    .await;
    assert_eq!(
        (stated.source, stated.cost_usd),
        (CostSource::Reported, Some(Cost::ZERO))
    );
    for absent in [
        r#"{"choices":[{"message":{"content":"hi"}}]}"#,
        r#"{"choices":[{"message":{"content":"hi"}}],"usage":null}"#,
    ] {
        let absent = line(absent).await;
        assert_eq!(absent.source, CostSource::Estimated);
        assert!(absent.cost_usd.unwrap() > Cost::ZERO);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_total_is_the_sum_of_the_bills_in_whatever_order_they_end() {
    let totals = Totals::default();
    let (meter, kept) = meter();
    let inner = meter.catalog(prices()).build().unwrap();
    let sums = CostMeterLayer::builder()
        .catalog(prices())
        .ledger(Arc::new(totals.clone()))
        .build()
        .unwrap();
    let answered = |request: Request<RequestBody>| {
        let prompt = request.body().max_output_tokens().unwrap_or(0);
        let usage = format!(r#"{{"prompt_tokens":{prompt},"completion_tokens":{prompt}}}"#);
        answer(JSON, format!(r#"{{"choices":[],"usage":{usage}}}"#))
    };
    let asked: Vec<_> = (0..400u64)
        .map(|number| {
            // Each attempt is written to one ledger or the other.
            let (inner, sums) = (inner.clone(), sums.clone());
            tokio::spawn(async move {
                let layer = if number % 2 == 0 { inner } else { sums };
                let body = format!(r#"{{"model":"m","max_tokens":{number}}}"#);
                let Ok(response) = layer.layer(answering(answered)).oneshot(chat(&body)).await;
                let bill = Bill::find(response.extensions()).unwrap();
                if number % 5 == 0 {
                    drop(response);
                } else {
                    tokio::task::yield_now().await;
                    text(response).await;
                }
                bill.cost()
            })
        })
        .collect();
    let mut bills = Cost::ZERO;
    for asked in asked {
        bills += asked.await.unwrap();
    }
    let in_totals: Cost = totals.snapshot().iter().map(|row| row.sums.cost_usd).sum();
    let records = kept.0.lock().unwrap();
    let in_records: Cost = records.iter().filter_map(|record| record.cost_usd).sum();
    assert!(in_totals > Cost::ZERO && in_records > Cost::ZERO);
    assert_eq!(in_totals + in_records, bills);
}
