//! Which model a request gets.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use http::{Request, Response};
use serde_json::{Value, json};
use tower::{Layer, ServiceExt};

use crate::{
    message::{
        AllowedModels, Bill, Outcome, RequestBody, ResponseBody, Selection,
        catalog::{ModelCatalog, ModelInfo, ModelTable, Price, Prices},
    },
    model_select::{Features, ModelSelectBuilder, ModelSelectLayer, Score, Scorer, ScorerKind},
    testing::{answering, echo, read, refusal},
};

/// Three models: one that sees nothing and has a small window, one of each higher tier.
pub(super) fn catalog() -> ModelCatalog {
    let model = |name: &str, window: u64, images: bool, usd: &str| {
        let mut info = ModelInfo::new(name);
        info.context_window = Some(window);
        info.max_output_tokens = Some(8_000);
        info.capabilities.images = Some(images);
        info.capabilities.tools = Some(true);
        let mut prices = Prices::default();
        (prices.base.input, prices.base.output) =
            (Price::per_million(usd), Price::per_million(usd));
        info.prices = Some(prices);
        info
    };
    ModelCatalog::new(ModelTable::from_iter([
        model("small", 1_000, false, "1"),
        model("cheap", 1_000, false, "0.5"),
        model("middle", 20_000, true, "5"),
        model("large", 1_000_000, true, "10"),
    ]))
}

pub(super) fn builder() -> ModelSelectBuilder {
    ModelSelectLayer::builder()
        .tier("low", ["small", "cheap"])
        .tier("medium", ["middle"])
        .tier("high", ["large"])
        .catalog(catalog())
}

pub(super) fn post(body: &Value) -> Request<RequestBody> {
    Request::post("/v1/chat/completions")
        .body(RequestBody::json(body.to_string()))
        .unwrap()
}

fn ask(content: impl Into<Value>) -> Value {
    let content = content.into();
    json!({"model": "auto", "messages": [{"role": "user", "content": content}]})
}

async fn send(
    builder: ModelSelectBuilder,
    request: Request<RequestBody>,
) -> Response<ResponseBody> {
    let service = builder.build().unwrap().layer(answering(echo));
    service.oneshot(request).await.unwrap()
}

async fn chosen(builder: ModelSelectBuilder, body: &Value) -> Value {
    let (_, text) = read(send(builder, post(body)).await).await;
    serde_json::from_str::<Value>(&text).unwrap()["model"].clone()
}

#[tokio::test]
async fn a_request_that_names_its_model_passes_as_it_is() {
    let body = json!({"model": "gpt-4.1", "messages": []});
    let (head, text) = read(send(builder(), post(&body)).await).await;
    assert_eq!(text, body.to_string());
    assert!(!head.headers.contains_key("x-relay-model"));
}

#[tokio::test]
async fn the_flag_asks_for_a_choice_and_is_never_sent_on() {
    let mut body = ask(json!("hi"));
    body["model"] = json!("gpt-4.1");
    for (flag, model) in [(true, "small"), (false, "gpt-4.1")] {
        body["auto_model_select"] = json!(flag);
        let (_, text) = read(send(builder(), post(&body)).await).await;
        let sent: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(sent["model"], model);
        assert_eq!(sent.get("auto_model_select"), None);
    }
    let always = chosen(builder().always(true).flag(""), &body).await;
    assert_eq!(always, "small");
}

#[tokio::test]
async fn who_may_not_ask_for_the_choice_by_name_gets_a_model_that_he_may_ask_for() {
    let long = "words ".repeat(2_000);
    let flagged = |text: &str| {
        let mut body = ask(json!(text));
        body["model"] = json!("small");
        body["auto_model_select"] = json!(true);
        body
    };
    for (body, allowed, expected) in [
        (flagged(&long), vec![], Ok("large")),
        (flagged(&long), vec!["small", "middle"], Ok("middle")),
        (flagged("hi"), vec!["cheap"], Ok("cheap")),
        (flagged("hi"), vec!["gpt-*"], Err("model_not_allowed")),
        (ask(json!(long)), vec!["auto"], Ok("large")),
    ] {
        let mut request = post(&body);
        if !allowed.is_empty() {
            let allowed = allowed.iter().map(|name| name.parse().unwrap());
            request.extensions_mut().insert(AllowedModels::new(allowed));
        }
        let response = send(builder(), request).await;
        match expected {
            Ok(model) => {
                let (_, text) = read(response).await;
                let sent: Value = serde_json::from_str(&text).unwrap();
                assert_eq!(sent["model"], model, "{allowed:?}");
            }
            Err(code) => assert_eq!(refusal(response).await, (403, code.to_owned())),
        }
    }
}

#[tokio::test]
async fn the_answer_and_those_further_in_are_told_what_was_chosen_and_why() {
    let seen = Arc::new(Mutex::new(None));
    let told = Arc::clone(&seen);
    let inner = answering(move |request: Request<RequestBody>| {
        *told.lock().unwrap() = request.extensions().get::<Selection>().cloned();
        Response::new(ResponseBody::empty())
    });
    let mut request = post(&ask(json!("x".repeat(600))));
    let bill = Bill::of(request.extensions_mut());
    let service = builder().build().unwrap().layer(inner);
    let response = service.oneshot(request).await.unwrap();
    let selection = Selection::new("middle", "medium").because("more than 500 characters");
    assert_eq!(*seen.lock().unwrap(), Some(selection.clone()));
    assert_eq!(response.extensions().get(), Some(&selection));
    assert_eq!(response.headers()["x-relay-model"], "middle");
    assert_eq!(response.headers()["x-relay-complexity"], "medium");
    assert_eq!(bill.asked().as_deref(), Some("auto"));
}

