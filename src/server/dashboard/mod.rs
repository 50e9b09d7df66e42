#![doc = include_str!("../../docs/dashboard.md")]

mod page;
mod service;

pub use self::service::{Dashboard, DashboardFuture};
