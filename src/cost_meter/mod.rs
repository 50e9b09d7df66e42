#![doc = include_str!("../docs/cost_meter.md")]

mod attempt;
mod bill_layer;
mod drain;
mod future;
mod layer;
mod multiplier;
mod pricing;
mod service;
mod show;
#[cfg(test)]
mod tests;

pub use self::{
    bill_layer::{BillLayer, Billed},
    drain::{Drainer, DrainerBuilder},
    future::CostMeterFuture,
    layer::{CostMeterBuilder, CostMeterLayer, OnDisconnect, StatedCost},
    multiplier::Multiplier,
    service::CostMeter,
    show::X_RELAY_COST_USD,
};
