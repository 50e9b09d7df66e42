//! Independent [Tower](https://docs.rs/tower) layers that turn any HTTP client into a relay for LLM APIs.
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "upstream")]
pub mod client;
pub mod key;
pub mod message;
#[cfg(feature = "model-rewrite")]
pub mod model_rewrite;
#[cfg(feature = "edge")]
pub mod server;
pub mod stats;
#[cfg(test)]
mod testing;
pub mod wire;
pub mod worker;

#[cfg(feature = "gateway")]
pub mod gateway;
