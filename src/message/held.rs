//! A cap on the bytes that all requests together hold in memory.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// The cap, shared by all who hold.
#[derive(Debug)]
pub(crate) struct HeldCap {
    held: AtomicU64,
    cap: u64,
}

/// Bytes that count against a [`HeldCap`] until this is dropped.
#[derive(Debug)]
pub(crate) struct HeldBytes {
    cap: Arc<HeldCap>,
    bytes: u64,
}

impl HeldCap {
    pub(crate) fn new(cap: u64) -> Arc<Self> {
        Arc::new(Self {
            held: AtomicU64::new(0),
            cap,
        })
    }

    /// A holder of nothing yet.
    pub(crate) fn hold(self: &Arc<Self>) -> HeldBytes {
        HeldBytes {
            cap: Arc::clone(self),
            bytes: 0,
        }
    }

    #[cfg(test)]
    pub(crate) fn held(&self) -> u64 {
        self.held.load(Ordering::Relaxed)
    }
}

impl HeldBytes {
    /// Holds `more` bytes on top; `false`, and nothing changes, when that would exceed the cap.
    pub(crate) fn grow(&mut self, more: u64) -> bool {
        // The counter guards no other memory, so no ordering is needed between its users.
        let grown = self
            .cap
            .held
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |held| {
                held.checked_add(more).filter(|sum| *sum <= self.cap.cap)
            });
        if grown.is_ok() {
            self.bytes += more;
        }
        grown.is_ok()
    }
}

impl Drop for HeldBytes {
    fn drop(&mut self) {
        self.cap.held.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_bounded_and_given_back() {
        let cap = HeldCap::new(10);
        let mut one = cap.hold();
        let mut two = cap.hold();
        assert!(one.grow(6));
        assert!(!two.grow(5));
        assert!(two.grow(4));
        assert!(!one.grow(1));
        drop(two);
        assert!(one.grow(1));
        drop(one);
        assert_eq!(cap.held(), 0);
    }
}
