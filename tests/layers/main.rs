//! What every layer of this crate promises, held against each of them.
#![cfg(test)]

#[macro_use]
mod contract;
mod existing_app;
mod probe;
mod promises;
mod properties;
mod silence;
