use super::*;
use crate::message::{
    Endpoint,
    catalog::{Capabilities, ModelInfo},
};

fn check(checks: Checks, endpoint: Endpoint, body: &str, info: &ModelInfo) -> String {
    let body = RequestBody::json(body.to_owned());
    match checks.check(endpoint, &body, info) {
        Ok(()) => "fits".to_owned(),
        Err(error) => format!(
            "{} {}",
            error.code().unwrap_or_default(),
            error.param().unwrap_or_default()
        ),
    }
}

const ASKING: [(Endpoint, &str, &str); 9] = [
    (
        Endpoint::ChatCompletions,
        r#"{"stream":true,"messages":[]}"#,
        "stream",
    ),
    (
        Endpoint::ChatCompletions,
        r#"{"tools":[{"type":"function"}]}"#,
        "tools",
    ),
    (
        Endpoint::ChatCompletions,
        r#"{"functions":[{"name":"f"}]}"#,
        "functions",
    ),
    (
        Endpoint::ChatCompletions,
        r#"{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"x"}}]}]}"#,
        "messages",
    ),
    (
        Endpoint::Messages,
        r#"{"messages":[{"content":[{"type":"tool_result","content":[{"type":"image","source":{}}]}]}]}"#,
        "messages",
    ),
    (
        Endpoint::Responses,
        r#"{"input":[{"content":[{"type":"input_image","image_url":"x"}]}]}"#,
        "input",
    ),
    (
        Endpoint::ChatCompletions,
        r#"{"response_format":{"type":"json_schema","json_schema":{}}}"#,
        "response_format",
    ),
    (
        Endpoint::Responses,
        r#"{"text":{"format":{"type":"json_schema"}}}"#,
        "text",
    ),
    (
        Endpoint::Messages,
        r#"{"output_config":{"format":{"type":"json_schema"}}}"#,
        "output_config",
    ),
];

fn info(can: Option<bool>) -> ModelInfo {
    let mut info = ModelInfo::new("m");
    info.capabilities = Capabilities {
        streaming: can,
        tools: can,
        images: can,
        json: can,
    };
    info
}

#[test]
fn what_a_model_is_known_not_to_have_is_refused_and_named() {
    let checks = Checks::new().capabilities(true);
    for (endpoint, body, param) in ASKING {
        assert_eq!(
            check(checks, endpoint, body, &info(Some(false))),
            format!("unsupported_parameter {param}"),
            "{body}"
        );
    }
}

#[test]
fn what_is_not_known_or_not_to_be_checked_refuses_nothing() {
    let on = Checks::new()
        .capabilities(true)
        .window(Window::PromptAndOutput);
    for (endpoint, body, _) in ASKING {
        for (checks, can) in [(on, None), (on, Some(true)), (Checks::new(), Some(false))] {
            assert_eq!(check(checks, endpoint, body, &info(can)), "fits", "{body}");
        }
    }
}

#[test]
fn what_only_looks_like_it_is_not_refused() {
    let checks = Checks::new().capabilities(true);
    for body in [
        r#"{"stream":false,"tools":[],"functions":null,"response_format":{"type":"text"}}"#,
        r#"{"tools":"x","messages":[{"content":"\"type\":\"image_url\""}]}"#,
        r#"{"response_format":{"type":"json_object"},"text":{"format":{"type":"text"}}}"#,
        r#"{"messages":[{"content":[{"type":"file","file":{"file_id":"f"}}]}]}"#,
        r#"{"messages":[{"content":[{"type":"document","source":{"type":"text"}}]}]}"#,
        r#"{"messages":{"content":7},"input":[1,"x",[{}]]}"#,
    ] {
        assert_eq!(
            check(checks, Endpoint::ChatCompletions, body, &info(Some(false))),
            "fits",
            "{body}"
        );
    }
}

/// A prompt of `tokens` lists token ids, so that its estimate is exact.
fn tokens(count: usize, more: &str) -> String {
    format!(r#"{{"prompt":[{}]{more}}}"#, vec!["7"; count].join(","))
}

#[test]
fn a_prompt_beyond_the_window_by_more_than_the_margin_is_refused() {
    let mut info = info(None);
    info.context_window = Some(100);
    let prompt = Checks::new().window(Window::Prompt);
    let both = prompt.window(Window::PromptAndOutput);
    let exact = both.window_margin_percent(0);
    let refused = "context_length_exceeded prompt";
    let capped = r#","max_tokens":50"#;
    for (checks, body, expected) in [
        (prompt, tokens(134, ""), "fits"),
        (prompt, tokens(135, ""), refused),
        (prompt, tokens(100, capped), "fits"),
        (both, tokens(67, capped), "fits"),
        (both, tokens(68, capped), refused),
        (exact, tokens(50, capped), "fits"),
        (exact, tokens(51, capped), refused),
        (exact, tokens(100, ""), "fits"),
        (
            exact,
            tokens(1, r#","max_tokens":18446744073709551615"#),
            refused,
        ),
        (Checks::new(), tokens(500, capped), "fits"),
    ] {
        assert_eq!(
            check(checks, Endpoint::Completions, &body, &info),
            expected,
            "{checks:?} {body}"
        );
    }
}

#[test]
fn several_prompts_in_one_request_have_a_window_each() {
    let mut info = info(None);
    info.context_window = Some(10);
    let checks = Checks::new().window(Window::Prompt);
    let long = "word ".repeat(100);
    let text = |name: &str, rest: &str| format!(r#"{{"{name}":"{long}"{rest}}}"#);
    let list = |name: &str| format!(r#"{{"{name}":["{long}","{long}"]}}"#);
    for (endpoint, body, expected) in [
        (Endpoint::Embeddings, list("input"), "fits"),
        (Endpoint::Completions, list("prompt"), "fits"),
        (
            Endpoint::Responses,
            text("input", r#","truncation":"auto""#),
            "fits",
        ),
        (
            Endpoint::Responses,
            text("input", ""),
            "context_length_exceeded input",
        ),
        (
            Endpoint::ChatCompletions,
            format!(r#"{{"messages":[{{"role":"user","content":"{long}"}}]}}"#),
            "context_length_exceeded messages",
        ),
    ] {
        assert_eq!(
            check(checks, endpoint, &body, &info),
            expected,
            "{endpoint:?}"
        );
    }
}
