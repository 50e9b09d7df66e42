#![doc = include_str!("../docs/commit_guard.md")]

mod framing;
mod future;
mod holding;
mod layer;
mod pace;
mod service;
mod state;
mod tail;
#[cfg(test)]
mod tests;
mod verdict;

pub use self::{
    future::CommitGuardFuture,
    layer::{CommitGuardBuilder, CommitGuardLayer},
    service::CommitGuard,
    state::{Commit, Limits},
};
