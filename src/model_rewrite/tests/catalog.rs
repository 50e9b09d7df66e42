use super::*;
use crate::{
    message::{
        Outcome,
        catalog::{ModelCatalog, ModelInfo, ModelTable},
    },
    testing::refusal,
};

/// A catalog in which `real` gives 100 tokens of answer, and 50 at `host`.
fn catalog() -> ModelCatalog {
    let mut real = ModelInfo::new("real");
    real.max_output_tokens = Some(100);
    let mut at_host = ModelInfo::new("host/real");
    at_host.max_output_tokens = Some(50);
    ModelCatalog::new(ModelTable::from_iter([real, at_host]))
}

fn clamping() -> ModelRewriteBuilder {
    aliases([("fast", "real")])
        .clamp_output(true)
        .catalog(catalog())
}

#[tokio::test]
async fn caps_above_what_the_model_gives_are_lowered_and_reported() {
    let with_cap = |cap| clamping().rule(real().max_output_tokens(cap)).build();
    let known = clamping().build().unwrap();
    let at_host = clamping().provider("host").build().unwrap();
    let (lower, higher) = (with_cap(7).unwrap(), with_cap(200).unwrap());
    for (layer, cap, expected) in [
        (&known, "100", "100"),
        (&known, "101", "100"),
        (&known, "100.0", "100.0"),
        (&known, "1.01e2", "100"),
        (&known, "99999999999999999999999", "100"),
        (&known, "1e400", "100"),
        (&known, "-5", "-5"),
        (&known, "null", "null"),
        (&known, r#""500""#, r#""500""#),
        (&at_host, "100", "50"),
        (&lower, "100", "7"),
        (&higher, "500", "200"),
    ] {
        for name in ["max_tokens", "max_completion_tokens", "max_output_tokens"] {
            let text = format!(r#"{{"model":"fast", "{name}": {cap} }}"#);
            assert_eq!(
                sent(layer, &text).await,
                format!(r#"{{"model":"real", "{name}": {expected} }}"#)
            );
            let clamped = if cap == expected {
                String::new()
            } else {
                format!("{name}={expected}")
            };
            assert_eq!(
                reported(layer, &text, X_RELAY_CLAMPED_PARAMS).await,
                clamped
            );
        }
    }
}

#[tokio::test]
async fn what_is_not_known_or_not_asked_for_is_not_clamped() {
    let known = clamping().build().unwrap();
    let off = aliases([]).catalog(catalog()).build().unwrap();
    for (layer, text) in [
        (&known, r#"{"model":"unheard-of","max_tokens":1000000}"#),
        (&known, r#"{"model":"real"}"#),
        (&off, r#"{"model":"real","max_tokens":1000000}"#),
    ] {
        assert_eq!(sent(layer, text).await, text);
    }
}

#[tokio::test]
async fn what_a_rule_sets_or_renames_is_clamped_too() {
    let layer = clamping()
        .rule(real().rename("max_tokens", "max_completion_tokens"))
        .rule(real().default_value("max_completion_tokens", 4096))
        .build()
        .unwrap();
    for text in [
        r#"{"model":"real"}"#,
        r#"{"model":"real","max_tokens":300}"#,
    ] {
        assert_eq!(
            sent(&layer, text).await,
            r#"{"model":"real","max_completion_tokens":100}"#
        );
    }
}

#[tokio::test]
async fn what_a_model_cannot_do_is_refused_after_the_rules_had_their_say() {
    let mut info = ModelInfo::new("real");
    info.capabilities.tools = Some(false);
    info.context_window = Some(10);
    let table = ModelTable::from_iter([info]);
    let checking = || {
        aliases([("fast", "real")])
            .catalog(ModelCatalog::new(table.clone()))
            .checks(Checks::new().capabilities(true).window(Window::Prompt))
    };
    let layer = checking().build().unwrap();
    let tools = r#"{"model":"fast","tools":[{}]}"#;
    let long = format!(r#"{{"model":"fast","prompt":"{}"}}"#, "word ".repeat(50));
    for (text, code, outcome) in [
        (tools, "unsupported_parameter", Outcome::InvalidRequest),
        (&long, "context_length_exceeded", Outcome::ContextTooLong),
    ] {
        let response = passed(&layer, post(CHAT, text)).await.unwrap_err();
        assert_eq!(Outcome::of_head(&response), Some(outcome));
        assert_eq!(refusal(response).await, (400, code.to_owned()));
    }
    let dropping = checking().rule(real().drop(["tools"])).build().unwrap();
    assert_eq!(sent(&dropping, tools).await, r#"{"model":"real"}"#);
    let other = post(CHAT, r#"{"model":"other","tools":[{}]}"#);
    passed(&layer, other).await.unwrap();
}

#[tokio::test]
async fn a_body_that_no_rule_concerns_is_the_one_that_came() {
    let layer = clamping()
        .rule(real().drop(["x"]).rename("a", "b").reject(["y"]))
        .rule(ParamRule::new(["other"]).set("z", 1))
        .build()
        .unwrap();
    let request = post(CHAT, r#"{"model":"real","max_tokens":5}"#);
    let before = request.body().as_bytes().unwrap().as_ptr() as usize;
    let request = passed(&layer, request).await.unwrap();
    assert_eq!(request.body().as_bytes().unwrap().as_ptr() as usize, before);
}

#[test]
fn a_margin_out_of_range_is_refused() {
    let error = ModelRewriteLayer::builder()
        .checks(Checks::new().window_margin_percent(100))
        .build()
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "checks.window_margin_percent: must be at most 99"
    );
}
