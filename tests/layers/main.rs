//! What every layer of this crate promises, held against each of them.

#[macro_use]
mod contract;
mod existing_app;
mod probe;
mod properties;
mod promises;
