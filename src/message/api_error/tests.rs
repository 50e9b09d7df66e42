use http::{HeaderMap, HeaderValue, StatusCode};
use proptest::prelude::*;

use super::{ApiError, Dialect};

fn read(status: u16, body: &str) -> ApiError {
    ApiError::read(
        StatusCode::from_u16(status).unwrap(),
        &HeaderMap::new(),
        body.as_bytes(),
    )
}

/// Body, message, type, code, param.
type Row = (
    &'static str,
    &'static str,
    &'static str,
    Option<&'static str>,
    Option<&'static str>,
);

#[test]
fn every_shape_in_use_is_read() {
    let rows: &[Row] = &[
        // OpenAI, DeepSeek, Ollama, Doubleword
        (
            r#"{"error":{"message":"m","type":"t","param":"p","code":"c"}}"#,
            "m",
            "t",
            Some("c"),
            Some("p"),
        ),
        (
            r#"{"error":{"message":"m","type":"t","param":null,"code":null},"status":401}"#,
            "m",
            "t",
            None,
            None,
        ),
        // Groq
        (
            r#"{"error":{"message":"m","type":"t","code":"c","failed_generation":"f"}}"#,
            "m",
            "t",
            Some("c"),
            None,
        ),
        // llama.cpp, Perplexity, vLLM
        (
            r#"{"error":{"code":400,"message":"m","type":"t","n_ctx":512}}"#,
            "m",
            "t",
            Some("400"),
            None,
        ),
        // OpenRouter
        (
            r#"{"error":{"code":429,"message":"m","metadata":{"raw":"{}"}},"user_id":"u"}"#,
            "m",
            "invalid_request_error",
            Some("429"),
            None,
        ),
        // Azure
        (
            r#"{"error":{"code":"DeploymentNotFound","message":"m","innererror":{"code":"i"}}}"#,
            "m",
            "invalid_request_error",
            Some("DeploymentNotFound"),
            None,
        ),
        // Gemini, Vertex; wrapped
        (
            r#"{"error":{"code":400,"message":"m","status":"INVALID_ARGUMENT","details":[]}}"#,
            "m",
            "INVALID_ARGUMENT",
            Some("400"),
            None,
        ),
        (
            r#"[{"error":{"code":400,"message":"m","status":"INVALID_ARGUMENT"}}]"#,
            "m",
            "INVALID_ARGUMENT",
            Some("400"),
            None,
        ),
        // Anthropic
        (
            r#"{"type":"error","error":{"type":"t","message":"m"},"request_id":"r"}"#,
            "m",
            "t",
            None,
            None,
        ),
        // Mistral, three forms
        (
            r#"{"object":"error","message":"m","type":"t","param":null,"code":"3051","raw_status_code":400}"#,
            "m",
            "t",
            Some("3051"),
            None,
        ),
        (
            r#"{"detail":"m"}"#,
            "m",
            "invalid_request_error",
            None,
            None,
        ),
        (
            r#"{"detail":[{"loc":["body","messages",0,"role"],"msg":"m","type":"missing"},{"loc":["body"],"msg":"n","type":"x"}]}"#,
            "messages.0.role: m; n",
            "invalid_request_error",
            Some("missing"),
            Some("messages.0.role"),
        ),
        (
            r#"{"object":"error","message":{"detail":[{"type":"extra_forbidden","loc":["body","stream_options"],"msg":"m"}]},"type":"t","code":null}"#,
            "stream_options: m",
            "t",
            Some("extra_forbidden"),
            Some("stream_options"),
        ),
        // SGLang, old vLLM, NIM
        (
            r#"{"object":"error","message":"m","type":"BadRequestError","param":null,"code":400}"#,
            "m",
            "BadRequestError",
            Some("400"),
            None,
        ),
        // xAI
        (
            r#"{"code":"invalid-argument","error":"m"}"#,
            "m",
            "invalid_request_error",
            Some("invalid-argument"),
            None,
        ),
        // Bedrock, Cohere
        (
            r#"{"message":"m"}"#,
            "m",
            "invalid_request_error",
            None,
            None,
        ),
        (
            r#"{"id":"i","message":"m","error_type":"t"}"#,
            "m",
            "t",
            None,
            None,
        ),
        // TGI, Venice, Ollama
        (r#"{"error":"m"}"#, "m", "invalid_request_error", None, None),
        (
            r#"{"error":"m","error_type":"validation"}"#,
            "m",
            "validation",
            None,
            None,
        ),
        // NIM
        (
            r#"{"status":404,"title":"Not Found","detail":"m"}"#,
            "m",
            "invalid_request_error",
            None,
            None,
        ),
        (
            r#"{"type":"about:blank","status":404,"title":"Not Found"}"#,
            "Not Found",
            "invalid_request_error",
            None,
            None,
        ),
        // Cloudflare
        (
            r#"{"result":null,"success":false,"errors":[{"code":7003,"message":"m"}],"messages":[]}"#,
            "m",
            "invalid_request_error",
            Some("7003"),
            None,
        ),
        // Doubleword; Zhipu
        (
            r#"{"code":"c","message":"m","type":"t"}"#,
            "m",
            "t",
            Some("c"),
            None,
        ),
        (
            r#"{"error":{"code":"1113","message":"余额不足"}}"#,
            "余额不足",
            "invalid_request_error",
            Some("1113"),
            None,
        ),
        // Gateways that wrap errors once more; an error in the frame of an event
        (
            r#"{"error":{"error":{"message":"m","type":"t","code":"c"}}}"#,
            "m",
            "t",
            Some("c"),
            None,
        ),
        (
            "event: error\ndata: {\"error\":{\"message\":\"m\",\"type\":\"t\"}}\n\n",
            "m",
            "t",
            None,
            None,
        ),
        (
            "error: {\"message\":\"m\",\"type\":\"t\"}\n\n",
            "m",
            "t",
            None,
            None,
        ),
        // Neither JSON nor a web page
        ("\"m\"", "m", "invalid_request_error", None, None),
        (
            " no healthy upstream\n",
            "no healthy upstream",
            "invalid_request_error",
            None,
            None,
        ),
        (
            "\u{feff}\n {\"error\":\"m\"}",
            "m",
            "invalid_request_error",
            None,
            None,
        ),
    ];
    for (body, message, kind, code, param) in rows {
        let error = read(400, body);
        assert_eq!(
            (error.message(), error.kind(), error.code(), error.param()),
            (*message, *kind, *code, *param),
            "{body}"
        );
    }
}

#[test]
fn a_body_that_says_nothing_leaves_the_status_to_speak() {
    for body in [
        "",
        "{}",
        "null",
        "[]",
        "{\"error\":{}}",
        "{\"error\":\"\"}",
        "{\"error\":{\"message\":",
        "<html>",
        "\u{1}",
    ] {
        let error = read(502, body);
        assert_eq!(
            error.message(),
            "the upstream answered 502 Bad Gateway",
            "{body}"
        );
        assert_eq!(
            (error.kind(), error.code()),
            ("server_error", None),
            "{body}"
        );
    }
    assert_eq!(read(530, "").message(), "the upstream answered 530");
    let page = "<html><head><title>api.example.com | 522: Connection timed out</title>";
    assert_eq!(
        read(522, page).message(),
        "the upstream answered 522: api.example.com | 522: Connection timed out"
    );
}

#[test]
fn a_compressed_body_is_not_read() {
    let mut headers = HeaderMap::new();
    headers.insert("content-encoding", HeaderValue::from_static("gzip"));
    let error = ApiError::read(StatusCode::BAD_GATEWAY, &headers, b"looks like text");
    assert_eq!(error.message(), "the upstream answered 502 Bad Gateway");
}

#[test]
fn what_providers_nest_is_kept_as_details() {
    let details = |body: &str| {
        read(400, body)
            .details()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        details(
            r#"{"error":{"code":400,"message":"Provider returned error","metadata":{"raw":"{\"error\":{\"message\":\"m\",\"type\":\"t\",\"code\":\"c\"}}","provider_name":"X"}}}"#
        ),
        ["m", "t", "c"],
    );
    assert_eq!(
        details(r#"{"error":{"message":"m","metadata":{"raw":"plain words"}}}"#),
        ["plain words"]
    );
    assert_eq!(
        details(
            r#"{"error":{"message":"m","innererror":{"code":"ResponsibleAIPolicyViolation"}}}"#
        ),
        ["ResponsibleAIPolicyViolation"]
    );
    assert_eq!(
        details(
            r#"{"type":"error","error":{"type":"t","message":"m","details":{"error_code":"c"}}}"#
        ),
        ["c"]
    );
    let many = format!(
        r#"{{"error":{{"message":"m","details":[{}0]}}}}"#,
        r#"{"reason":"r"},"#.repeat(100)
    );
    assert_eq!(details(&many).len(), 16);
}

#[test]
fn what_is_kept_is_bounded() {
    let long = "é".repeat(30_000);
    let error = read(400, &format!(r#"{{"error":{{"message":"{long}"}}}}"#));
    assert!(error.message().len() <= 4 << 10 && error.message().ends_with('…'));
    let long = "é".repeat(1000);
    let body = format!(
        r#"{{"error":{{"message":"m","type":"{long}","code":"{long}","param":"{long}","details":{{"reason":"{long}"}}}}}}"#
    );
    let error = read(400, &body);
    assert!(error.kind().len() <= 256);
    assert!(error.code().unwrap().len() <= 256);
    assert!(error.param().unwrap().len() <= 256);
    assert!(error.details().all(|detail| detail.len() <= 1 << 10));
    // More than is read of any body.
    let error = read(
        500,
        &format!(
            r#"{{"error":{{"message":"m","echo":"{}"}}}}"#,
            "x".repeat(70_000)
        ),
    );
    assert_eq!(
        error.message(),
        "the upstream answered 500 Internal Server Error"
    );
}

#[test]
fn deep_nesting_takes_no_stack() {
    for (open, close) in [("[", "]"), ("{\"error\":", "}"), ("{\"response\":", "}")] {
        let deep = format!("{}\"error\"{}", open.repeat(20_000), close.repeat(20_000));
        assert!(!read(400, &deep).message().is_empty());
        let _ = ApiError::in_answer(deep.as_bytes());
    }
}

#[test]
fn an_error_inside_a_200_is_recognised_with_the_status_it_should_have_had() {
    let rows: &[(&str, &str, u16)] = &[
        // OpenRouter: a body, an event, an event with choices, a choice
        (
            r#"{"error":{"code":502,"message":"m","metadata":{}},"user_id":"u"}"#,
            "m",
            502,
        ),
        (
            r#"{"id":"g","provider":"p","error":{"code":400,"message":"m"},"object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":""},"finish_reason":"error"}]}"#,
            "m",
            400,
        ),
        (
            r#"{"choices":[{"error":{"code":502,"message":"m","metadata":{"raw":{"retryable":true}}},"finish_reason":null,"index":0}]}"#,
            "m",
            502,
        ),
        // Groq
        (
            r#"{"error":{"message":"m","type":"invalid_request_error","code":"tool_use_failed","failed_generation":"f","status_code":400}}"#,
            "m",
            400,
        ),
        // SGLang
        (
            r#"{"error":{"object":"error","message":"m","type":"BadRequestError","param":null,"code":400}}"#,
            "m",
            400,
        ),
        (
            r#"{"object":"error","message":"m","type":"BadRequestError","param":null,"code":400}"#,
            "m",
            400,
        ),
        // LM Studio, lemonade, Ollama, TGI
        (
            r#"{"error":"Trying to keep the first 9 tokens when context the overflows."}"#,
            "Trying to keep the first 9 tokens when context the overflows.",
            400,
        ),
        (r#"{"error":"m","error_type":"validation"}"#, "m", 422),
        (r#"{"error":"m"}"#, "m", 502),
        // Venice
        (
            r#"{"error_type":"server_error","error_message":"m"}"#,
            "m",
            500,
        ),
        // Azure
        (
            r#"{"error":{"message":"m","type":null,"param":"prompt","code":"content_filter","innererror":{"code":"ResponsibleAIPolicyViolation"}}}"#,
            "m",
            400,
        ),
        // OpenAI's Responses: the specified event, the recorded one, the end, the whole object
        (
            r#"{"type":"error","code":"server_error","message":"m","param":null,"sequence_number":3}"#,
            "m",
            500,
        ),
        (
            r#"{"type":"error","sequence_number":2,"error":{"type":"insufficient_quota","code":"insufficient_quota","message":"m","param":null}}"#,
            "m",
            429,
        ),
        (
            r#"{"type":"response.failed","sequence_number":3,"response":{"object":"response","status":"failed","error":{"code":"rate_limit_exceeded","message":"m"}}}"#,
            "m",
            429,
        ),
        (
            r#"{"type":"response.failed","response":{"status":"failed","error":null}}"#,
            "the response failed",
            502,
        ),
        (
            r#"{"id":"r","object":"response","status":"failed","error":{"code":"server_error","message":"m"},"output":[]}"#,
            "m",
            500,
        ),
        // Anthropic
        (
            r#"{"type":"error","error":{"type":"overloaded_error","message":"m"}}"#,
            "m",
            503,
        ),
        (
            r#"{"type":"error","error":{"type":"not_found_error","message":"m"}}"#,
            "m",
            404,
        ),
        // Cloudflare
        (
            r#"{"result":null,"success":false,"errors":[{"code":7003,"message":"m"}],"messages":[]}"#,
            "m",
            502,
        ),
        (r#"{"errors":[{"message":"m"}]}"#, "m", 502),
        // Gemini, in an array
        (
            r#"[{"candidates":[{"content":{"parts":[{"text":"error"}]}}]},{"error":{"code":503,"message":"m","status":"UNAVAILABLE"}}]"#,
            "m",
            503,
        ),
    ];
    for (json, message, status) in rows {
        let error = ApiError::in_answer(json.as_bytes()).unwrap_or_else(|| panic!("{json}"));
        assert_eq!(
            (error.message(), error.status().as_u16()),
            (*message, *status),
            "{json}"
        );
    }
}

#[test]
fn an_answer_that_speaks_of_errors_is_none() {
    for json in [
        r#"{"id":"r","object":"response","status":"completed","error":null,"output":[]}"#,
        r#"{"choices":[{"message":{"content":"{\"error\":{\"message\":\"m\"}}"},"error":null}],"error":{}}"#,
        r#"{"object":"response","error":null,"output":[{"type":"mcp_call","error":{"code":500,"message":"m"}}]}"#,
        r#"{"type":"response.output_item.done","item":{"type":"mcp_call","error":"m"}}"#,
        r#"{"type":"message","content":[{"type":"web_search_tool_result","content":{"type":"web_search_tool_result_error","error_code":"max_uses_exceeded"}}]}"#,
        r#"{"type":"content_block_delta","delta":{"type":"text_delta","text":"\"type\":\"error\""}}"#,
        r#"{"result":{"response":"error"},"success":true,"errors":[],"messages":[]}"#,
        r#"{"object":"fine_tuning.job","error":{"code":"x","message":"m"}}"#,
        r#"{"object":"batch","errors":{"object":"list","data":[{"message":"m"}]}}"#,
        r#"{"object":"fine_tuning.job","error":{"code":null,"message":null,"param":null}}"#,
        r#"{"choices":[],"error":false}"#,
        r#"{"errors":[{"message":"one of many"}],"data":[{"id":"x"}]}"#,
        r#"{"error":"#,
        "error",
        "[DONE]",
        "",
    ] {
        assert_eq!(ApiError::in_answer(json.as_bytes()), None, "{json}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_bytes_read_to_a_message(status in 400_u16..600, body in prop::collection::vec(any::<u8>(), 0..200)) {
        let error = ApiError::read(StatusCode::from_u16(status).unwrap(), &HeaderMap::new(), &body);
        prop_assert!(!error.message().is_empty());
        prop_assert_eq!(error.status().as_u16(), status);
        let _ = ApiError::in_answer(&body);
    }

    #[test]
    fn what_is_written_reads_the_same(message in "[^ \\s]{1,20}", code in "[a-z_]{4,10}", param in "[a-z]{1,9}") {
        let status = StatusCode::TOO_MANY_REQUESTS;
        let error = ApiError::new(status, "tokens", message).with_code(code).with_param(param);
        let body = error.to_json(Dialect::OpenAi);
        prop_assert_eq!(&ApiError::read(status, &HeaderMap::new(), body.as_bytes()), &error);
        let event = error.to_event(Dialect::Responses);
        prop_assert_eq!(&ApiError::read(status, &HeaderMap::new(), &event), &error);
        let data = event.strip_prefix(b"event: error\ndata: ").unwrap();
        let found = ApiError::in_answer(data).unwrap();
        prop_assert_eq!((found.message(), found.code(), found.param()), (error.message(), error.code(), error.param()));
    }
}
