#![doc = include_str!("../../docs/admin.md")]

mod access;
mod changes;
mod future;
mod service;
#[cfg(test)]
mod tests;

pub use self::{
    access::{Access, AccessBuilder},
    changes::{ChangeEntry, Changes},
    future::AdminFuture,
    service::Admin,
};
