//! Context overflows, in every provider's words.

use super::{check, outcome};
use crate::message::Outcome;

#[test]
fn overflows_are_known_by_code() {
    check(&[
        (
            400,
            r#"{"error":{"message":"x","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}"#,
            "context_too_long",
        ),
        (
            400,
            r#"{"error":{"code":400,"message":"x","type":"exceed_context_size_error","n_prompt_tokens":2009,"n_ctx":512}}"#,
            "context_too_long",
        ),
        (
            400,
            r#"{"error":{"message":"x","type":"too_many_prompt_tokens","code":400}}"#,
            "context_too_long",
        ),
        (
            400,
            r#"{"id":"i","message":"x","error_type":"TOO_MANY_TOKENS"}"#,
            "context_too_long",
        ),
        (
            400,
            r#"{"error":{"code":"1261","message":"Prompt 超长"}}"#,
            "context_too_long",
        ),
    ]);
}

#[test]
fn overflows_are_known_by_wording() {
    for (status, message) in [
        (
            400,
            "This model's maximum context length is 8192 tokens. However, you requested 9000 tokens.",
        ),
        (400, "prompt is too long: 208310 tokens > 200000 maximum"),
        (
            400,
            "input length and `max_tokens` exceed context limit: 188240 + 21333 > 200000",
        ),
        (
            400,
            "The input token count (1250074) exceeds the maximum number of tokens allowed (1048576).",
        ),
        (400, "Input is too long for requested model."),
        (
            400,
            "Too many input tokens. Max input tokens: 8192, request input token count: 9000",
        ),
        (
            400,
            "Malformed input request: expected maxLength: 400000, actual: 500000, please reformat",
        ),
        (
            422,
            "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 5000",
        ),
        (
            400,
            "request (2009 tokens) exceeds the available context size (512 tokens), try increasing it",
        ),
        (
            400,
            "The number of tokens to keep from the initial prompt is greater than the context length.",
        ),
        (
            400,
            "prompt too long; exceeded max context length by 12 tokens",
        ),
        (
            400,
            "Please reduce the length of the messages or completion. Current length is 9000 while limit is 8192",
        ),
        (
            400,
            "Prompt contains 40000 tokens and 0 draft tokens, too large for model with 32768 maximum context length",
        ),
        (
            400,
            "Invalid request: Your request exceeded model token limit: 8192",
        ),
        (400, "Range of input length should be [1, 30720]"),
        (
            400,
            "The input (9000 tokens) is longer than the model's context length (8192 tokens).",
        ),
        (403, "Input token count + max_tokens must be less than 4097"),
        (400, "The total length of all messages is too long."),
        (
            400,
            "Your input exceeds the context window of this model. Please adjust your input and try again.",
        ),
        (
            400,
            "Trying to keep the first 4672 tokens when context the overflows. However, the model is loaded with context length of only 4096 tokens, which is not enough.",
        ),
    ] {
        for body in [
            format!(
                r#"{{"error":{{"message":"{message}","type":"invalid_request_error","param":null,"code":null}}}}"#
            ),
            format!(
                r#"{{"object":"error","message":"{message}","type":"BadRequestError","param":null,"code":400}}"#
            ),
            format!(r#"{{"error":"{message}","error_type":"validation"}}"#),
            format!(r#"{{"message":"{message}"}}"#),
        ] {
            assert_eq!(
                outcome(status, &[], &body),
                Outcome::ContextTooLong,
                "{body}"
            );
        }
    }
}

#[test]
fn a_long_member_is_not_a_long_prompt() {
    check(&[
        (
            400,
            r#"{"error":{"message":"Invalid 'user': string too long. Expected a string with maximum length 64, but got a string with length 70 instead.","type":"invalid_request_error","param":"user","code":"string_above_max_length"}}"#,
            "invalid_request",
        ),
        (
            400,
            r#"{"error":{"message":"Invalid 'user': string too long. Expected a string with maximum length 64.","type":"invalid_request_error","param":"user","code":null}}"#,
            "invalid_request",
        ),
        (
            400,
            r#"{"error":{"message":"max_tokens is too large: 9000. This model supports at most 4096 completion tokens","type":"invalid_request_error","param":"max_tokens","code":"invalid_value"}}"#,
            "invalid_request",
        ),
        (
            400,
            r#"{"error":{"message":"stop: too long","type":"invalid_request_error"}}"#,
            "invalid_request",
        ),
    ]);
}
