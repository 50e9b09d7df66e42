//! Which of the words that providers use mean what. All are in lower case.
//!
//! Sources, all as of 2026-11: the providers' public error references; the OpenAI and Anthropic SDKs; recorded answers;
//! issues of the named repositories; and for the wording of context overflows also BerriAI/litellm.

use std::time::Duration;

use super::Outcome;
use crate::message::Phase;

/// An [`Outcome`] before the wait is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    Rate,
    Quota,
    Overload,
    Server,
    Timeout,
    Context,
    Filter,
    Model,
    Auth,
    Invalid,
}

use Meaning::{Auth, Context, Filter, Invalid, Model, Overload, Quota, Rate, Server, Timeout};

impl Meaning {
    pub(super) fn outcome(self, retry_after: Option<Duration>) -> Outcome {
        match self {
            Rate => Outcome::RateLimited { retry_after },
            Quota => Outcome::QuotaExhausted,
            Overload => Outcome::Overloaded { retry_after },
            Server => Outcome::ServerError,
            Timeout => Outcome::Timeout { phase: Phase::Head },
            Context => Outcome::ContextTooLong,
            Filter => Outcome::ContentFiltered,
            Model => Outcome::ModelNotFound,
            Auth => Outcome::UpstreamAuth,
            Invalid => Outcome::InvalidRequest,
        }
    }
}

/// Whether `text` holds all of `parts`, in their order.
pub(super) fn holds(text: &str, parts: &[&str]) -> bool {
    let mut rest = Some(text);
    for part in parts {
        rest = rest
            .and_then(|rest| rest.split_once(part))
            .map(|(_, after)| after);
    }
    rest.is_some()
}

/// Codes, types and reasons. The first row that is one of an error's words decides.
pub(super) const CODES: &[(&str, Meaning)] = &[
    // False friend of the overflows: a member such as `user` is too long (OpenAI; litellm).
    ("string_above_max_length", Invalid),
    // OpenAI: what money mends. DashScope means the opposite by `insufficient_quota`, which is told apart before.
    ("insufficient_quota", Quota),
    ("credit_balance_exhausted", Quota),
    ("organization_spend_limit_exceeded", Quota),
    ("project_spend_limit_exceeded", Quota),
    ("organization_usage_limit_exceeded", Quota),
    ("billing_hard_limit_reached", Quota),
    // Anthropic: a 429 without `retry-after`; 402.
    ("enforced_spend_limit_reached", Quota),
    ("contract_spend_limit_reached", Quota),
    ("billing_error", Quota),
    // Moonshot.
    ("exceeded_current_quota_error", Quota),
    // DashScope: the bill is due; the free tier is used up and nothing else wanted.
    ("arrearage", Quota),
    ("allocationquota.freetieronly", Quota),
    // Zhipu, all with status 429: no money, a locked account, limits of 5 hours, a week and a month.
    ("1112", Quota),
    ("1113", Quota),
    ("1308", Quota),
    ("1310", Quota),
    // Bedrock, with status 400.
    ("servicequotaexceededexception", Quota),
    // Context overflow: OpenAI, llama.cpp, Perplexity, Cohere, Zhipu.
    ("context_length_exceeded", Context),
    ("exceed_context_size_error", Context),
    ("too_many_prompt_tokens", Context),
    ("too_many_tokens", Context),
    ("1261", Context),
    // Content filter: OpenAI and Azure (also in `innererror`), DashScope in two spellings, Zhipu, OpenRouter's moderation.
    ("content_filter", Filter),
    ("content_policy_violation", Filter),
    ("responsibleaipolicyviolation", Filter),
    ("cyber_policy", Filter),
    ("data_inspection_failed", Filter),
    ("datainspectionfailed", Filter),
    ("1301", Filter),
    ("sensitive", Filter),
    ("flagged_input", Filter),
    // No such model: OpenAI with 400 and 404, Azure, Groq, xAI, Zhipu, Mistral.
    ("model_not_found", Model),
    ("deploymentnotfound", Model),
    ("model_decommissioned", Model),
    ("some requested entity was not found", Model),
    ("1211", Model),
    ("unknown_model", Model),
    ("invalid_model", Model),
];

