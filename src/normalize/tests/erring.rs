//! Errors, by status and inside of a success.

use std::convert::Infallible;

use futures_util::FutureExt;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use serde_json::Value;
use tokio_test::block_on;
use tower::{ServiceBuilder, ServiceExt, service_fn};

use crate::{
    message::{Outcome, RequestBody, ResponseBody},
    normalize::{NormalizePolicy, OriginalAnswer, ResponseNormalizeLayer},
};

/// What a caller of `path` gets for an answer of `status`.
fn answered(
    policy: NormalizePolicy,
    path: &str,
    status: u16,
    headers: &[(&'static str, &'static str)],
    body: &'static str,
) -> Response<String> {
    let layer = ResponseNormalizeLayer::builder()
        .policy(policy)
        .build()
        .unwrap();
    let service =
        ServiceBuilder::new()
            .layer(layer)
            .service(service_fn(|_: Request<RequestBody>| {
                let mut response = Response::new(http_body_util::Full::from(body));
                *response.status_mut() = StatusCode::from_u16(status).unwrap();
                for (name, value) in headers {
                    response.headers_mut().insert(*name, value.parse().unwrap());
                }
                std::future::ready(Ok::<_, Infallible>(ResponseBody::wrap(response)))
            }));
    let request = Request::post(path).body(RequestBody::json("{}")).unwrap();
    let response = service.oneshot(request).now_or_never().unwrap().unwrap();
    response.map(|body| {
        let body = body.collect().now_or_never().unwrap().unwrap();
        String::from_utf8(body.to_bytes().to_vec()).unwrap()
    })
}

const CHAT: &str = "/v1/chat/completions";
const JSON: (&str, &str) = ("content-type", "application/json");

fn lenient(status: u16, body: &'static str) -> Response<String> {
    answered(NormalizePolicy::Lenient, CHAT, status, &[JSON], body)
}

#[test]
fn every_shape_becomes_openais_with_the_status_that_it_deserves() {
    for (status, body, expected, code, message) in [
        (
            403,
            r#"{"error":{"message":"Input token count + max_tokens must be less than 8193","type":"x"}}"#,
            400,
            Some("context_length_exceeded"),
            "Input token",
        ),
        (
            429,
            r#"{"error":{"code":"1113","message":"Insufficient balance"}}"#,
            429,
            Some("insufficient_quota"),
            "Insufficient",
        ),
        (
            402,
            r#"{"detail":"no money"}"#,
            429,
            Some("insufficient_quota"),
            "no money",
        ),
        (
            529,
            r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"},"request_id":"r"}"#,
            503,
            None,
            "Overloaded",
        ),
        (
            422,
            r#"{"detail":[{"loc":["body","n"],"msg":"Extra inputs","type":"extra_forbidden"}]}"#,
            422,
            Some("extra_forbidden"),
            "n: Extra",
        ),
        (
            400,
            r#"[{"error":{"code":400,"message":"API key not valid","status":"INVALID_ARGUMENT"}}]"#,
            401,
            Some("invalid_api_key"),
            "API key",
        ),
        (
            404,
            r#"{"code":"x","error":"no such model"}"#,
            404,
            Some("model_not_found"),
            "no such",
        ),
        (500, "<html><title>Oops</title></html>", 500, None, "Oops"),
        (503, "", 503, None, "the upstream answered 503"),
        (
            200,
            r#"{"error":"context size has been exceeded"}"#,
            400,
            Some("context_length_exceeded"),
            "context",
        ),
        (
            200,
            r#"{"id":"1","choices":[{"error":{"code":502,"message":"m"}}]}"#,
            502,
            None,
            "m",
        ),
    ] {
        let response = lenient(status, body);
        assert_eq!(response.status(), expected, "{body}");
        let json: Value = serde_json::from_str(response.body()).unwrap();
        let error = &json["error"];
        assert!(
            error["message"].as_str().unwrap().contains(message),
            "{json}"
        );
        assert!(
            error["type"].is_string() && error.get("param").is_some(),
            "{json}"
        );
        assert_eq!(error["code"].as_str(), code, "{json}");
        assert!(json.get("choices").is_none(), "{json}");
        assert_eq!(response.headers()["content-type"], "application/json");
        assert_eq!(
            response.headers()["content-length"],
            response.body().len().to_string()
        );
        let original = response.extensions().get::<OriginalAnswer>().unwrap();
        assert_eq!(
            (original.status.as_u16(), &original.body[..]),
            (status, body.as_bytes())
        );
        assert_ne!(Outcome::of(&response), Some(Outcome::Success));
    }
}

#[test]
fn openais_own_error_passes_with_all_that_it_says() {
    let body = r#"{"error":{"message":"m","type":"invalid_request_error","param":null,"code":"x"},"status":400}"#;
    let response = lenient(400, body);
    assert_eq!(
        (response.status().as_u16(), response.body().as_str()),
        (400, body)
    );
    assert!(response.extensions().get::<OriginalAnswer>().is_none());
}

