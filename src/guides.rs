//! Guides: pages that are about more than one layer.
//!
//! - [`order`]: which layer stands where, and why
//! - [`migrating`]: from one provider to another without downtime
//! - [`replicas`]: limits and budgets, counted by one process or by many
//! - [`streaming`]: streams, cancellation and settlement, and the questions that they raise
//! - [`own_layer`]: a layer of your own
//! - [`from_litellm`]: LiteLLM's configuration, option by option
//! - [`from_python`]: the loops of Python playbooks, and the layers that take their place

#[doc = include_str!("docs/guides/order.md")]
pub mod order {}
#[doc = include_str!("docs/guides/migrating.md")]
pub mod migrating {}
#[doc = include_str!("docs/guides/replicas.md")]
pub mod replicas {}
#[doc = include_str!("docs/guides/streaming.md")]
pub mod streaming {}
#[doc = include_str!("docs/guides/own_layer.md")]
pub mod own_layer {}
#[doc = include_str!("docs/guides/from_litellm.md")]
pub mod from_litellm {}
#[doc = include_str!("docs/guides/from_python.md")]
pub mod from_python {}
