#![doc = include_str!("../docs/admission.md")]

mod builder;
mod control;
mod counts;
mod future;
mod gate;
mod gates;
mod gradient;
mod handle;
mod layer;
mod priority;
mod service;
mod state;
#[cfg(test)]
mod tests;

pub use self::{
    builder::{AdmissionBuilder, Limits},
    counts::AdmissionCounts,
    future::AdmissionFuture,
    gradient::Adaptive,
    handle::{AdmissionHandle, KeyState},
    layer::AdmissionLayer,
    priority::{Priority, PriorityBy},
    service::Admission,
};
