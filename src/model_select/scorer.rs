//! How complex a request is: who says so, and what they go by.

use std::{borrow::Cow, fmt};

use crate::message::{Prompt, RequestBody};

/// Says how complex a request is. Pure: the same request always scores the same, and nothing is waited for.
///
/// It runs on the task that serves the request, so it must be quick: the built-in ones read counts that all layers share, and at
/// most 32 kB of text.
pub trait Scorer: fmt::Debug + Send + Sync {
    /// The names of the tiers that it tells apart, the least complex first.
    fn tiers(&self) -> &[&'static str];

    /// The tier of a request. One beyond the last is taken as the last.
    fn score(&self, features: &Features<'_>) -> Score;
}

/// What a [`Scorer`] says of a request.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Score {
    /// The place of its tier among [`Scorer::tiers`].
    pub tier: usize,
    /// Its complexity in points from 1 to 100, where that is how it is told. The tier's name stands for it otherwise.
    pub points: Option<u8>,
    /// What spoke for it, in words; nothing of what the request says.
    pub reason: Cow<'static, str>,
}

impl Score {
    /// The tier at this place, for this reason.
    pub fn new(tier: usize, reason: impl Into<Cow<'static, str>>) -> Self {
        Self {
            tier,
            points: None,
            reason: reason.into(),
        }
    }

    /// With so many points.
    #[must_use]
    pub fn points(mut self, points: u8) -> Self {
        self.points = Some(points);
        self
    }
}

/// What can be told of a request without understanding it.
#[derive(Debug, Clone, Copy)]
pub struct Features<'a> {
    body: &'a RequestBody,
    prompt: &'a Prompt,
}

impl<'a> Features<'a> {
    /// Those of `body`; `None` where there is no JSON object to read.
    pub fn of(body: &'a RequestBody) -> Option<Self> {
        Some(Self {
            body,
            prompt: body.prompt()?,
        })
    }

    /// Counts over the prompt, made once for all layers.
    pub fn prompt(&self) -> &'a Prompt {
        self.prompt
    }

    /// The cap on the answer's tokens, where the request has one.
    pub fn max_output_tokens(&self) -> Option<u64> {
        self.body.max_output_tokens()
    }

    /// The JSON text of the conversation as it was sent: of `messages`, or else of `input` or `prompt`.
    pub fn conversation(&self) -> &'a [u8] {
        let members = self.body.members().ok().flatten();
        let mut names = ["messages", "input", "prompt"].into_iter();
        let value = members.and_then(|members| names.find_map(|name| members.get(name)));
        value.map_or(b"", |value| value.raw())
    }

    /// The request's body.
    pub fn body(&self) -> &'a RequestBody {
        self.body
    }
}
