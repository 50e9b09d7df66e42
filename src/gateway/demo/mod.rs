//! Two embedded upstreams, so that a relay can be tried and tested with no key and no network.
//!
//! [`Demo::exact`] speaks OpenAI's schema to the letter. [`Demo::deviant`] deviates from it as real
//! providers do: each of its models has one provider's habits (`deviant-perplexity`, `deviant-groq`,
//! ...; [`Model::about`] says which). Both answer `/v1/chat/completions`, `/v1/completions`,
//! `/v1/responses`, `/v1/embeddings`, `/v1/files`, `/v1/models` and `/health`.
//!
//! ```no_run
//! use tower_relay::gateway::demo::Demo;
//!
//! # async fn run() -> std::io::Result<()> {
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! println!("a demo upstream on http://{}/v1", listener.local_addr()?);
//! Demo::exact().serve(listener, std::future::pending()).await;
//! # Ok(())
//! # }
//! ```
//!
//! # Answers
//!
//! The same request always gets the same bytes: ids are a hash of the request, the creation time is
//! fixed, and a "token" is a word. A chat answer echoes the last user message, calls the first tool it
//! is offered with arguments made from the tool's schema, and quotes a tool's result when it is given
//! one.
//!
//! # Faults on request
//!
//! | header | effect | range |
//! |---|---|---|
//! | `x-demo-status` | answers this status in the provider's error shape, a 429 with `retry-after` | 400 to 599 |
//! | `x-demo-delay-ms` | waits before the head | 0 to 60,000 |
//! | `x-demo-event-delay-ms` | waits between two events of a stream, instead of [`Demo::pace`] | 0 to 60,000 |
//! | `x-demo-cut` | breaks the connection after this many events; a JSON body is one event | 0 to 1,000,000 |
//! | `x-demo-error-event` | ends a stream with the provider's error event after this many events | 0 to 1,000,000 |
//!
//! A value outside its range is answered with a 400 that names the header. A stream with fewer events
//! than asked for is not changed.

mod answer;
mod body;
mod chat;
mod completions;
mod deviations;
mod digest;
mod edit;
mod embeddings;
mod failure;
mod fault;
mod fields;
mod files;
mod multipart;
mod reply;
mod responses;
mod route;
mod serve;
mod stream;
#[cfg(test)]
mod tests;
mod tools;

use std::{fmt, time::Duration};

use bytes::Buf;
use http::{Request, Response};
use http_body::Body;

pub use body::{DemoBody, DemoError};

use deviations::Deviation;

/// A model of a [`Demo`].
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Model {
    /// The name to ask for.
    pub id: &'static str,
    /// Who is said to own it.
    pub owned_by: &'static str,
    /// What it is good for, in one sentence.
    pub about: &'static str,
    /// The longest prompt it takes, in words.
    pub window: u64,
    embeds: bool,
    deviation: &'static Deviation,
}

/// An embedded upstream: see the [module](self).
#[derive(Clone)]
pub struct Demo {
    models: Vec<Model>,
    authorization: String,
    pace: Duration,
    created: u64,
}

impl Demo {
    /// Exactly OpenAI's schema: the models `demo-small`, `demo-large` and `demo-embed`.
    pub fn exact() -> Self {
        let model = |id, about, window, embeds| Model {
            id,
            owned_by: "tower-relay",
            about,
            window,
            embeds,
            deviation: &deviations::HONEST,
        };
        Self::new(vec![
            model(
                "demo-small",
                "Chat with a small context window.",
                8_192,
                false,
            ),
            model(
                "demo-large",
                "Chat with a large context window.",
                1_000_000,
                false,
            ),
            model(
                "demo-embed",
                "Embeddings in which shared words mean closeness.",
                8_192,
                true,
            ),
        ])
    }

    /// One chat model per provider whose habits it imitates.
    pub fn deviant() -> Self {
        let models = deviations::DEVIATIONS.iter().map(|deviation| Model {
            id: deviation.model,
            owned_by: "tower-relay",
            about: deviation.about,
            window: 8_192,
            embeds: false,
            deviation,
        });
        Self::new(models.collect())
    }

    fn new(models: Vec<Model>) -> Self {
        // 1 January 2026, 00:00 UTC: fixed, so that answers are the same on every day.
        let created = 1_767_225_600;
        Self {
            models,
            authorization: "Bearer demo-key".to_owned(),
            pace: Duration::ZERO,
            created,
        }
    }

    /// The key a caller must present as `authorization: Bearer <key>`; `demo-key` unless set.
    pub fn key(mut self, key: &str) -> Self {
        self.authorization = format!("Bearer {key}");
        self
    }

    /// How long a stream pauses between two events; zero unless set. About 15 ms
    /// looks like a model at work.
    pub fn pace(mut self, pace: Duration) -> Self {
        self.pace = pace;
        self
    }

    /// When every answer says it was created, in seconds since the Unix epoch.
    pub fn created(mut self, seconds: u64) -> Self {
        self.created = seconds;
        self
    }

    /// What can be asked for.
    pub fn models(&self) -> &[Model] {
        &self.models
    }

    /// Answers one request. Every failure is a response in the provider's error shape.
    pub async fn respond<B>(&self, request: Request<B>) -> Response<DemoBody>
    where
        B: Body<Data: Buf, Error: Into<Box<dyn std::error::Error + Send + Sync>>>,
    {
        route::respond(self, request).await
    }
}

impl fmt::Debug for Demo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let models: Vec<_> = self.models.iter().map(|model| model.id).collect();
        f.debug_struct("Demo")
            .field("models", &models)
            .field("pace", &self.pace)
            .field("created", &self.created)
            .finish_non_exhaustive()
    }
}
