#![doc = include_str!("../docs/audit.md")]

mod cli;
mod html;
mod reconcile;
mod report;
mod size;
mod table;
#[cfg(test)]
mod tests;

pub use self::{
    cli::main,
    reconcile::{ReconciledRow, Reconciliation},
    report::{Compared, Group, ModelRow, Report, ReportBuilder},
};
