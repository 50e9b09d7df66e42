//! The gateway as a program.

mod ctl;
mod demo;
mod live;
mod log;
mod options;
#[cfg(feature = "otlp")]
mod otlp;
mod run;
mod signals;
mod tree;

pub use self::run::main;
