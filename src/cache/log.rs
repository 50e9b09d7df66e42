//! What has come of an answer so far, for all who read it at their own pace.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use crate::message::{HeldBytes, HeldCap};

/// Pieces at least as long as this are kept as they came; shorter ones are copied together, or each would keep the buffer alive in which it
/// was read.
const LONG: usize = 4 << 10;
/// The room that is made for short pieces at a time.
const BLOCK: usize = 16 << 10;
/// Every piece counts with at least as much, or empty ones would cost nothing.
const MIN_PIECE: usize = 32;

/// The pieces of an answer: all of them while they fit, and then the last of them.
pub(super) struct Log {
    pieces: VecDeque<Bytes>,
    /// The number of the first that is there.
    start: usize,
    bytes: usize,
    max: usize,
    held: HeldBytes,
    block: BytesMut,
    is_whole: bool,
}

impl Log {
    /// One of at most `max` bytes, which count against `cap`.
    pub(super) fn new(max: usize, cap: &std::sync::Arc<HeldCap>) -> Self {
        Self {
            pieces: VecDeque::new(),
            start: 0,
            bytes: 0,
            max,
            held: cap.hold(),
            block: BytesMut::new(),
            is_whole: true,
        }
    }

    /// Whether it holds the answer from its beginning.
    pub(super) fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// Holds back no more than it does now: nobody will need the beginning.
    pub(super) fn seal(&mut self) {
        if self.is_whole {
            self.is_whole = false;
            self.max = self.bytes;
        }
    }

    /// The number of the first piece that is there.
    pub(super) fn start(&self) -> usize {
        self.start
    }

    /// The number that the next piece will have.
    pub(super) fn end(&self) -> usize {
        self.start + self.pieces.len()
    }

    pub(super) fn pieces(&self) -> impl Iterator<Item = &Bytes> + Clone {
        self.pieces.iter()
    }

    /// A piece by its number.
    pub(super) fn get(&self, number: usize) -> Option<&Bytes> {
        self.pieces.get(number.checked_sub(self.start)?)
    }

    /// Whether another piece would push out one that is there.
    pub(super) fn is_full(&self) -> bool {
        !self.is_whole && !self.pieces.is_empty() && self.bytes >= self.max
    }

    /// Adds a piece. One for which there is no room seals the log.
    pub(super) fn push(&mut self, piece: &Bytes) {
        let weight = piece.len().max(MIN_PIECE);
        if self.is_whole && (self.bytes + weight > self.max || !self.held.grow(weight as u64)) {
            self.seal();
        }
        self.bytes += weight;
        let own = self.own(piece);
        self.pieces.push_back(own);
    }

    /// Counts a piece that nobody needs.
    pub(super) fn skip(&mut self) {
        debug_assert!(
            self.pieces.is_empty() && !self.is_whole,
            "only what is read is skipped"
        );
        self.start += 1;
    }

    /// Lets go of what is before `read` in a sealed log, which all have read, and then of what the leader alone has, up to `led`, until
    /// the rest fits.
    pub(super) fn trim(&mut self, read: usize, led: usize) {
        if self.is_whole {
            return;
        }
        let (read, led) = (read.min(self.end()), led.min(self.end()));
        while self.start < read || self.start < led && self.bytes > self.max {
            let Some(piece) = self.pieces.pop_front() else {
                return;
            };
            self.bytes -= piece.len().max(MIN_PIECE);
            self.start += 1;
        }
    }

    fn own(&mut self, piece: &Bytes) -> Bytes {
        if piece.len() >= LONG {
            return piece.clone();
        }
        if self.block.capacity() - self.block.len() < piece.len() {
            // The first is no larger than it must be: most answers that are not streamed are one piece.
            let room = if self.pieces.is_empty() {
                piece.len()
            } else {
                BLOCK
            };
            self.block = BytesMut::with_capacity(room);
        }
        self.block.extend_from_slice(piece);
        self.block.split().freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(length: usize) -> Bytes {
        Bytes::from(vec![b'x'; length])
    }

    #[test]
    fn a_log_that_is_full_keeps_the_last_of_what_came() {
        let cap = HeldCap::new(10_000);
        let mut log = Log::new(1_000, &cap);
        for _ in 0..9 {
            log.push(&piece(100));
        }
        assert!(log.is_whole() && !log.is_full());
        log.push(&piece(200));
        assert!(!log.is_whole() && log.is_full());
        log.trim(0, 1);
        assert_eq!((log.start(), log.end()), (1, 10));
        log.trim(0, 9);
        assert_eq!((log.start(), log.end()), (2, 10));
        assert!(log.get(1).is_none() && log.get(2).is_some());
        assert!(cap.held() <= 1_000);
        // What the leader has not read is kept, whatever its length.
        log.push(&piece(5_000));
        log.trim(0, 10);
        assert_eq!((log.start(), log.end()), (10, 11));
        log.trim(11, 11);
        assert_eq!((log.start(), log.end()), (11, 11));
        drop(log);
        assert_eq!(cap.held(), 0);
    }

    #[test]
    fn all_logs_together_keep_within_the_cap() {
        let cap = HeldCap::new(150);
        let mut one = Log::new(1_000, &cap);
        let mut two = Log::new(1_000, &cap);
        one.push(&piece(100));
        two.push(&piece(100));
        assert!(one.is_whole() && !two.is_whole());
        // Pieces without bytes come to an end too.
        for _ in 0..10 {
            one.push(&Bytes::new());
        }
        assert!(!one.is_whole());
    }

    #[test]
    fn short_pieces_share_a_buffer_and_long_ones_are_not_copied() {
        let cap = HeldCap::new(1 << 20);
        let mut log = Log::new(1 << 20, &cap);
        let (short, long) = (piece(10), piece(LONG));
        for came in [&short, &long] {
            log.push(came);
        }
        assert_eq!(log.get(0), Some(&short));
        assert_ne!(log.get(0).unwrap().as_ptr(), short.as_ptr());
        assert_eq!(log.get(1).unwrap().as_ptr(), long.as_ptr());
    }
}
