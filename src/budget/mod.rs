#![doc = include_str!("../docs/budget.md")]

mod ask;
mod budget;
mod builder;
mod calendar;
mod future;
mod handle;
mod layer;
mod notice;
mod pass;
mod service;
mod state;
#[cfg(test)]
mod tests;

pub use self::{
    budget::{Budget, Limits, OnExceeded, UnknownPrice},
    builder::BudgetBuilder,
    calendar::Per,
    future::BudgetFuture,
    handle::{BudgetHandle, BudgetLevel},
    layer::BudgetLayer,
    notice::{X_RELAY_BUDGET_MODEL, X_RELAY_BUDGET_WARNING},
    service::BudgetService,
};
