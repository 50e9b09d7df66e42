//! What a prompt costs beside its text.

use crate::message::Prompt;

/// What a family of models adds to the text of a prompt, in tokens.
///
/// The figures of OpenAI's chat models are those of its cookbook ("How to count tokens with tiktoken": three tokens a message and one
/// for its role, three for the answer's beginning). The others are fitted to the recorded usage of real providers, most of
/// it of prompts below a thousand tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Overhead {
    /// For the request as a whole.
    request: u64,
    /// For each message: its role and separators.
    message: u64,
    /// For having tools at all: the instructions how to call them.
    tools: u64,
    /// For each 100 bytes of the JSON of tools and schemas. OpenAI rewrites it more tersely; chat templates print it as it is.
    schema_per_100_bytes: u64,
}

/// For each 100 bytes of the JSON of a tool call.
const CALL_PER_100_BYTES: u64 = 25;

/// An image of 1024 × 1024 pixels in full detail at OpenAI's gpt-4o: 85 + 4 × 170 ("Images and vision", OpenAI's documentation). The
/// size is inside the image, which is not looked into. Anthropic counts width × height / 750 (1,398 for the same), Gemini 258 for each
/// tile of 768 × 768.
const IMAGE: u64 = 765;

const OPENAI: Overhead = Overhead {
    request: 3,
    message: 4,
    tools: 10,
    schema_per_100_bytes: 15,
};
/// Anthropic puts a system prompt of its own before tools (346 tokens and more, by the model: "Tool use", Anthropic's documentation).
const CLAUDE: Overhead = Overhead {
    request: 6,
    message: 4,
    tools: 510,
    schema_per_100_bytes: 32,
};
/// The harmony format has a system message of its own.
const GPT_OSS: Overhead = Overhead {
    request: 60,
    message: 8,
    tools: 20,
    schema_per_100_bytes: 15,
};
/// Chat templates of open models print instructions and the JSON of tools into the system message.
const OPEN: Overhead = Overhead {
    request: 4,
    message: 5,
    tools: 90,
    schema_per_100_bytes: 28,
};
/// Embeddings have nothing around the text.
const NONE: Overhead = Overhead {
    request: 0,
    message: 0,
    tools: 0,
    schema_per_100_bytes: 0,
};

impl Overhead {
    /// By the model's name, in any spelling; OpenAI's figures for what is not known.
    pub(super) fn of(model: &str) -> Self {
        let has = |part: &str| {
            let begins = part.as_bytes().first().copied();
            let mut windows = model.as_bytes().windows(part.len());
            // Most places are ruled out by their first letter.
            windows.any(|window| {
                window.first().map(u8::to_ascii_lowercase) == begins
                    && window.eq_ignore_ascii_case(part.as_bytes())
            })
        };
        if has("embed") {
            NONE
        } else if has("claude") {
            CLAUDE
        } else if has("gpt-oss") {
            GPT_OSS
        } else if [
            "qwen", "llama", "glm", "deepseek", "kimi", "minimax", "grok",
        ]
        .into_iter()
        .any(has)
        {
            OPEN
        } else {
            OPENAI
        }
    }

    /// For a prompt of this make, its lists of tokens included.
    pub(super) fn tokens(&self, prompt: &Prompt) -> u64 {
        let share = |bytes: u64, per_100: u64| bytes.saturating_mul(per_100) / 100;
        let tools = if prompt.tools > 0 { self.tools } else { 0 };
        // A list of tokens is a completion's prompt or an embedding's input, which no template is put around.
        let messages = if prompt.tokens > 0 {
            0
        } else {
            self.request
                .saturating_add(self.message.saturating_mul(prompt.messages))
        };
        [
            messages,
            tools,
            share(prompt.schema_bytes, self.schema_per_100_bytes),
            share(prompt.call_bytes, CALL_PER_100_BYTES),
            prompt.images.saturating_mul(IMAGE),
            prompt.tokens,
        ]
        .into_iter()
        .fold(0, u64::saturating_add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_family_is_told_by_any_spelling_of_the_name() {
        for (model, overhead) in [
            ("gpt-4.1", OPENAI),
            ("", OPENAI),
            ("anthropic/Claude-sonnet-4.5", CLAUDE),
            ("us.anthropic.claude-opus-4", CLAUDE),
            ("openai/gpt-oss-120b", GPT_OSS),
            ("meta-llama/Llama-4-maverick", OPEN),
            ("text-embedding-3-small", NONE),
        ] {
            assert_eq!(Overhead::of(model), overhead, "{model}");
        }
    }
}
