#![doc = include_str!("../docs/balance.md")]

mod builder;
mod control;
mod future;
mod handle;
mod layer;
mod load;
mod measure;
mod member;
mod places;
mod service;
mod state;
#[cfg(test)]
mod tests;

pub use self::{
    builder::{BalanceBuilder, Policy},
    future::BalanceFuture,
    handle::{BalanceHandle, BalanceSnapshot, MemberSnapshot},
    layer::BalanceLayer,
    service::Balance,
};
