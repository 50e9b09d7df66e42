//! What threads share. Under `--cfg loom`, tests get loom's, which tries every order in which they may meet.
#![allow(unused_imports, reason = "not every feature needs each")]

#[cfg(not(all(test, loom)))]
pub(crate) use std::sync::{Mutex, MutexGuard, atomic};

#[cfg(all(test, loom))]
pub(crate) use loom::sync::{Mutex, MutexGuard, atomic};
