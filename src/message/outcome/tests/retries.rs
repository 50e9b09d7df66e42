//! Which errors heal by waiting, provider by provider.

use std::time::Duration;

use super::{check, outcome};
use crate::message::Outcome;

fn limited(millis: u64) -> Outcome {
    Outcome::RateLimited {
        retry_after: Some(Duration::from_millis(millis)),
    }
}

#[test]
fn openai_tells_rate_from_money() {
    let rate = r#"{"error":{"message":"Rate limit reached for gpt-4o. Please try again in 1.5s.","type":"tokens","param":null,"code":"rate_limit_exceeded"}}"#;
    assert_eq!(outcome(429, &[], rate), limited(1500));
    assert_eq!(
        outcome(429, &[("retry-after", "20")], rate),
        limited(20_000)
    );
    check(&[
        (
            429,
            r#"{"error":{"message":"Slow down.","type":"rate_limit_error","param":null,"code":"slow_down"}}"#,
            "rate_limited",
        ),
        (
            429,
            r#"{"error":{"message":"You exceeded your current quota, please check your plan and billing details. For more information on this error, read the docs: https://platform.openai.com/docs/guides/error-codes/api-errors.","type":"insufficient_quota","param":null,"code":"insufficient_quota"}}"#,
            "quota_exhausted",
        ),
        (
            429,
            r#"{"error":{"message":"x","type":"insufficient_quota","param":null,"code":null}}"#,
            "quota_exhausted",
        ),
        (
            500,
            r#"{"error":{"message":"The server had an error","type":"server_error","param":null,"code":null}}"#,
            "server_error",
        ),
        (
            503,
            r#"{"error":{"message":"x","type":"service_unavailable_error","param":null,"code":"server_is_overloaded"}}"#,
            "overloaded",
        ),
        (
            503,
            r#"{"error":{"message":"x","type":"service_unavailable_error","param":null,"code":null}}"#,
            "overloaded",
        ),
    ]);
    for code in [
        "credit_balance_exhausted",
        "organization_spend_limit_exceeded",
        "project_spend_limit_exceeded",
        "organization_usage_limit_exceeded",
        "billing_hard_limit_reached",
    ] {
        let body = format!(
            r#"{{"error":{{"message":"x","type":"billing","param":null,"code":"{code}"}}}}"#
        );
        assert_eq!(outcome(429, &[], &body), Outcome::QuotaExhausted, "{code}");
    }
}

#[test]
fn a_single_request_above_the_limit_needs_a_larger_upstream_and_no_wait() {
    let message = "Request too large for model `llama-3.1-8b-instant` on tokens per minute (TPM): Limit 6000, Requested 7012, please reduce your message size and try again.";
    let body = format!(
        r#"{{"error":{{"message":"{message}","type":"tokens","code":"rate_limit_exceeded"}}}}"#
    );
    assert_eq!(outcome(413, &[], &body), Outcome::ContextTooLong);
    assert_eq!(
        outcome(429, &[("retry-after", "2")], &body),
        Outcome::ContextTooLong
    );
}

#[test]
fn dashscope_means_the_opposite_of_openais_code() {
    check(&[
        (
            429,
            r#"{"code":"Throttling.AllocationQuota","message":"Allocated quota exceeded, please increase your quota limit.","request_id":"r"}"#,
            "rate_limited",
        ),
        (
            429,
            r#"{"code":"Throttling.RateQuota","message":"Requests rate limit exceeded, please try again later.","request_id":"r"}"#,
            "rate_limited",
        ),
        (
            429,
            r#"{"error":{"message":"Allocated quota exceeded, please increase your quota limit.","type":"insufficient_quota","param":null,"code":"insufficient_quota"}}"#,
            "rate_limited",
        ),
        (
            429,
            r#"{"error":{"message":"You exceeded your current quota, please check your plan and billing details. For details, see: https://help.aliyun.com/zh/model-studio/error-code#token-limit","type":"insufficient_quota","param":null,"code":"insufficient_quota"}}"#,
            "rate_limited",
        ),
        (
            403,
            r#"{"error":{"message":"The free tier of the model has been exhausted. If you wish to continue access the model on a paid basis, please disable the \"use free tier only\" mode in the management console. See https://help.aliyun.com","type":"insufficient_quota","code":"AllocationQuota.FreeTierOnly"}}"#,
            "quota_exhausted",
        ),
        (
            400,
            r#"{"code":"Arrearage","message":"Access denied, please make sure your account is in good standing."}"#,
            "quota_exhausted",
        ),
        (
            403,
            r#"{"error":{"message":"Access denied.","type":"Arrearage","param":null,"code":"Arrearage"}}"#,
            "quota_exhausted",
        ),
        (
            400,
            r#"{"error":{"message":"x","type":"data_inspection_failed","param":null,"code":"data_inspection_failed"}}"#,
            "content_filtered",
        ),
        (
            400,
            r#"{"code":"DataInspectionFailed","message":"Input data may contain inappropriate content."}"#,
            "content_filtered",
        ),
    ]);
}

