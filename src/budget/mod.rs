#![doc = include_str!("../docs/budget.md")]

mod accounts;
mod ask;
mod builder;
mod calendar;
mod control;
mod future;
mod handle;
mod layer;
mod notice;
mod pass;
mod price;
mod service;
mod shared;
mod state;
mod terms;
#[cfg(test)]
mod tests;

pub use self::{
    builder::BudgetBuilder,
    calendar::Per,
    control::BudgetControl,
    future::BudgetFuture,
    handle::{BudgetHandle, BudgetLevel},
    layer::BudgetLayer,
    notice::{X_RELAY_BUDGET_MODEL, X_RELAY_BUDGET_WARNING},
    service::BudgetService,
    terms::{Budget, Limits, OnExceeded, UnknownPrice},
};
