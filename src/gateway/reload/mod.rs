//! One stack in place of another, while requests flow.

mod estate;
mod generation;
mod live;
mod watch;
mod workers;

pub(super) use self::{
    estate::{Estate, Kept},
    generation::{Beside, Generation, Guests},
    live::{Live, Make},
    watch::watch,
};
pub use self::{
    live::{Reloaded, Reloader},
    watch::ReloadSignal,
};
