//! A request whose answer nobody waits for.

/// Marks a request as a copy that is sent for comparison. Stands in its extensions; what it costs is recorded as a shadow's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shadowed;
