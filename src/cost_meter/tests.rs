mod cuts;
mod disconnect;
mod outcomes;
mod priced;
mod shown;

use std::{convert::Infallible, sync::Arc};

use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use proptest::prelude::*;
use tower::{ServiceExt, service_fn};
use tower_layer::Layer;

use super::*;
use crate::{
    ledger::{Ledger, Record, Slot, TotalRow, Totals},
    message::{
        Bill, Completion, CostSource, Phase, Reason, Rejection, RequestBody, RequestId,
        ResponseBody, Served, Tags, TransportError, catalog::Cost,
    },
    testing::answering,
};

const JSON: &str = "application/json";
const EVENTS: &str = "text/event-stream";
/// 1,000 tokens at 2 USD a million and 100 at 8: 0.0028 USD.
const ANSWER: &str = r#"{"choices":[{"message":{"content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1000,"completion_tokens":100,"total_tokens":1100}}"#;

/// Keeps every record.
#[derive(Debug, Default)]
struct Kept(std::sync::Mutex<Vec<Record>>);

impl Ledger for Kept {
    fn record(&self, record: Record, _: Slot) {
        self.0.lock().unwrap().push(record);
    }

    fn snapshot(&self) -> Vec<TotalRow> {
        let totals = Totals::default();
        for record in self.0.lock().unwrap().iter() {
            totals.add(record);
        }
        totals.rows_sorted()
    }
}

impl Kept {
    fn only(&self) -> Record {
        let records = self.0.lock().unwrap();
        assert_eq!(records.len(), 1);
        records[0].clone()
    }
}

fn meter() -> (CostMeterBuilder, Arc<Kept>) {
    let kept = Arc::new(Kept::default());
    (CostMeterLayer::builder().ledger(kept.clone()), kept)
}

fn chat(body: &str) -> Request<RequestBody> {
    Request::post("/v1/chat/completions")
        .body(RequestBody::json(body.to_owned()))
        .unwrap()
}

fn asked() -> Request<RequestBody> {
    chat(
        r#"{"model":"gpt-4.1","messages":[{"role":"user","content":"What is the capital of France?"}]}"#,
    )
}

fn answer(content_type: &str, body: impl Into<String>) -> Response<ResponseBody> {
    let response = Response::builder().header("content-type", content_type);
    ResponseBody::wrap(response.body(body.into()).unwrap())
}

/// The answer as the caller gets it.
async fn served(
    layer: &CostMeterLayer,
    request: Request<RequestBody>,
    answer: impl Fn(Request<RequestBody>) -> Response<ResponseBody> + Clone + Send,
) -> Response<ResponseBody> {
    let Ok(response) = layer.layer(answering(answer)).oneshot(request).await;
    response
}

