//! The stack under test.

use crate::bare::Bare;

/// The service between server and client, in front of `upstream`, a host and port.
///
/// A stand-in that does what the bare proxy does, so that the ratio of the two shows the error of the measurement. A
/// Tower stack goes here through `hyper_util::service::TowerToHyperService`, around `server::client()`.
pub(crate) fn stack(upstream: &str) -> Bare {
    Bare::new(upstream)
}
