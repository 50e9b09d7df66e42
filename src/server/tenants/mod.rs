#![doc = include_str!("../../docs/tenants.md")]

mod access;
mod book;
mod caller;
mod control;
mod hash;
mod layer;
mod registry;
pub(crate) mod service;
mod state_file;
mod stored;
mod tenant;
#[cfg(test)]
mod tests;

pub use self::{
    caller::Caller,
    control::TenantControl,
    hash::KeyHash,
    layer::AuthLayer,
    registry::{ChangeError, Tenants},
    service::{Auth, AuthFuture},
    tenant::{Tenant, TenantKey},
};
