#![doc = include_str!("../docs/control.md")]

mod error;
mod parameters;
mod registry;

use std::{
    fmt,
    future::{Future, ready},
    pin::Pin,
};

use serde::Serialize;
use serde_json::Value;

pub use self::{error::ControlError, parameters::Parameters, registry::Controls};

/// Something that runs and can be shown and steered by name: a breaker, a rollout, a budget.
///
/// Handles of layers implement it. What it shows and takes is JSON, so that whoever shows and steers needs to know no layer.
pub trait Control: fmt::Debug + Send + Sync {
    /// What kind of thing it is, in the plural: `breakers`, `rollouts`.
    fn kind(&self) -> &'static str;

    /// How it stands: an object, bounded in size, without secrets. Cheap enough to be asked each second.
    fn show(&self) -> Value;

    /// What can be done with it.
    fn actions(&self) -> &'static [&'static str];

    /// Does `action`, one of [`actions`](Self::actions). Either it holds when the future is ready, or there is an error and nothing
    /// has changed.
    fn act<'a>(&'a self, action: &'a str, with: Parameters) -> Acting<'a>;
}

/// An action on its way.
pub type Acting<'a> = Pin<Box<dyn Future<Output = Result<Change, ControlError>> + Send + 'a>>;

/// What an action changed.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    /// What was there before.
    pub old: Value,
    /// What is there now.
    pub new: Value,
}

impl Change {
    /// From `old` to `new`.
    pub fn new(old: impl Into<Value>, new: impl Into<Value>) -> Self {
        Self {
            old: old.into(),
            new: new.into(),
        }
    }
}

/// An action that needs no wait.
pub fn acted<'a>(result: Result<Change, ControlError>) -> Acting<'a> {
    Box::pin(ready(result))
}
