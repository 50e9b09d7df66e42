//! A configuration file becomes a running relay.

pub mod demo;