/// Phrases of messages, each as parts in their order. The first row that matches decides.
#[rustfmt::skip]
pub(super) const PHRASES: &[(&[&str], Meaning)] = &[
    // False friend: "Invalid 'user': string too long. Expected a string with maximum length 64" (OpenAI; litellm).
    (&["string too long"], Invalid),
    (&["maximum context length"], Context),                                  // OpenAI, vLLM, OpenRouter, DeepSeek
    (&["exceeds the context window"], Context),                              // OpenAI, Responses
    (&["prompt is too long"], Context),                                      // Anthropic
    (&["exceed context limit"], Context),                                    // Anthropic
    (&["input length and", "max_tokens", "exceed"], Context),                // Anthropic
    (&["exceeds the maximum number of tokens allowed"], Context),            // Gemini, Vertex
    (&["input is too long"], Context),                                       // Bedrock
    (&["too many input tokens"], Context),                                   // Bedrock
    (&["expected maxlength"], Context),                                      // Bedrock
    (&["inputs` tokens", "max_new_tokens", "must be"], Context),             // TGI
    (&["exceeds the available context size"], Context),                      // llama.cpp
    (&["context size has been exceeded"], Context),                          // LM Studio (lmstudio-bug-tracker#2339)
    (&["trying to keep the first", "tokens when context"], Context),         // LM Studio (lmstudio-bug-tracker#546)
    (&["tokens to keep from the initial prompt", "context length"], Context), // LM Studio, with 200
    (&["prompt too long", "max context length"], Context),                   // Ollama
    (&["current length is", "while limit is"], Context),                     // Cerebras
    (&["prompt contains", "tokens", "too large for model"], Context),        // Mistral
    (&["exceeded model token limit"], Context),                              // Moonshot
    (&["range of input length should be"], Context),                         // DashScope
    (&["longer than the model's context length"], Context),                  // SGLang
    (&["input token count + max_tokens must be less"], Context),             // Together, with 403
    (&["total length of all messages is too long"], Context),                // Perplexity
    // A single request above the limit per minute, with 413 or 429: OpenAI, Groq. No wait makes room for it.
    (&["request too large", "limit", "requested"], Context),
    (&["violating our usage policy"], Filter),                               // OpenAI
    (&["output blocked by content filtering policy"], Filter),               // Anthropic
    (&["content management policy"], Filter),                                // Azure
    (&["content violates usage guidelines"], Filter),                        // xAI, with 403
    (&["inappropriate content"], Filter),                                    // DashScope
    (&["with id '", "not found"], Invalid),                                  // OpenAI: a stored response or item
    (&["is not a valid model id"], Model),                                   // OpenRouter
    (&["no endpoints found"], Model),                                        // OpenRouter, also for parameters that no endpoint supports
    (&["model identifier is invalid"], Model),                               // Bedrock
    (&["model not found"], Model),                                           // xAI, Venice, with 400 and 404
    (&["model", "does not exist"], Model),                                   // OpenAI, OpenRouter, with 400
    (&["model", "is not supported. supported models are"], Model),           // Voyage
    (&["incorrect api key"], Auth),                                          // xAI, with 400
    (&["api key not valid"], Auth),                                          // Google, with 400
    (&["credit balance is too low"], Quota),                                 // Anthropic, with 400
    (&["reached your", "usage limits"], Quota),                              // Anthropic, with 400
    (&["insufficient balance"], Quota),                                      // DeepSeek, Moonshot with 403
];

/// Codes that say little more than a status, and come with messages that say more. Matched after [`PHRASES`].
pub(super) const GENERAL_CODES: &[(&str, Meaning)] = &[
    // Keys: OpenAI, Google with status 400, AWS.
    ("invalid_api_key", Auth),
    ("authentication_error", Auth),
    ("api_key_invalid", Auth),
    ("unauthenticated", Auth),
    ("accessdeniedexception", Auth),
    // Overload: OpenAI, Anthropic, Moonshot, Groq's flex tier, Google, Bedrock, Zhipu, Mistral.
    ("server_is_overloaded", Overload),
    ("service_unavailable_error", Overload),
    ("overloaded_error", Overload),
    ("engine_overloaded_error", Overload),
    ("capacity_exceeded", Overload),
    ("unavailable", Overload),
    ("modelnotreadyexception", Overload),
    ("serviceunavailableexception", Overload),
    ("1312", Overload),
    ("3505", Overload),
    // Time heals it: OpenAI, Anthropic, Azure, Moonshot, DashScope, Google, Bedrock, Zhipu, Mistral.
    ("rate_limit_exceeded", Rate),
    ("slow_down", Rate),
    ("rate_limit_error", Rate),
    ("ramp_limit_exceeded", Rate),
    ("ratelimitreached", Rate),
    ("rate_limit_reached_error", Rate),
    ("throttling", Rate),
    ("throttling.ratequota", Rate),
    ("throttling.allocationquota", Rate),
    ("resource_exhausted", Rate),
    ("throttlingexception", Rate),
    ("1302", Rate),
    ("1303", Rate),
    ("1305", Rate),
    ("1300", Rate),
    // Anthropic, Google, Bedrock.
    ("timeout_error", Timeout),
    ("deadline_exceeded", Timeout),
    ("modeltimeoutexception", Timeout),
    // Bedrock; Zhipu's "network error".
    ("internalserverexception", Server),
    ("modelstreamerrorexception", Server),
    ("1234", Server),
];

/// The ends of answers that are no success, and why Gemini blocks prompts.
pub(super) const FINISH_REASONS: &[(&str, Meaning)] = &[
    ("content_filter", Filter),       // OpenAI
    ("content_filtered", Filter),     // Bedrock
    ("guardrail_intervened", Filter), // Bedrock
    ("refusal", Filter),              // Anthropic
    ("sensitive", Filter),            // Zhipu
    ("error_toxic", Filter),          // Cohere
    ("safety", Filter),               // Gemini, from here on
    ("recitation", Filter),
    ("language", Filter),
    ("blocklist", Filter),
    ("prohibited_content", Filter),
    ("spii", Filter),
    ("model_armor", Filter),
    ("image_safety", Filter),
    ("image_prohibited_content", Filter),
    ("image_recitation", Filter),
    ("malformed_function_call", Server),
    ("malformed_response", Server),
    ("missing_thought_signature", Invalid),
    ("error", Server),                          // Mistral, OpenRouter, Cohere
    ("network_error", Server),                  // Zhipu
    ("abort", Server),                          // SGLang
    ("insufficient_system_resource", Overload), // DeepSeek
];
