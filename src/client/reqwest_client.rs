//! `reqwest::Client` as the innermost service of a stack.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{Request, Response};
use reqwest::{Body, Client, Error};
use tower_service::Service;

use crate::message::{RequestBody, ResponseBody};

/// A [`reqwest::Client`] that takes and gives the bodies of this crate.
///
/// Three of the client's own settings work against a stack and are better off, as [`ReqwestClient::default`] has them:
/// redirects (a key must not follow one), retries (those of a layer would multiply them), and a total timeout (it ends long
/// streams).
#[derive(Debug, Clone)]
pub struct ReqwestClient(Client);

impl ReqwestClient {
    /// Uses `client` as it is.
    pub fn new(client: Client) -> Self {
        Self(client)
    }

    /// The client.
    pub fn get_ref(&self) -> &Client {
        &self.0
    }
}

impl Default for ReqwestClient {
    /// A client without redirects and retries and with `TCP_NODELAY`.
    fn default() -> Self {
        let client = Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .tcp_nodelay(true)
            .build();
        // Nothing that could fail was asked for beyond what `Client::new` asks for.
        Self(client.unwrap_or_default())
    }
}

impl From<Client> for ReqwestClient {
    fn from(client: Client) -> Self {
        Self(client)
    }
}

impl Service<Request<RequestBody>> for ReqwestClient {
    type Response = Response<ResponseBody>;
    type Error = Error;
    type Future = ReqwestFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<RequestBody>) -> ReqwestFuture {
        let client = self.0.clone();
        let request = request.map(|body| match body.as_bytes() {
            Some(bytes) => Body::from(bytes.clone()),
            None => Body::wrap(body),
        });
        ReqwestFuture(match reqwest::Request::try_from(request) {
            Ok(request) => State::Sending(Box::pin(async move { client.execute(request).await })),
            Err(error) => State::Failed(Some(error)),
        })
    }
}

/// An answer of a stack as a [`reqwest::Response`], for programs that have that type everywhere:
/// `reqwest::Response::from(response)`. It streams as it did, and is watched to its end all the same.
impl From<ResponseBody> for Body {
    fn from(body: ResponseBody) -> Self {
        Self::wrap(body)
    }
}

/// The future of [`ReqwestClient`].
#[must_use = "futures do nothing unless polled"]
pub struct ReqwestFuture(State);

enum State {
    Sending(Pin<Box<dyn Future<Output = Result<reqwest::Response, Error>> + Send>>),
    Failed(Option<Error>),
}

impl Future for ReqwestFuture {
    type Output = Result<Response<ResponseBody>, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            State::Sending(future) => {
                let answer = ready!(future.as_mut().poll(cx));
                // The address may hold a key in its query, and an error's text is logged.
                Poll::Ready(
                    answer
                        .map(|response| ResponseBody::wrap(Response::<Body>::from(response)))
                        .map_err(Error::without_url),
                )
            }
            State::Failed(error) => error
                .take()
                .map_or(Poll::Pending, |error| Poll::Ready(Err(error))),
        }
    }
}

impl std::fmt::Debug for ReqwestFuture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReqwestFuture").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
