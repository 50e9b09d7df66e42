mod config;
mod ends;
mod harness;
mod holding;
mod layered;
mod limits;
mod properties;
