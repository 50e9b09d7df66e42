//! Content filters, missing models, and refused keys.

use super::{check, outcome};
use crate::message::Outcome;

#[test]
fn refused_content_is_told_from_bad_requests() {
    check(&[
        (
            400,
            r#"{"error":{"message":"x","type":"invalid_request_error","code":"content_policy_violation"}}"#,
            "content_filtered",
        ),
        (
            400,
            r#"{"error":{"message":"x","type":"invalid_request_error","code":"cyber_policy"}}"#,
            "content_filtered",
        ),
        (
            400,
            r#"{"error":{"message":"x","code":"BadRequest","innererror":{"code":"ResponsibleAIPolicyViolation"}}}"#,
            "content_filtered",
        ),
        (
            400,
            r#"{"error":{"message":"Your prompt was flagged as potentially violating our usage policy.","type":"invalid_request_error","code":"invalid_prompt"}}"#,
            "content_filtered",
        ),
        (
            400,
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"Output blocked by content filtering policy"}}"#,
            "content_filtered",
        ),
        (
            403,
            r#"{"code":"The caller does not have permission to execute the specified operation","error":"Content violates usage guidelines. Failed check: SAFETY_CHECK_TYPE_CSAM"}"#,
            "content_filtered",
        ),
        (
            400,
            r#"{"error":{"code":"1301","message":"系统检测到输入或生成内容可能包含不安全或敏感内容"}}"#,
            "content_filtered",
        ),
        (
            400,
            r#"{"error":{"code":"sensitive","message":"x"}}"#,
            "content_filtered",
        ),
    ]);
}

#[test]
fn answers_that_end_for_their_content_are_filtered() {
    for reason in [
        "content_filter",
        "refusal",
        "guardrail_intervened",
        "content_filtered",
        "sensitive",
        "SAFETY",
        "RECITATION",
        "BLOCKLIST",
        "PROHIBITED_CONTENT",
        "SPII",
        "MODEL_ARMOR",
        "IMAGE_SAFETY",
        "ERROR_TOXIC",
        "LANGUAGE",
    ] {
        assert_eq!(
            Outcome::of_finish_reason(reason),
            Some(Outcome::ContentFiltered),
            "{reason}"
        );
    }
    for reason in [
        "error",
        "ERROR",
        "network_error",
        "MALFORMED_FUNCTION_CALL",
        "MALFORMED_RESPONSE",
        "abort",
    ] {
        assert_eq!(
            Outcome::of_finish_reason(reason),
            Some(Outcome::ServerError),
            "{reason}"
        );
    }
    let overloaded = Some(Outcome::Overloaded { retry_after: None });
    assert_eq!(
        Outcome::of_finish_reason("insufficient_system_resource"),
        overloaded
    );
    for reason in [
        "stop",
        "length",
        "tool_calls",
        "end_turn",
        "MAX_TOKENS",
        "eos",
        "",
        "pause_turn",
    ] {
        assert_eq!(Outcome::of_finish_reason(reason), None, "{reason}");
    }
}

#[test]
fn a_missing_model_is_told_from_a_bad_request() {
    check(&[
        (
            404,
            r#"{"error":{"message":"The model `x` does not exist or you do not have access to it.","type":"invalid_request_error","param":null,"code":"model_not_found"}}"#,
            "model_not_found",
        ),
        (
            400,
            r#"{"error":{"message":"The requested model 'x' does not exist.","type":"invalid_request_error","param":"model","code":"model_not_found"}}"#,
            "model_not_found",
        ),
        (
            404,
            r#"{"type":"error","error":{"type":"not_found_error","message":"model: x"}}"#,
            "model_not_found",
        ),
        (
            404,
            r#"{"error":{"code":404,"message":"models/x is not found for API version v1beta","status":"NOT_FOUND"}}"#,
            "model_not_found",
        ),
        (
            400,
            r#"{"error":{"code":400,"message":"x is not a valid model ID"}}"#,
            "model_not_found",
        ),
        (
            404,
            r#"{"error":{"code":404,"message":"No endpoints found that support tool use."}}"#,
            "model_not_found",
        ),
        (
            400,
            r#"{"error":{"message":"The model `x` has been decommissioned","type":"invalid_request_error","code":"model_decommissioned"}}"#,
            "model_not_found",
        ),
        (
            404,
            r#"{"code":"Some requested entity was not found","error":"The model x was deprecated"}"#,
            "model_not_found",
        ),
        (
            400,
            r#"{"code":"invalid-argument","error":"Model not found: x"}"#,
            "model_not_found",
        ),
        (
            400,
            r#"{"message":"The provided model identifier is invalid."}"#,
            "model_not_found",
        ),
        (
            400,
            r#"{"error":{"code":"1211","message":"模型不存在"}}"#,
            "model_not_found",
        ),
        (
            400,
            r#"{"object":"error","message":"x","type":"invalid_request_error","code":"unknown_model"}"#,
            "model_not_found",
        ),
        (
            404,
            r#"{"error":"model \"x\" not found, try pulling it first"}"#,
            "model_not_found",
        ),
        (
            404,
            r#"{"status":404,"title":"Not Found","detail":"Function 'x': Not found for account"}"#,
            "model_not_found",
        ),
    ]);
}

#[test]
fn something_else_that_is_missing_is_no_model() {
    check(&[
        (
            404,
            r#"{"error":{"message":"Response with id 'resp_1' not found.","type":"invalid_request_error","param":null,"code":null}}"#,
            "invalid_request",
        ),
        (
            404,
            r#"{"error":{"message":"x","type":"invalid_request_error","param":"file_id","code":null}}"#,
            "invalid_request",
        ),
        (
            500,
            r#"{"error":{"message":"relation model_cache does not exist","type":"server_error"}}"#,
            "server_error",
        ),
    ]);
}

#[test]
fn refused_keys_are_known_by_status_or_by_words() {
    check(&[
        (
            401,
            r#"{"error":{"message":"Incorrect API key provided: sk-x.","type":"invalid_request_error","code":"invalid_api_key"}}"#,
            "upstream_auth",
        ),
        (
            401,
            r#"{"error":{"message":"quota","type":"insufficient_quota","code":null}}"#,
            "upstream_auth",
        ),
        (
            403,
            r#"{"error":{"code":403,"message":"Method doesn't allow unregistered callers","status":"PERMISSION_DENIED"}}"#,
            "upstream_auth",
        ),
        (
            400,
            r#"{"error":{"code":400,"message":"API key not valid. Please pass a valid API key.","status":"INVALID_ARGUMENT","details":[{"reason":"API_KEY_INVALID"}]}}"#,
            "upstream_auth",
        ),
        (
            400,
            r#"{"code":"Client specified an invalid argument","error":"Incorrect API key provided: x"}"#,
            "upstream_auth",
        ),
        (403, "", "upstream_auth"),
    ]);
}

#[test]
fn nothing_at_all_is_judged_by_status() {
    for (status, label) in [
        (400, "invalid_request"),
        (405, "invalid_request"),
        (415, "invalid_request"),
        (418, "invalid_request"),
        (409, "overloaded"),
        (499, "invalid_request"),
        (500, "server_error"),
        (599, "server_error"),
        (999, "server_error"),
    ] {
        assert_eq!(outcome(status, &[], "").as_str(), label, "{status}");
    }
}