#[test]
fn what_else_an_error_says_stays_and_so_does_its_wait() {
    let body = r#"{"error":{"message":"Failed to call a function","type":"invalid_request_error","code":"tool_use_failed","failed_generation":"<f>"}}"#;
    let response = answered(
        NormalizePolicy::Lenient,
        CHAT,
        400,
        &[JSON, ("etag", "x"), ("retry-after", "3")],
        body,
    );
    assert!(
        response.body().contains(r#""failed_generation":"<f>""#),
        "{}",
        response.body()
    );
    assert_eq!(response.headers()["retry-after"], "3");
    assert!(!response.headers().contains_key("etag"));
    let body = r#"{"error":{"code":429,"message":"Please retry in 48.9s.","status":"RESOURCE_EXHAUSTED"}}"#;
    assert_eq!(lenient(429, body).headers()["retry-after"], "49");
}

#[test]
fn errors_of_every_endpoint_with_openais_dialect_are_put_right_and_others_pass() {
    for (path, passes) in [
        ("/v1/embeddings", false),
        ("/v1/completions", false),
        ("/v1/responses", false),
        ("/v1/messages", true),
        ("/v1/files", true),
    ] {
        let body = r#"{"detail":"no"}"#;
        let response = answered(NormalizePolicy::Lenient, path, 400, &[JSON], body);
        assert_eq!(response.body() == body, passes, "{path}");
    }
    let failed =
        r#"{"object":"response","status":"failed","error":{"code":"server_error","message":"m"}}"#;
    let response = answered(
        NormalizePolicy::Lenient,
        "/v1/responses",
        200,
        &[JSON],
        failed,
    );
    assert_eq!(
        (response.status().as_u16(), response.body().as_str()),
        (200, failed)
    );
}

#[test]
fn what_is_compressed_is_never_touched() {
    let headers = [JSON, ("content-encoding", "gzip"), ("content-length", "4")];
    for status in [200, 500] {
        let response = answered(NormalizePolicy::Lenient, CHAT, status, &headers, "gzip");
        assert_eq!(
            (response.status().as_u16(), response.body().as_str()),
            (status, "gzip")
        );
        assert_eq!(response.headers()["content-length"], "4");
    }
}

#[test]
fn a_model_that_failed_is_an_error() {
    let body = r#"{"id":"1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"a","refusal":null},"logprobs":null,"finish_reason":"insufficient_system_resource"}]}"#;
    let response = lenient(200, body);
    assert_eq!(response.status(), 503);
    assert!(response.body().contains("insufficient_system_resource"));
}

#[test]
fn json_of_another_content_type_gets_its_own() {
    let body = r#"{"id":"1","object":"chat.completion","created":1,"model":"m","choices":[]}"#;
    let headers = [("content-type", "application/octet-stream")];
    let response = answered(NormalizePolicy::Lenient, CHAT, 200, &headers, body);
    assert_eq!(response.headers()["content-type"], "application/json");
    assert_eq!(response.body(), body);
    let response = answered(NormalizePolicy::Lenient, CHAT, 200, &headers, "\u{1}\u{2}");
    assert_eq!(
        response.headers()["content-type"],
        "application/octet-stream"
    );
}

#[test]
fn an_error_is_put_right_once_and_then_stays() {
    for (status, body) in [
        (
            403,
            r#"{"error":{"message":"Input token count + max_tokens must be less than 8193"}}"#,
        ),
        (402, r#"{"error":"no money"}"#),
        (
            529,
            r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#,
        ),
        (424, "broken"),
    ] {
        let once = lenient(status, body);
        let text: &'static str = Box::leak(once.body().clone().into_boxed_str());
        let twice = lenient(once.status().as_u16(), text);
        assert_eq!(
            (twice.status(), twice.body()),
            (once.status(), once.body()),
            "{body}"
        );
        assert!(
            twice.extensions().get::<OriginalAnswer>().is_none(),
            "{body}"
        );
    }
}

#[test]
fn a_body_that_breaks_breaks_for_the_caller_and_its_error_is_told_all_the_same() {
    for (status, survives) in [(200, false), (500, true)] {
        let layer = ResponseNormalizeLayer::new();
        let service =
            ServiceBuilder::new()
                .layer(layer)
                .service(service_fn(|_: Request<RequestBody>| {
                    let frames = [
                        Ok(http_body::Frame::data(bytes::Bytes::from(
                            "{\"choices\":[]}",
                        ))),
                        Err("reset by peer"),
                    ];
                    let body = http_body_util::StreamBody::new(futures_util::stream::iter(frames));
                    let mut response = Response::new(body);
                    *response.status_mut() = StatusCode::from_u16(status).unwrap();
                    response
                        .headers_mut()
                        .insert("content-type", "application/json".parse().unwrap());
                    std::future::ready(Ok::<_, Infallible>(ResponseBody::wrap(response)))
                }));
        let request = Request::post(CHAT).body(RequestBody::json("{}")).unwrap();
        let response = service.oneshot(request).now_or_never().unwrap().unwrap();
        let body = block_on(response.into_body().collect());
        assert_eq!(body.is_ok(), survives, "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_whose_body_never_ends_is_waited_for_no_longer_than_a_second() {
    let service = ServiceBuilder::new()
        .layer(ResponseNormalizeLayer::new())
        .service(service_fn(|_: Request<RequestBody>| {
            let said = futures_util::stream::iter([Ok::<_, Infallible>(http_body::Frame::data(
                bytes::Bytes::from("{\"detail\":\"slow\"}"),
            ))]);
            let silent = futures_util::StreamExt::chain(said, futures_util::stream::pending());
            let mut response = Response::new(http_body_util::StreamBody::new(silent));
            *response.status_mut() = StatusCode::BAD_REQUEST;
            std::future::ready(Ok::<_, Infallible>(ResponseBody::wrap(response)))
        }));
    let request = Request::post(CHAT).body(RequestBody::json("{}")).unwrap();
    let start = tokio::time::Instant::now();
    let response = service.oneshot(request).await.unwrap();
    assert_eq!(start.elapsed().as_secs(), 1);
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert!(
        body.starts_with(b"{\"error\":{\"message\":\"slow\""),
        "{body:?}"
    );
}
