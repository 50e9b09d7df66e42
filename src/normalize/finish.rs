//! Why the model stopped, in OpenAI's words.

use super::repairs::{Repair, Repairs};

/// The model had said all.
pub(super) const STOP: &str = "stop";
/// The model waits for what its tools answer.
pub(super) const TOOL_CALLS: &str = "tool_calls";

/// What a provider's word means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Finish {
    /// OpenAI's word for it.
    Reason(&'static str),
    /// The model did not stop but failed: no word of OpenAI's says so. This is the provider's.
    Failed(&'static str),
}

/// OpenAI's word for `word`, of an answer that calls tools or not. `None` is an absent or `null` reason.
///
/// Tools that were called count for more than a `stop`, but for OpenAI, which says `stop` of a call that the request named.
pub(super) fn reason(
    word: Option<&str>,
    tools: bool,
    openai: bool,
    repairs: &mut Repairs,
) -> Finish {
    // A call that the model made all the same is for the caller to judge.
    let is_excused = matches!(word, Some("UNEXPECTED_TOOL_CALL" | "TOO_MANY_TOOL_CALLS"));
    let known = if tools && is_excused {
        Some("stop")
    } else {
        word.map_or(Some("stop"), known)
    };
    if let (None, Some(failure)) = (known, word.and_then(failure)) {
        return Finish::Failed(failure);
    }
    if known.is_none() {
        repairs.add(Repair::FinishReasonUnknown);
    }
    let mut reason = known.unwrap_or("stop");
    if reason == "stop" && tools && !openai {
        repairs.add(Repair::FinishReasonToolCalls);
        reason = "tool_calls";
    } else if word != Some(reason) {
        repairs.add(Repair::FinishReason);
    }
    Finish::Reason(reason)
}

fn known(word: &str) -> Option<&'static str> {
    Some(match word {
        ""
        | "stop"
        | "eos"
        | "eos_token"
        | "end_turn"
        | "stop_sequence"
        | "STOP"
        | "COMPLETE"
        | "STOP_SEQUENCE"
        | "complete"
        | "completed"
        | "FINISH_REASON_UNSPECIFIED" => "stop",
        "length"
        | "max_tokens"
        | "MAX_TOKENS"
        | "model_length"
        | "max_output_tokens"
        | "model_context_window_exceeded"
        | "token_limit"
        | "compaction"
        | "pause_turn" => "length",
        "tool_calls" | "tool_use" | "TOOL_CALL" => "tool_calls",
        "function_call" => "function_call",
        "content_filter"
        | "content_filtered"
        | "refusal"
        | "SAFETY"
        | "RECITATION"
        | "LANGUAGE"
        | "BLOCKLIST"
        | "PROHIBITED_CONTENT"
        | "SPII"
        | "MODEL_ARMOR"
        | "ERROR_TOXIC"
        | "guardrail_intervened"
        | "sensitive" => "content_filter",
        _ if word.starts_with("IMAGE_") => "content_filter",
        _ => return None,
    })
}

/// The words for a model that failed. Other software takes them for `stop`, which hides it.
fn failure(word: &str) -> Option<&'static str> {
    const FAILURES: [&str; 11] = [
        "error",
        "ERROR",
        "network_error",
        // Gemini, as the three that follow: tools were called as the request or the model's own form does not allow.
        "MALFORMED_FUNCTION_CALL",
        "MALFORMED_RESPONSE",
        "UNEXPECTED_TOOL_CALL",
        "TOO_MANY_TOOL_CALLS",
        "MISSING_THOUGHT_SIGNATURE",
        "insufficient_system_resource",
        "abort",
        "repetition",
    ];
    FAILURES.into_iter().find(|failure| *failure == word)
}

/// Whether `word` is the one that OpenAI would have given.
pub(super) fn conforms(word: &str, tools: bool, openai: bool) -> bool {
    match word {
        "stop" => openai || !tools,
        "length" | "tool_calls" | "function_call" | "content_filter" => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_becomes_openais_and_no_failure_becomes_a_stop() {
        for (word, tools, openai, expected) in [
            (Some("eos"), false, false, Finish::Reason("stop")),
            (Some("MAX_TOKENS"), true, false, Finish::Reason("length")),
            (Some("stop"), true, false, Finish::Reason("tool_calls")),
            (Some("stop"), true, true, Finish::Reason("stop")),
            (None, true, false, Finish::Reason("tool_calls")),
            (Some(""), false, false, Finish::Reason("stop")),
            (
                Some("sensitive"),
                false,
                false,
                Finish::Reason("content_filter"),
            ),
            (Some("weather"), false, false, Finish::Reason("stop")),
            (
                Some("network_error"),
                false,
                false,
                Finish::Failed("network_error"),
            ),
            (
                Some("UNEXPECTED_TOOL_CALL"),
                false,
                false,
                Finish::Failed("UNEXPECTED_TOOL_CALL"),
            ),
            (
                Some("UNEXPECTED_TOOL_CALL"),
                true,
                false,
                Finish::Reason("tool_calls"),
            ),
        ] {
            let got = reason(word, tools, openai, &mut Repairs::default());
            assert_eq!(got, expected, "{word:?}");
        }
    }
}
