//! Independent [Tower](https://docs.rs/tower) layers that turn any HTTP client into a relay for LLM APIs.
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod message;
pub mod stats;
pub mod wire;

#[cfg(feature = "gateway")]
pub mod gateway;
