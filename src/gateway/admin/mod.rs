//! What operators of a gateway see and change.

mod aliases;
mod prices;
mod serve;
mod service;
mod setup;
mod store;

pub(super) use self::serve::worker;
pub use self::service::{AdminService, AdminServiceFuture};
