use serde_json::json;

use super::*;
use crate::{
    message::{Endpoint, Media, Reason, Rejection, UsageWanted, require_usage},
    testing::read,
};

fn rules<const N: usize>(rules: [ParamRule; N]) -> ModelRewriteLayer {
    rules
        .into_iter()
        .fold(aliases([("fast", "real")]), ModelRewriteBuilder::rule)
        .build()
        .unwrap()
}

async fn sent_to(layer: &ModelRewriteLayer, path: &str, text: &str) -> String {
    let request = passed(layer, post(path, text)).await.unwrap();
    String::from_utf8(request.body().as_bytes().unwrap().to_vec()).unwrap()
}

async fn dropped(layer: &ModelRewriteLayer, text: &str) -> String {
    reported(layer, text, X_RELAY_DROPPED_PARAMS).await
}

#[tokio::test]
async fn a_parameter_gets_its_other_name_where_it_stands() {
    let layer = rules([real().rename("max_tokens", "max_completion_tokens")]);
    assert_eq!(
        sent(&layer, r#"{"model":"fast", "max_tokens" : 1e1, "n":1.0}"#).await,
        r#"{"model":"real", "max_completion_tokens" : 1e1, "n":1.0}"#
    );
}

#[tokio::test]
async fn the_new_name_wins_where_both_are_there_and_says_so() {
    let layer = rules([real().rename("a", "b")]);
    for (text, expected, gone) in [
        (
            r#"{"a":1,"b":2,"model":"real"}"#,
            r#"{"b":2,"model":"real"}"#,
            "a",
        ),
        (
            r#"{"a":1,"b":null,"model":"real"}"#,
            r#"{"b":1,"model":"real"}"#,
            "",
        ),
        (r#"{"b":2,"model":"real"}"#, r#"{"b":2,"model":"real"}"#, ""),
    ] {
        assert_eq!(sent(&layer, text).await, expected);
        assert_eq!(dropped(&layer, text).await, gone, "{text}");
    }
}

#[tokio::test]
async fn of_two_that_get_one_name_the_first_by_the_alphabet_wins() {
    let layer = rules([real().rename("b", "x").rename("a", "x")]);
    assert_eq!(
        sent(&layer, r#"{"b":2,"a":1,"model":"real"}"#).await,
        r#"{"x":1,"model":"real"}"#
    );
}

#[tokio::test]
async fn fixed_parameters_are_always_set_and_defaults_where_nothing_is_said() {
    let stop = json!(["a", {"b": 1.5}]);
    let layer = rules([real().set("store", false).default_value("stop", stop)]);
    for (text, expected) in [
        (
            r#"{"model":"fast"}"#,
            r#"{"model":"real","store":false,"stop":["a",{"b":1.5}]}"#,
        ),
        (
            r#"{"model":"real","stop":null,"store":true}"#,
            r#"{"model":"real","stop":["a",{"b":1.5}],"store":false}"#,
        ),
        (
            r#"{"model":"real","stop":"x","store":false}"#,
            r#"{"model":"real","stop":"x","store":false}"#,
        ),
    ] {
        assert_eq!(sent(&layer, text).await, expected);
        assert_eq!(dropped(&layer, text).await, "");
    }
}

#[tokio::test]
async fn dropped_parameters_are_reported_by_their_names() {
    let layer = rules([real().drop(["temperature", "top_*"])]);
    let text = r#"{"top_p":1, "model":"real","temp\u0065rature":0.1,"messages":[], "top_k":2}"#;
    let without = r#"{"model":"real","messages":[]}"#;
    assert_eq!(sent(&layer, text).await, without);
    assert_eq!(dropped(&layer, text).await, "top_p, temperature, top_k");
    assert_eq!(dropped(&layer, without).await, "");
}

#[tokio::test]
async fn a_pattern_for_everything_leaves_the_model() {
    let layer = rules([real().drop(["*"])]);
    assert_eq!(
        sent(&layer, r#"{"a":1,"model":"fast","b":2}"#).await,
        r#"{"model":"real"}"#
    );
}

#[tokio::test]
async fn a_rejected_parameter_is_named_and_nothing_is_sent() {
    let layer = rules([real().reject(["logit_*"])]);
    let text = r#"{"model":"fast","logit_bias":{"1":2}}"#;
    let response = passed(&layer, post(CHAT, text)).await.unwrap_err();
    assert_eq!(
        response.extensions().get::<Rejection>().unwrap().reason,
        Reason::InvalidRequest
    );
    let (head, text) = read(response).await;
    assert_eq!(head.status, 400);
    assert_eq!(
        text,
        r#"{"error":{"message":"Unsupported parameter: 'logit_bias' is not supported with this model.","type":"invalid_request_error","param":"logit_bias","code":"unsupported_parameter"}}"#
    );
    for passes in [
        r#"{"model":"fast","logit_bias":null}"#,
        r#"{"model":"other","logit_bias":{}}"#,
    ] {
        passed(&layer, post(CHAT, passes)).await.unwrap();
    }
}

#[tokio::test]
async fn a_rejected_name_however_long_makes_no_long_answer() {
    let layer = rules([real().reject(["x*"])]);
    let text = format!(r#"{{"model":"fast","{}":1}}"#, "x".repeat(100_000));
    let response = passed(&layer, post(CHAT, &text)).await.unwrap_err();
    assert!(read(response).await.1.len() < 1000);
}

#[tokio::test]
async fn every_rule_that_matches_applies_to_what_the_one_before_left() {
    let layer = rules([
        ParamRule::new(["*"]).rename("a", "b").set("c", 1),
        ParamRule::new(["re*"]).drop(["b"]).set("c", 2),
        ParamRule::new(["other"]).set("c", 3),
    ]);
    assert_eq!(
        sent(&layer, r#"{"model":"fast","a":1}"#).await,
        r#"{"model":"real","c":2}"#
    );
    // A request that names no model is one of `*`.
    assert_eq!(sent(&layer, r#"{"a":1}"#).await, r#"{"b":1,"c":1}"#);
}

#[tokio::test]
async fn a_rule_for_some_endpoints_leaves_the_others() {
    let rule = real().rename("max_tokens", "max_completion_tokens");
    let layer = rules([rule.endpoints([Endpoint::ChatCompletions])]);
    let text = r#"{"model":"real","max_tokens":1}"#;
    assert_eq!(sent_to(&layer, "/v1/messages", text).await, text);
    assert_ne!(sent_to(&layer, CHAT, text).await, text);
}

#[tokio::test]
async fn stream_options_can_be_dropped_below_a_layer_that_asks_for_usage() {
    const STREAM: &str = "data: {\"model\":\"real\",\"choices\":[{}]}\n\ndata: [DONE]\n\n";
    let layer = rules([real().drop(["stream_options"])]);
    let text = r#"{"model":"real","stream":true}"#;
    let mut request = post(CHAT, text);
    let hide = require_usage(&mut request).unwrap().unwrap();
    let inner = answering(move |request| {
        assert_eq!(request.body().as_bytes().unwrap(), text);
        Response::new(ResponseBody::from(STREAM).with_media(Media::EventStream))
    });
    let Ok(response) = layer.layer(inner).oneshot(request).await;
    // The caller sent none, and is not told that they were dropped.
    assert!(!response.headers().contains_key(X_RELAY_DROPPED_PARAMS));
    assert_eq!(read(hide.hide(response)).await.1, STREAM);
}

#[tokio::test]
async fn whoever_answers_knows_that_usage_is_wanted_though_a_rule_drops_the_asking() {
    for wants in [true, false] {
        let layer = rules([real().drop(["stream_options"])]);
        let text = format!(
            r#"{{"model":"real","stream":true,"stream_options":{{"include_usage":{wants}}}}}"#
        );
        let request = passed(&layer, post(CHAT, &text)).await.unwrap();
        assert!(!request.body().wants_usage());
        let noted = request.extensions().get::<UsageWanted>();
        assert_eq!(noted.is_some(), wants);
    }
}

#[test]
fn values_that_json_does_not_have_are_refused() {
    for (field, value) in [
        ("set", "nan"),
        ("set", "{ a = [1, -inf] }"),
        ("default", "inf"),
        ("default", "1979-05-27"),
    ] {
        let text = format!("models = [\"*\"]\n{field} = {{ x = {value} }}");
        let error = toml::from_str::<ParamRule>(&text).unwrap_err();
        assert!(error.message().starts_with("JSON has no "), "{error}");
    }
    let text = "models = [\"*\"]\nset = { a = { b = [1, 2.5, \"c\", true] } }";
    let value = serde_json::json!({"b": [1, 2.5, "c", true]});
    assert_eq!(
        toml::from_str::<ParamRule>(text).unwrap(),
        ParamRule::new(["*"]).set("a", value)
    );
}
