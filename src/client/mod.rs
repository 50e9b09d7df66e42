//! The inner edge: what stands between a stack and an HTTP client.
//!
//! ```text
//! layers  →  UpstreamLayer  →  any client
//! ```
//!
//! hyper-util's client takes a stack's requests as they are; [`AdaptLayer`] and [`AdaptBytesLayer`] fit any other in
//! one line.

mod adapt;
mod adapt_bytes;
mod credential;
mod credential_file;
mod picked;
#[cfg(feature = "reqwest")]
#[cfg_attr(docsrs, doc(cfg(feature = "reqwest")))]
mod reqwest_client;
mod route;
mod upstream;
mod upstreams;

pub(crate) use self::picked::Picked;
#[cfg(feature = "reqwest")]
pub use self::reqwest_client::{ReqwestClient, ReqwestFuture};
pub use self::{
    adapt::{Adapt, AdaptFuture, AdaptLayer},
    adapt_bytes::{AdaptBytes, AdaptBytesFuture, AdaptBytesLayer},
    credential::{Credential, CredentialError, Style},
    credential_file::CredentialFile,
    route::{ModelRoute, ModelRouteFuture},
    upstream::{Upstream, UpstreamBuilder, UpstreamFuture, UpstreamLayer},
    upstreams::{Target, TargetFuture, Upstreams, UpstreamsBuilder},
};
