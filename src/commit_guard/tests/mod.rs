mod config;
mod ends;
mod harness;
mod holding;
mod limits;
mod properties;
