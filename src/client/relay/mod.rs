#![doc = include_str!("../../docs/relay.md")]

mod answer;
mod call;
mod error;
mod event;
#[cfg(test)]
mod tests;

use std::{fmt, sync::Arc};

use http::{Method, Request, Response};
use serde::Serialize;
use tower::{ServiceExt, util::BoxCloneSyncService};
use tower_service::Service;

pub use self::{
    answer::Answer,
    call::Call,
    error::{RelayError, RelayErrorKind},
    event::{Event, Events},
};
use crate::message::{BoxError, RequestBody, ResponseBody};

type Stack = BoxCloneSyncService<Request<RequestBody>, Response<ResponseBody>, BoxError>;

/// The largest answer that is read as a whole, unless [`Relay::max_answer`] says otherwise.
const MAX_ANSWER: usize = 16 << 20;

/// A stack as a client: requests are values in, answers are values out, and everything that its layers refuse or repair happens in between.
///
/// Clones are cheap and share the stack's state.
#[derive(Clone)]
pub struct Relay {
    stack: Stack,
    settings: Arc<Settings>,
}

#[derive(Debug, Clone)]
struct Settings {
    max_answer: usize,
}

impl Relay {
    /// A client before `stack`.
    pub fn new<S>(stack: S) -> Self
    where
        S: Service<Request<RequestBody>, Response = Response<ResponseBody>>
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send + 'static,
        S::Error: Into<BoxError>,
    {
        Self {
            stack: BoxCloneSyncService::new(stack.map_err(Into::into)),
            settings: Arc::new(Settings {
                max_answer: MAX_ANSWER,
            }),
        }
    }

    /// The largest answer, in bytes, that [`Answer::json`] and its like read, and the longest event of [`Answer::events`]; 16 MiB by default.
    pub fn max_answer(self, bytes: usize) -> Self {
        Self {
            settings: Arc::new(Settings { max_answer: bytes }),
            ..self
        }
    }

    /// Sends a chat completion request: `POST /v1/chat/completions`, with anything that serializes to its JSON.
    ///
    /// # Errors
    /// As [`Call::send`].
    pub async fn chat<T: Serialize + ?Sized>(&self, request: &T) -> Result<Answer, RelayError> {
        self.post("/v1/chat/completions").json(request).send().await
    }

    /// A request to `path`, which an [`UpstreamLayer`](super::UpstreamLayer) puts behind its base URL.
    pub fn post(&self, path: &str) -> Call {
        self.request(Method::POST, path)
    }

    /// A request to `path` for what is there.
    pub fn get(&self, path: &str) -> Call {
        self.request(Method::GET, path)
    }

    /// A request of any method.
    pub fn request(&self, method: Method, path: &str) -> Call {
        Call::new(self.clone(), method, path)
    }

    async fn call(
        &self,
        request: Request<RequestBody>,
    ) -> Result<Response<ResponseBody>, BoxError> {
        self.stack.clone().oneshot(request).await
    }
}

impl fmt::Debug for Relay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Relay").finish_non_exhaustive()
    }
}
