//! Makes the answers of other providers to `chat/completions` those that OpenAI would have given.
//!
//! One call is one attempt: the layer belongs into the stack of one upstream. It repairs JSON bodies and the events of streams of
//! status 2xx, splicing only what is wrong: members that OpenAI always sends, finish reasons, tool calls, usage, and a missing
//! `[DONE]`. What conforms, what is not known, comments, and everything compressed pass byte for byte. Errors, also those inside a
//! success, pass as they came.
//!
//! Each [`Repair`] has a name and is counted; a stream counts once for each. On cancel nothing is held. Nothing is ever refused.

mod choice;
mod finish;
mod head;
mod layer;
mod repairs;
mod stream;
#[cfg(test)]
mod tests;
mod tool_calls;
mod usage;

pub use self::{
    layer::{
        ResponseNormalize, ResponseNormalizeFuture, ResponseNormalizeHandle, ResponseNormalizeLayer,
    },
    repairs::Repair,
};