#[test]
fn anthropic_gives_a_429_to_spend_limits_too() {
    let rate = r#"{"type":"error","error":{"type":"rate_limit_error","message":"x","details":{"error_code":"ramp_limit_exceeded"}},"request_id":"r"}"#;
    assert_eq!(
        outcome(429, &[("retry-after", "11")], rate),
        limited(11_000)
    );
    check(&[
        (
            429,
            r#"{"type":"error","error":{"type":"rate_limit_error","message":"x","details":{"error_code":"enforced_spend_limit_reached"}}}"#,
            "quota_exhausted",
        ),
        (
            429,
            r#"{"type":"error","error":{"type":"rate_limit_error","message":"x","details":{"error_code":"contract_spend_limit_reached"}}}"#,
            "quota_exhausted",
        ),
        (
            402,
            r#"{"type":"error","error":{"type":"billing_error","message":"x"}}"#,
            "quota_exhausted",
        ),
        (
            400,
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"You have reached your specified API usage limits. You will regain access on 2026-12-01 at 00:00 UTC."}}"#,
            "quota_exhausted",
        ),
        (
            400,
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"Your credit balance is too low to access the Anthropic API."}}"#,
            "quota_exhausted",
        ),
        (
            529,
            r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#,
            "overloaded",
        ),
        (
            500,
            r#"{"type":"error","error":{"type":"api_error","message":"x"}}"#,
            "server_error",
        ),
        (
            504,
            r#"{"type":"error","error":{"type":"timeout_error","message":"x"}}"#,
            "timeout",
        ),
        (
            409,
            r#"{"type":"error","error":{"type":"conflict_error","message":"x"}}"#,
            "overloaded",
        ),
    ]);
}

#[test]
fn gemini_tells_minutes_from_days_by_the_quotas_id() {
    let body = |period: &str| {
        format!(
            r#"{{"error":{{"code":429,"message":"You exceeded your current quota, please check your plan and billing details.","status":"RESOURCE_EXHAUSTED","details":[
                {{"@type":"type.googleapis.com/google.rpc.QuotaFailure","violations":[{{"quotaMetric":"m","quotaId":"GenerateRequests{period}PerProjectPerModel-FreeTier","quotaValue":"15"}}]}},
                {{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"48s"}}]}}}}"#
        )
    };
    assert_eq!(outcome(429, &[], &body("PerMinute")), limited(48_000));
    assert_eq!(outcome(429, &[], &body("PerDay")), Outcome::QuotaExhausted);
    assert_eq!(
        outcome(429, &[], &format!("[{}]", body("PerDay"))),
        Outcome::QuotaExhausted
    );
    check(&[
        (
            402,
            r#"{"error":{"code":402,"message":"x","status":"PAYMENT_REQUIRED"}}"#,
            "quota_exhausted",
        ),
        (
            503,
            r#"{"error":{"code":503,"message":"The model is overloaded.","status":"UNAVAILABLE"}}"#,
            "overloaded",
        ),
    ]);
}

#[test]
fn groq_has_statuses_of_its_own() {
    let rate = r#"{"error":{"message":"Rate limit reached","type":"requests","code":"rate_limit_exceeded"}}"#;
    assert_eq!(outcome(429, &[("retry-after", "3")], rate), limited(3000));
    check(&[
        (
            498,
            r#"{"error":{"message":"x","type":"server_error","code":"capacity_exceeded"}}"#,
            "overloaded",
        ),
        (498, "", "overloaded"),
        (
            413,
            r#"{"error":{"message":"Request Entity Too Large","type":"invalid_request_error"}}"#,
            "invalid_request",
        ),
        (
            400,
            r#"{"error":{"message":"Failed to call a function.","type":"invalid_request_error","code":"tool_use_failed","failed_generation":"x"}}"#,
            "invalid_request",
        ),
    ]);
}

