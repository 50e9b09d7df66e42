//! Makes the answers of other providers to `chat/completions` those that OpenAI would have given.
//!
//! One call is one attempt: the layer belongs into the stack of one upstream. It repairs JSON bodies and the events of streams of
//! status 2xx, splicing only what is wrong: members that OpenAI always sends, finish reasons, tool calls, usage, and a missing
//! `[DONE]`. What conforms, what is not known, comments, and everything compressed pass byte for byte. Errors, also those inside a
//! success, pass as they came.
//!
//! Answers in another API's form become OpenAI's altogether, bodies and streams: Anthropic's Messages, Gemini's `generateContent`,
//! Cohere's chat, Ollama's own API (its JSON lines become events) and Bedrock's Converse (its events as an adapter decodes them). The
//! answer itself tells which it is. Of these only what OpenAI's form has a place for goes on: text, what the model thinks (as
//! `reasoning_content`), the caller's tool calls, why the model stopped, and usage; citations, signatures, images, and tools that the
//! provider ran itself are left out. Where the model failed, the caller gets an error, and no `[DONE]`.
//!
//! [`ChatSummary`] reads the little that most applications want from any of these.
//!
//! Each [`Repair`] has a name and is counted; a stream counts once for each. On cancel nothing is held. Nothing is ever refused.

mod choice;
mod finish;
mod head;
mod layer;
mod native;
mod repairs;
mod stream;
mod summary;
#[cfg(test)]
mod tests;
mod tool_calls;
mod usage;

pub use self::{
    layer::{
        ResponseNormalize, ResponseNormalizeFuture, ResponseNormalizeHandle, ResponseNormalizeLayer,
    },
    repairs::Repair,
    summary::ChatSummary,
};
