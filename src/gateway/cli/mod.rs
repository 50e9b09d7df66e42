//! The gateway as a program.

mod ctl;
mod demo;
mod options;
mod run;
mod signals;
mod tree;

pub use self::run::main;
