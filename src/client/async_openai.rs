//! A stack beneath `async_openai::Client`.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use async_openai::{error::OpenAIError, middleware::HttpRequestFactory};
use http::{Request, Response};
use reqwest::Body;
use tower::ServiceExt;
use tower_service::Service;

use crate::message::{BoxError, RequestBody, ResponseBody, is_readable_json};

/// Gives `async-openai`'s typed API every layer of a stack: the service for its `Client::with_http_service`.
///
/// Its requests pass the stack as any other client's do, and an error that the stack answers is the client's own `OpenAIError::ApiError`. The
/// client's retries are not beneath its own service: those are [`RetryLayer`](crate::retry::RetryLayer)'s.
///
/// The base URL of the client's configuration is of no use where an [`UpstreamLayer`](super::UpstreamLayer) has one of its own; its path (`/v1`) is
/// what layers know an endpoint by. Of its key an upstream sees only what its own [`Credential`](super::Credential) says.
///
/// ```
/// use async_openai::{Client, config::OpenAIConfig};
/// use tower::ServiceBuilder;
/// use tower_relay::{
///     client::{AsyncOpenAi, Credential, ReqwestClient, UpstreamLayer},
///     model_rewrite::ModelRewriteLayer,
///     server::EdgeLayer,
/// };
///
/// # fn client() -> Result<Client<OpenAIConfig>, Box<dyn std::error::Error>> {
/// let stack = ServiceBuilder::new()
///     .layer(EdgeLayer::default())
///     .layer(ModelRewriteLayer::new([("gpt-4.1-mini", "llama-4-maverick")])?)
///     .layer(
///         UpstreamLayer::builder("local")
///             .base_url("http://127.0.0.1:11434/v1")
///             .credential(Credential::key("sk-local")?)
///             .build()?,
///     )
///     .service(ReqwestClient::default());
/// let client = Client::new().with_http_service(AsyncOpenAi::new(stack));
/// # Ok(client)
/// # }
/// ```
#[derive(Clone)]
pub struct AsyncOpenAi<S> {
    stack: S,
}

impl<S> AsyncOpenAi<S> {
    /// Sends a client's requests through `stack`.
    pub fn new(stack: S) -> Self {
        Self { stack }
    }

    /// The stack.
    pub fn get_ref(&self) -> &S {
        &self.stack
    }

    /// The stack, to change it.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.stack
    }

    /// Takes the stack out.
    pub fn into_inner(self) -> S {
        self.stack
    }
}

impl<S> Service<HttpRequestFactory> for AsyncOpenAi<S>
where
    S: Service<Request<RequestBody>, Response = Response<ResponseBody>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
{
    type Response = reqwest::Response;
    type Error = OpenAIError;
    type Future = Pin<Box<dyn Future<Output = Result<reqwest::Response, OpenAIError>> + Send>>;

    /// Always ready: a clone of the stack is readied once there is a request.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), OpenAIError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, factory: HttpRequestFactory) -> Self::Future {
        let stack = self.stack.clone();
        Box::pin(async move {
            let request = Request::<Body>::try_from(factory.build().await?)?;
            let response = stack.oneshot(read(request)).await;
            let response = response.map_err(|error| OpenAIError::Boxed(error.into()))?;
            Ok(reqwest::Response::from(response))
        })
    }
}

/// A request of the client as layers know it.
fn read(request: Request<Body>) -> Request<RequestBody> {
    let is_json = is_readable_json(request.headers());
    request.map(|body| match body.as_bytes() {
        // They are the client's, which lends them.
        Some(bytes) if is_json && !bytes.is_empty() => RequestBody::json(bytes.to_vec()),
        Some([]) => RequestBody::empty(),
        _ => RequestBody::new(body),
    })
}

impl<S> fmt::Debug for AsyncOpenAi<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncOpenAi").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
