//! A scripted upstream, stacks before it, and what a caller may see of what goes wrong.

pub(crate) mod answer;
pub(crate) mod ask;
pub(crate) mod check;
mod connect;
mod gauge;
mod held;
pub(crate) mod relay;
pub(crate) mod report;
pub(crate) mod run;
pub(crate) mod scenarios;
pub(crate) mod script;
pub(crate) mod stacks;
mod upstream;
mod wire;