#[test]
fn openrouter_refuses_for_money_in_flight_and_passes_on_what_others_said() {
    let in_flight = r#"{"error":{"message":"This request would exceed your available credits given your current in-flight requests.","code":402,"metadata":{"reason":"in_flight_budget_exhausted","limit_source":"openrouter_in_flight_budget","headers":{"Retry-After":"120"}}}}"#;
    assert_eq!(outcome(402, &[], in_flight), limited(120_000));
    assert_eq!(
        outcome(402, &[("retry-after", "60")], in_flight),
        limited(60_000)
    );
    check(&[
        (
            402,
            r#"{"error":{"code":402,"message":"Insufficient credits"}}"#,
            "quota_exhausted",
        ),
        (
            408,
            r#"{"error":{"code":408,"message":"Timed out"}}"#,
            "timeout",
        ),
        (
            429,
            r#"{"error":{"code":429,"message":"Provider returned error","metadata":{"provider_name":"Google","raw":"x is temporarily rate-limited upstream."}}}"#,
            "rate_limited",
        ),
        (
            502,
            r#"{"error":{"code":502,"message":"Provider returned error","metadata":{"provider_name":"X","raw":"{\"error\":{\"message\":\"oops\"}}"}}}"#,
            "server_error",
        ),
        (
            503,
            r#"{"error":{"code":503,"message":"No instances available"}}"#,
            "overloaded",
        ),
        (
            403,
            r#"{"error":{"code":403,"message":"Your input was flagged","metadata":{"reasons":["violence"],"flagged_input":"...","provider_name":"OpenAI"}}}"#,
            "content_filtered",
        ),
        (
            400,
            r#"{"error":{"code":400,"message":"Provider returned error","metadata":{"raw":"{\"error\":{\"message\":\"x\",\"code\":\"context_length_exceeded\"}}"}}}"#,
            "context_too_long",
        ),
        (
            400,
            r#"{"error":{"code":400,"message":"Provider returned error","metadata":{"raw":{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 9 > 8"}}}}}"#,
            "context_too_long",
        ),
    ]);
}

