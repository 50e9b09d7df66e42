//! Makes the answers of other providers to `chat/completions`, `completions`, `embeddings` and `models` those that OpenAI would have
//! given.
//!
//! One call is one attempt: the layer belongs into the stack of one upstream. It repairs JSON bodies and the events of streams of
//! status 2xx, splicing only what is wrong: members that OpenAI always sends, finish reasons, tool calls, usage, and a missing
//! `[DONE]`. What conforms, what is not known, comments, and everything compressed pass byte for byte. Errors, also those inside a
//! success, pass as they came.
//!
//! Thoughts stay in the members that they came in, unless [`Reasoning`] says otherwise. Vectors stay as they came, numbers or base64.
//!
//! Each [`Repair`] has a name and is counted; a stream counts once for each. On cancel nothing is held. Nothing is ever refused.

mod api;
#[cfg(test)]
mod api_tests;
mod builder;
mod choice;
mod completions;
mod embeddings;
mod finish;
mod head;
mod layer;
mod models;
mod reasoning;
mod repairs;
mod stream;
#[cfg(test)]
mod tests;
mod think;
mod tool_calls;
mod usage;

pub use self::{
    builder::ResponseNormalizeBuilder,
    layer::{
        ResponseNormalize, ResponseNormalizeFuture, ResponseNormalizeHandle, ResponseNormalizeLayer,
    },
    reasoning::Reasoning,
    repairs::Repair,
};