#[tokio::test]
async fn an_image_never_goes_to_a_model_that_sees_none() {
    let image = json!([{"type": "text", "text": "what is this?"}, {"type": "image_url", "image_url": {"url": "data:"}}]);
    assert_eq!(chosen(builder(), &ask(image.clone())).await, "middle");
    let blind = builder().tier("medium", ["small"]).tier("high", ["cheap"]);
    let response = send(blind, post(&ask(image))).await;
    assert_eq!(
        refusal(response).await,
        (400, "unsupported_parameter".into())
    );
}

#[tokio::test]
async fn a_prompt_never_goes_to_a_window_that_it_does_not_fit() {
    // About 1,250 tokens: too long for `small`, though its scorer calls it simple.
    let long = ask(json!("word ".repeat(1_000)));
    let simple = || builder().own_scorer(Lowest);
    assert_eq!(chosen(simple(), &long).await, "middle");
    let huge = ask(json!("word ".repeat(40_000)));
    assert_eq!(chosen(simple(), &huge).await, "large");
    let none = simple().tier("medium", ["small"]).tier("high", ["middle"]);
    let response = send(none, post(&huge)).await;
    assert_eq!(Outcome::of(&response), Some(Outcome::ContextTooLong));
    assert_eq!(
        refusal(response).await,
        (400, "context_length_exceeded".into())
    );
}

#[tokio::test]
async fn a_lower_tier_is_better_than_none() {
    // All high models are blind.
    let text = json!({"type": "text", "text": "x".repeat(5_001)});
    let body = ask(json!([{"type": "image_url", "image_url": {"url": "data:"}}, text]));
    assert_eq!(
        chosen(builder().tier("high", ["cheap"]), &body).await,
        "middle"
    );
}

#[tokio::test]
async fn the_cheapest_model_of_the_tier_is_taken_where_asked() {
    let body = ask(json!("hi"));
    assert_eq!(chosen(builder(), &body).await, "small");
    assert_eq!(chosen(builder().cheapest(true), &body).await, "cheap");
    let unpriced = builder()
        .cheapest(true)
        .tier("low", ["unheard-of", "small"]);
    assert_eq!(chosen(unpriced, &body).await, "small");
}

#[tokio::test]
async fn an_answer_longer_than_the_model_gives_is_asked_of_another() {
    let mut body = ask(json!("hi"));
    body["max_tokens"] = json!(8_001);
    // None gives as much: the first of its tier is asked all the same.
    assert_eq!(chosen(builder(), &body).await, "middle");
    let unknown = builder().tier("high", ["unheard-of"]);
    assert_eq!(chosen(unknown, &body).await, "unheard-of");
}

#[tokio::test(start_paused = true)]
async fn a_conversation_keeps_its_model_for_a_while() {
    let layer = builder().sticky(Duration::from_secs(60)).build().unwrap();
    let model = async |body: &Value| {
        let response = layer.layer(answering(echo)).oneshot(post(body)).await;
        response.unwrap().headers()["x-relay-model"].clone()
    };
    let long = "x".repeat(600);
    let start = ask(json!(long));
    assert_eq!(model(&start).await, "middle");
    let mut later = start.clone();
    let more = json!({"role": "user", "content": "y".repeat(5_000)});
    later["messages"].as_array_mut().unwrap().push(more);
    assert_eq!(model(&later).await, "middle");
    tokio::time::advance(Duration::from_secs(61)).await;
    assert_eq!(model(&later).await, "large");
}

#[test]
fn what_cannot_work_is_no_layer() {
    for (builder, error) in [
        (
            builder().tier("low", [""; 0]),
            "tiers.low: must name a model",
        ),
        (
            builder().tier("low", ["auto"]),
            "tiers.low: \"auto\" is no model: it asks for a choice",
        ),
        (
            builder().tier("huge", ["m"]),
            "tiers.huge: is no tier of this scorer, which has low, medium, high",
        ),
        (
            ModelSelectBuilder::default()
                .own_scorer(Lowest)
                .tier("low", ["m"]),
            "tiers.medium: must name a model",
        ),
    ] {
        assert_eq!(builder.build().unwrap_err().to_string(), error);
    }
    let weighted: Result<ScorerKind, _> =
        serde_json::from_str(r#"{"weighted": {"tool_use": 0, "size": 0, "keywords": 0}}"#);
    let builder = ModelSelectLayer::builder().scorer(weighted.unwrap());
    assert_eq!(
        builder.build().unwrap_err().field(),
        "scorer.weighted.keywords"
    );
}

#[test]
fn the_guides_models_are_there_by_default() {
    for builder in [
        ModelSelectBuilder::guide_a(),
        ModelSelectBuilder::guide_c(),
        ModelSelectBuilder::guide_e(),
        ModelSelectBuilder::default().scorer(ScorerKind::Weighted(
            crate::model_select::Weighted::default(),
        )),
    ] {
        builder.build().unwrap();
    }
}

/// Thinks everything simple.
#[derive(Debug)]
struct Lowest;

impl Scorer for Lowest {
    fn tiers(&self) -> &[&'static str] {
        &["low", "medium", "high"]
    }

    fn score(&self, _: &Features<'_>) -> Score {
        Score::new(0, "all is simple")
    }
}