#[test]
fn zhipus_429_has_a_code_for_each_of_its_meanings() {
    for (code, label) in [
        ("1113", "quota_exhausted"),
        ("1112", "quota_exhausted"),
        ("1308", "quota_exhausted"),
        ("1310", "quota_exhausted"),
        ("1302", "rate_limited"),
        ("1303", "rate_limited"),
        ("1305", "rate_limited"),
        ("1312", "overloaded"),
        ("1234", "server_error"),
        ("1301", "content_filtered"),
        ("1261", "context_too_long"),
        ("1211", "model_not_found"),
    ] {
        let body = format!(r#"{{"error":{{"code":"{code}","message":"余额不足"}}}}"#);
        assert_eq!(outcome(429, &[], &body).as_str(), label, "{code}");
    }
    check(&[(434, "", "upstream_auth"), (435, "", "invalid_request")]);
}

#[test]
fn the_others_are_told_by_code_or_status() {
    check(&[
        // DeepSeek
        (
            402,
            r#"{"error":{"message":"Insufficient Balance","type":"unknown_error","param":null,"code":"invalid_request_error"}}"#,
            "quota_exhausted",
        ),
        (
            422,
            r#"{"error":{"message":"Invalid Parameters","type":"invalid_request_error","param":null,"code":null}}"#,
            "invalid_request",
        ),
        (429, "", "rate_limited"),
        (500, "", "server_error"),
        (503, "", "overloaded"),
        // Together
        (402, "", "quota_exhausted"),
        (
            403,
            r#"{"error":{"message":"Input token count + max_tokens must be less than 4097","type":"invalid_request_error"}}"#,
            "context_too_long",
        ),
        (504, "", "timeout"),
        (520, "", "server_error"),
        (524, "", "timeout"),
        (529, "", "overloaded"),
        // Fireworks
        (402, "", "quota_exhausted"),
        (
            412,
            r#"{"error":{"message":"Account suspended"}}"#,
            "quota_exhausted",
        ),
        (408, "", "timeout"),
        // Moonshot
        (
            429,
            r#"{"error":{"message":"Your account is suspended, please check your plan and billing details","type":"exceeded_current_quota_error"}}"#,
            "quota_exhausted",
        ),
        (
            429,
            r#"{"error":{"message":"x","type":"rate_limit_reached_error"}}"#,
            "rate_limited",
        ),
        (
            429,
            r#"{"error":{"message":"The engine is currently overloaded","type":"engine_overloaded_error"}}"#,
            "overloaded",
        ),
        (
            403,
            r#"{"error":{"message":"Your account has insufficient balance","type":"permission_denied"}}"#,
            "quota_exhausted",
        ),
        // Mistral
        (
            429,
            r#"{"object":"error","message":"Rate limit exceeded","type":"rate_limited","param":null,"code":"1300","raw_status_code":429}"#,
            "rate_limited",
        ),
        (
            429,
            r#"{"object":"error","message":"Service tier capacity exceeded for this model.","type":"service_tier_capacity_exceeded","param":null,"code":"3505"}"#,
            "overloaded",
        ),
        (502, "", "server_error"),
        (401, r#"{"detail":"Unauthorized"}"#, "upstream_auth"),
        (
            422,
            r#"{"object":"error","message":{"detail":[{"type":"extra_forbidden","loc":["body","stream_options"],"msg":"Extra inputs are not permitted"}]},"type":"invalid_request_error","code":null}"#,
            "invalid_request",
        ),
        // Azure
        (
            404,
            r#"{"error":{"code":"DeploymentNotFound","message":"The API deployment for this resource does not exist."}}"#,
            "model_not_found",
        ),
        (
            400,
            r#"{"error":{"message":"The response was filtered due to the prompt triggering Azure OpenAI's content management policy.","type":null,"param":"prompt","code":"content_filter","status":400,"innererror":{"code":"ResponsibleAIPolicyViolation","content_filter_result":{"hate":{"filtered":true,"severity":"high"}}}}}"#,
            "content_filtered",
        ),
        (
            408,
            r#"{"error":{"code":"Timeout","message":"The operation was timeout."}}"#,
            "timeout",
        ),
        // Bedrock
        (
            429,
            r#"{"message":"Model is getting throttled. Try your request again."}"#,
            "rate_limited",
        ),
        (
            503,
            r#"{"message":"Model is getting throttled. Try your request again."}"#,
            "overloaded",
        ),
        (
            408,
            r#"{"message":"Model has timed out in processing the request."}"#,
            "timeout",
        ),
        (
            424,
            r#"{"message":"The model stream broke."}"#,
            "server_error",
        ),
        // Perplexity
        (
            400,
            r#"{"error":{"message":"x","type":"too_many_prompt_tokens","code":400}}"#,
            "context_too_long",
        ),
        (
            401,
            r#"{"error":{"message":"x","type":"invalid_api_key","code":401}}"#,
            "upstream_auth",
        ),
        // Cloudflare, in front of anybody
        (
            522,
            "<html><title>522: Connection timed out</title></html>",
            "timeout",
        ),
        (
            520,
            "<html><title>520: Web server is returning an unknown error</title></html>",
            "server_error",
        ),
    ]);
}

#[test]
fn azures_milliseconds_come_first() {
    let body = r#"{"error":{"code":"429","message":"Requests have exceeded the token rate limit. Please retry after 37 seconds."}}"#;
    assert_eq!(outcome(429, &[], body), limited(37_000));
    assert_eq!(
        outcome(
            429,
            &[("retry-after-ms", "1250.5"), ("retry-after", "2")],
            body
        )
        .retry(),
        crate::message::Retry::After(Duration::from_micros(1_250_500))
    );
}

#[test]
fn bedrock_names_its_exceptions_in_a_header() {
    for (status, name, label) in [
        (
            429,
            "ThrottlingException:http://internal.amazon.com/x",
            "rate_limited",
        ),
        (429, "ModelNotReadyException", "overloaded"),
        (503, "ServiceUnavailableException", "overloaded"),
        (408, "ModelTimeoutException", "timeout"),
        (424, "ModelStreamErrorException", "server_error"),
        (500, "InternalServerException", "server_error"),
        (400, "ServiceQuotaExceededException", "quota_exhausted"),
        (400, "ValidationException", "invalid_request"),
        (403, "AccessDeniedException", "upstream_auth"),
    ] {
        let found = outcome(status, &[("x-amzn-errortype", name)], r#"{"message":"x"}"#);
        assert_eq!(found.as_str(), label, "{name}");
    }
}

#[test]
fn x_should_retry_decides_where_a_status_has_two_readings() {
    let (yes, no) = (("x-should-retry", "true"), ("x-should-retry", "false"));
    let rate = r#"{"type":"error","error":{"type":"rate_limit_error","message":"x"}}"#;
    assert_eq!(outcome(429, &[no], rate), Outcome::QuotaExhausted);
    assert_eq!(
        outcome(429, &[no, ("retry-after", "5")], rate),
        limited(5000)
    );
    assert_eq!(
        outcome(429, &[yes], rate),
        Outcome::RateLimited { retry_after: None }
    );
    let invalid = r#"{"type":"error","error":{"type":"invalid_request_error","message":"x"}}"#;
    assert_eq!(outcome(400, &[no], invalid), Outcome::InvalidRequest);
    assert_eq!(outcome(400, &[yes], invalid).as_str(), "overloaded");
    assert_eq!(outcome(401, &[no], invalid), Outcome::UpstreamAuth);
}
