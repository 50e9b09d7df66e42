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
#[cfg(feature = "async-openai")]
#[cfg_attr(docsrs, doc(cfg(feature = "async-openai")))]
mod async_openai;
mod credential;
mod credential_file;
mod picked;
pub mod relay;
#[cfg(feature = "reqwest")]
#[cfg_attr(docsrs, doc(cfg(feature = "reqwest")))]
mod reqwest_client;
mod route;
mod upstream;
mod upstreams;

#[cfg(feature = "async-openai")]
pub use self::async_openai::AsyncOpenAi;
pub(crate) use self::picked::Picked;
#[doc(inline)]
pub use self::relay::{Answer, Relay, RelayError, RelayErrorKind};
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
