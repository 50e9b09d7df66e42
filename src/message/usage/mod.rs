//! What an answer used: token counts read from every provider's shape into one that can be priced.
//!
//! Providers name, nest and overlap their counts differently: some count cached tokens inside the input and some beside
//! it, some count reasoning inside the output and some beside it, and some state the same counts three times. [`Usage`]
//! is disjoint, so that a bill is one multiplication per kind and a sum. [`UsageScan`] reads it while an answer passes.
//!
//! ```
//! use tower_relay::message::usage::UsageScan;
//!
//! let mut scan = UsageScan::default();
//! scan.event(br#"{"choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":null}],"usage":null}"#);
//! assert_eq!(scan.usage(), None);
//!
//! scan.event(
//!     br#"{"choices":[],"usage":{"prompt_tokens":20,"completion_tokens":9,"total_tokens":29,
//!         "prompt_tokens_details":{"cached_tokens":16},"completion_tokens_details":{"reasoning_tokens":4}}}"#,
//! );
//! let usage = scan.usage().unwrap();
//! assert_eq!((usage.input, usage.cache_read), (4, 16));
//! assert_eq!((usage.output, usage.reasoning), (5, 4));
//! assert_eq!(usage.total(), 29);
//! ```
//!
//! # What is recognised, and how
//!
//! The shape is recognised by its member names, never by host or path. Usage is read only where providers put it (at the
//! top, in `choices[]`, and in wrappers such as `response`, `message`, `delta` or `x_groq`), so text, tool arguments and
//! echoed request members that look like usage are not read.
//!
//! - Spellings of one count in one object are copies: the largest is taken, as gateways fill the ones they do not use with 0.
//! - Over a stream the last stated value of each count holds; a count that is absent or `null` erases nothing, and nothing
//!   is summed.
//! - Cached tokens are inside an input named `prompt_tokens` or `promptTokenCount` and inside any input whose details hold
//!   them; they are beside an input that comes with `cache_read_input_tokens` (Anthropic) or `cacheReadInputTokens`
//!   (Bedrock).
//! - Reasoning is inside the output, but for Gemini's thoughts and for answers with `citation_tokens` (Perplexity's deep
//!   research), where it is beside it.
//! - A total larger than its stated parts is believed. The surplus is output (reasoning that was left out, as by xAI and
//!   Gemini's compatible endpoint), unless it equals the audio input (Mistral) or the cached tokens: then those are beside
//!   the input. When only a total is stated (embeddings, reranking) it is input.
//! - A part larger than its whole is clamped to it, the cache first. Negative counts are 0.
//! - Cohere's `billed_units` come before its `tokens`: they are what is charged.
//! - An answer that only counts tokens (`count_tokens`, `countTokens`) used none, so it states no usage.

mod answer;
mod cost;
mod counts;
mod details;
mod key;
mod lenient;
mod object;
mod place;
mod scan;
mod stated;
#[cfg(test)]
mod tests;

pub use counts::Usage;
pub use scan::UsageScan;
