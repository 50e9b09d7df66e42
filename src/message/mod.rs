//! What flows through every layer.

pub mod usage;
