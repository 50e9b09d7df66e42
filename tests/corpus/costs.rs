//! Recorded answers are billed as their providers say that they were.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
};

use futures_util::FutureExt;
use http::Request;
use serde_json::{Map, Value};
use tower::{ServiceExt, service_fn};
use tower_layer::Layer;
use tower_relay::{
    cost_meter::{CostMeterLayer, StatedCost},
    ledger::{Ledger, Record as Line, Slot},
    message::{Endpoint, RequestBody, catalog::Cost},
};

use super::{
    Record, records,
    sent::{Cut, Sent, collect},
};

/// What a bill may differ from the provider's own: 0.5 %, or a hundred-millionth of a USD, to which some round.
fn is_near(ours: Cost, theirs: Cost) -> bool {
    let (ours, theirs) = (ours.pico_usd(), theirs.pico_usd());
    ours.abs_diff(theirs) <= (theirs / 200).max(10_000)
}

#[derive(Debug, Default)]
struct Kept(Mutex<Vec<Line>>);

impl Ledger for Kept {
    fn record(&self, record: Line, _: Slot) {
        self.0.lock().unwrap().push(record);
    }
}

/// The line of a ledger that a recorded answer makes.
fn metered(record: &Record, stated: StatedCost) -> Line {
    let kept = Arc::new(Kept::default());
    let layer = CostMeterLayer::builder()
        .name(record.provider.as_str())
        .stated_cost(stated)
        .ledger(kept.clone())
        .build()
        .unwrap();
    let sent = Sent::of(record);
    let service = service_fn(move |_: Request<RequestBody>| {
        std::future::ready(Ok::<_, Infallible>(sent.response(Cut::Whole)))
    });
    let body = record.request().map(Value::to_string).unwrap_or_default();
    let mut request = Request::post("/").body(RequestBody::json(body)).unwrap();
    // Native APIs are metered where they are said to be chats.
    request.extensions_mut().insert(Endpoint::ChatCompletions);
    let answer = layer.layer(service).oneshot(request).now_or_never();
    let Ok(response) = answer.expect("an answer that never waits");
    collect(response.into_body());
    let mut lines = kept.0.lock().unwrap();
    assert_eq!(lines.len(), 1, "{}", record.id);
    lines.remove(0)
}

pub(super) fn members(record: &Record, row: &mut Map<String, Value>) {
    let line = metered(record, StatedCost::default());
    row.insert("model".into(), line.model().map(|model| &**model).into());
    let cost = line.cost_usd.map(|cost| cost.to_string());
    row.insert("cost".into(), cost.into());
    row.insert("cost_source".into(), line.source.as_str().into());
}

/// Why a list price is not what was charged, as a person read the records.
const EXPLAINED: &[(&str, &str)] = &[
    ("openai/2382", "another model served: moonshotai/kimi-k2"),
    ("openrouter/1", "charged at an earlier price of gpt-5.6-sol"),
    ("openrouter/2", "charged at an earlier price of gpt-5.6-sol"),
    ("openrouter/7", "a fee for a tool"),
    ("openrouter/8", "a fee for a tool"),
    ("openrouter/35", "a fee for a search"),
    ("openrouter/73", "a fee for a search"),
    ("openrouter/132", "a fee for three searches"),
    ("perplexity/2", "a fee for a search"),
    ("perplexity/23", "a fee for a search"),
    ("xai/357", "a cost that was made up for a test"),
    ("xai/358", "a cost that was made up for a test"),
];

#[test]
fn list_prices_make_the_bill_that_the_provider_states() {
    let Some(records) = records() else { return };
    let (mut stated, mut known, mut near) = (0, 0, 0);
    let mut unexplained = Vec::new();
    for record in records.iter().filter(|record| record.is_success()) {
        let line = metered(record, StatedCost::Ignore);
        let Some(theirs) = line.stated_cost_usd else {
            continue;
        };
        stated += 1;
        let billed = metered(record, StatedCost::default()).cost_usd;
        assert_eq!(billed, Some(theirs), "{}", record.id);
        let Some(ours) = line.cost_usd else { continue };
        known += 1;
        if is_near(ours, theirs) {
            near += 1;
            continue;
        }
        let reason = EXPLAINED.iter().find(|(id, _)| *id == record.id);
        match reason {
            Some((id, reason)) => println!("{id}: {ours} and not {theirs}: {reason}"),
            None => unexplained.push(format!("{}: {ours} and not {theirs}", record.id)),
        }
    }
    println!("{stated} answers state their cost, {known} of models with prices, {near} near");
    assert!(unexplained.is_empty(), "{unexplained:#?}");
}
