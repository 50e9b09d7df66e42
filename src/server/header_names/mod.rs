//! Under which names answers say what the relay did.

mod layer;
mod names;
#[cfg(test)]
mod tests;

pub use self::{
    layer::{HeaderNamesLayer, Renamed, RenamedFuture},
    names::HeaderNames,
};