async fn text(response: Response<ResponseBody>) -> String {
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_states_its_usage_is_billed_by_it() {
    let (meter, kept) = meter();
    let mut request = asked();
    request.extensions_mut().insert(RequestId::generate());
    request
        .extensions_mut()
        .insert(Tags::from_iter([("team", "growth")]));
    let response = served(&meter.build().unwrap(), request, |_| answer(JSON, ANSWER)).await;
    let bill = Bill::find(response.extensions()).unwrap();
    assert_eq!((bill.attempts(), bill.open_attempts()), (0, 1));
    assert_eq!(text(response).await, ANSWER);

    assert_eq!(bill.cost().to_string(), "0.0028");
    let record = kept.only();
    assert_eq!(record.source, CostSource::Reported);
    assert_eq!(record.cost_usd, Some(bill.cost()));
    assert_eq!(record.request_id.len(), 32);
    assert_eq!(
        (record.attempt, record.status, record.messages),
        (1, 200, 1)
    );
    assert_eq!(&*record.outcome, "success");
    assert_eq!(record.finish_reason.as_deref(), Some("stop"));
    assert_eq!(record.tags.get("team"), Some("growth"));
}

#[tokio::test(start_paused = true)]
async fn what_served_is_priced_and_not_what_was_asked_for() {
    let (meter, kept) = meter();
    let mut request = asked();
    Bill::of(request.extensions_mut()).note_asked("auto");
    let answered = |_| {
        let mut served = Served::by("cheap".into());
        served.model = Some("gpt-4.1-nano".into());
        let mut response = answer(JSON, ANSWER);
        response.extensions_mut().insert(served);
        response
    };
    text(served(&meter.build().unwrap(), request, answered).await).await;
    let record = kept.only();
    // 0.10 and 0.40 USD a million.
    assert_eq!(record.cost_usd.unwrap().to_string(), "0.00014");
    assert_eq!(&*record.upstream, "cheap");
    assert_eq!(record.model_asked.as_deref(), Some("auto"));
    assert_eq!(record.model_served.as_deref(), Some("gpt-4.1-nano"));
}

#[tokio::test(start_paused = true)]
async fn an_unknown_price_is_unpriced_unless_the_provider_states_a_cost() {
    for (usage, cost, unpriced) in [
        (r#"{"prompt_tokens":1,"completion_tokens":1}"#, None, 1),
        (
            r#"{"prompt_tokens":1,"completion_tokens":1,"cost":0.25}"#,
            Cost::parse_usd("0.25"),
            0,
        ),
    ] {
        let (meter, kept) = meter();
        let body = format!(r#"{{"choices":[],"usage":{usage}}}"#);
        let request = chat(r#"{"model":"nobody-knows"}"#);
        let response = served(&meter.build().unwrap(), request, move |_| {
            answer(JSON, body.clone())
        })
        .await;
        let bill = Bill::find(response.extensions()).unwrap();
        text(response).await;
        assert_eq!(kept.only().cost_usd, cost);
        assert_eq!(bill.unpriced(), unpriced);
        assert_eq!(kept.snapshot()[0].sums.unpriced, u64::from(unpriced));
    }
}

#[tokio::test(start_paused = true)]
async fn a_stated_cost_can_be_preferred_and_a_discount_applies_to_list_prices() {
    let stated = ANSWER.replace("\"total_tokens\"", "\"cost\":0.5,\"total_tokens\"");
    for (policy, usd) in [
        (StatedCost::Prefer, "0.5"),
        (StatedCost::WhenUnpriced, "0.0014"),
        (StatedCost::Ignore, "0.0014"),
    ] {
        let (meter, kept) = meter();
        let layer = meter
            .multiplier("0.5".parse().unwrap())
            .stated_cost(policy)
            .build()
            .unwrap();
        let body = stated.clone();
        text(served(&layer, asked(), move |_| answer(JSON, body.clone())).await).await;
        let record = kept.only();
        assert_eq!(record.cost_usd.unwrap().to_string(), usd, "{policy:?}");
        assert_eq!(record.stated_cost_usd, Cost::parse_usd("0.5"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_whole_answer_without_usage_is_estimated_from_its_text() {
    let (meter, kept) = meter();
    let silent = r#"{"choices":[{"message":{"content":"The capital of France is Paris."},"finish_reason":"stop"}]}"#;
    text(
        served(&meter.build().unwrap(), asked(), move |_| {
            answer(JSON, silent)
        })
        .await,
    )
    .await;
    let record = kept.only();
    assert_eq!(record.source, CostSource::Estimated);
    assert_eq!((record.usage.input, record.usage.output), (13, 7));
}

#[tokio::test(start_paused = true)]
async fn errors_cost_nothing_and_what_nobody_knows_costs_the_prompt() {
    let refused = |_| {
        let mut response = answer(JSON, r#"{"error":{"message":"no"}}"#);
        *response.status_mut() = StatusCode::BAD_REQUEST;
        response
    };
    let unreachable = |error: std::io::ErrorKind| {
        move |_| {
            let error = TransportError::new(std::io::Error::from(error));
            error.into_response("it", crate::message::Dialect::OpenAi)
        }
    };
    let late = |_| {
        let mut response = Response::new(ResponseBody::empty());
        *response.status_mut() = StatusCode::GATEWAY_TIMEOUT;
        let rejection = Rejection::new("timeout", Reason::Timeout(Phase::Head));
        response.extensions_mut().insert(rejection);
        response
    };
    let (layer, kept) = meter();
    text(served(&layer.build().unwrap(), asked(), refused).await).await;
    assert_eq!(kept.only().source, CostSource::Unbilled);
    assert_eq!(kept.only().cost_usd, Some(Cost::ZERO));

    let (layer, kept) = meter();
    let never_sent = unreachable(std::io::ErrorKind::ConnectionRefused);
    text(served(&layer.build().unwrap(), asked(), never_sent).await).await;
    assert_eq!(kept.only().source, CostSource::Unbilled);

    let (layer, kept) = meter();
    let broken = unreachable(std::io::ErrorKind::ConnectionReset);
    text(served(&layer.build().unwrap(), asked(), broken).await).await;
    assert_eq!(
        (kept.only().source, kept.only().usage.input),
        (CostSource::Partial, 13)
    );

    let (layer, kept) = meter();
    text(served(&layer.build().unwrap(), asked(), late).await).await;
    assert_eq!(
        (kept.only().source, kept.only().usage.input),
        (CostSource::Partial, 13)
    );
    assert_eq!(&*kept.only().outcome, "timeout");
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_asked_for_its_usage_and_the_caller_does_not_see_it() {
    let stream = |request: Request<RequestBody>| {
        assert!(request.body().wants_usage());
        answer(
            EVENTS,
            "data: {\"choices\":[{\"delta\":{\"content\":\"hi\"}}],\"usage\":null}\n\n\
             data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":null}\n\n\
             data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1000,\"completion_tokens\":100}}\n\n\
             data: [DONE]\n\n",
        )
    };
    let (meter, kept) = meter();
    let request = chat(r#"{"model":"gpt-4.1","stream":true}"#);
    let seen = text(served(&meter.build().unwrap(), request, stream).await).await;
    assert!(!seen.contains("usage"), "{seen}");
    let record = kept.only();
    assert_eq!(record.cost_usd.unwrap().to_string(), "0.0028");
    assert!(record.stream && record.ttft_ms.is_some());
}

#[tokio::test(start_paused = true)]
async fn of_two_meters_in_one_stack_the_inner_one_counts() {
    let (outer, outer_kept) = meter();
    let (inner, inner_kept) = meter();
    let service = answering(|_| answer(JSON, ANSWER));
    let stack = outer
        .build()
        .unwrap()
        .layer(inner.build().unwrap().layer(service));
    let Ok(response) = stack.oneshot(asked()).await;
    let bill = Bill::find(response.extensions()).unwrap();
    text(response).await;
    assert_eq!((bill.attempts(), bill.open_attempts()), (1, 0));
    assert_eq!(bill.cost().to_string(), "0.0028");
    assert!(outer_kept.0.lock().unwrap().is_empty());
    assert_eq!(inner_kept.only().attempt, 1);
}

#[tokio::test(start_paused = true)]
async fn all_attempts_of_a_request_are_lines_of_one_bill() {
    let (meter, kept) = meter();
    let metered = meter
        .build()
        .unwrap()
        .layer(answering(|_| answer(JSON, ANSWER)));
    let twice = service_fn(move |request: Request<RequestBody>| {
        let metered = metered.clone();
        async move {
            let mut again = asked();
            *again.extensions_mut() = request.extensions().clone();
            drop(metered.clone().oneshot(request).await?);
            metered.oneshot(again).await
        }
    });
    let response = BillLayer::new()
        .layer(twice)
        .oneshot(asked())
        .await
        .unwrap();
    let bill = Bill::find(response.extensions()).unwrap();
    text(response).await;
    let records = kept.0.lock().unwrap();
    assert_eq!(
        records
            .iter()
            .map(|record| record.attempt)
            .collect::<Vec<_>>(),
        [1, 2]
    );
    let sum: Cost = records.iter().filter_map(|record| record.cost_usd).sum();
    assert_eq!((bill.cost(), bill.attempts()), (sum, 2));
    assert_eq!(records[0].source, CostSource::Partial);
}

#[tokio::test(start_paused = true)]
async fn an_outer_callback_finds_the_bill_in_the_completion() {
    let (meter, _) = meter();
    let response = served(&meter.build().unwrap(), asked(), |_| answer(JSON, ANSWER)).await;
    let (tell, told) = std::sync::mpsc::channel();
    let response = response.map(|body| {
        body.on_end(move |completion: &mut Completion| {
            tell.send(completion.bill.as_ref().map(Bill::cost)).unwrap();
        })
    });
    text(response).await;
    assert_eq!(told.recv().unwrap().unwrap().to_string(), "0.0028");
}

#[tokio::test(start_paused = true)]
async fn other_endpoints_pass_without_a_line() {
    let (meter, kept) = meter();
    let request = Request::get("/v1/models")
        .body(RequestBody::empty())
        .unwrap();
    let response = served(&meter.build().unwrap(), request, |_| answer(JSON, ANSWER)).await;
    assert!(Bill::find(response.extensions()).is_none());
    assert!(kept.0.lock().unwrap().is_empty());
}

/// Whatever a client does that fails of itself.
#[tokio::test(start_paused = true)]
async fn an_error_of_a_foreign_client_leaves_one_line() {
    let (meter, kept) = meter();
    let failing = service_fn(|_: Request<RequestBody>| {
        std::future::ready(Err::<Response<ResponseBody>, &str>("broken"))
    });
    assert!(
        meter
            .build()
            .unwrap()
            .layer(failing)
            .oneshot(asked())
            .await
            .is_err()
    );
    assert_eq!(kept.only().source, CostSource::Partial);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_pieces_of_a_stream_cost_the_same(cuts in prop::collection::vec(0usize..400, 0..12)) {
        let stream = "data: {\"choices\":[{\"delta\":{\"content\":\"hi there\"}}]}\n\n\
             data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1000,\"completion_tokens\":100}}\n\ndata: [DONE]\n\n";
        let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut % stream.len()).collect();
        cuts.push(stream.len());
        cuts.sort_unstable();
        let mut pieces = Vec::new();
        let mut from = 0;
        for cut in cuts {
            pieces.push(stream.get(from..cut).unwrap().to_owned());
            from = cut;
        }
        let (meter, kept) = meter();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let response = served(&meter.build().unwrap(), asked(), move |_| disconnect::pieces(pieces.clone())).await;
            response.into_body().collect().await.unwrap();
        });
        prop_assert_eq!(kept.only().cost_usd.unwrap().to_string(), "0.0028");
        prop_assert_eq!(kept.only().source, CostSource::Reported);
    }
}
