//! Cuts a stream of chunks into pieces: what [`sse`](super::sse) and [`ndjson`](super::ndjson) have in common.
//!
//! A piece that lies within one chunk is a slice of it. Only a piece that spans chunks is copied, once, into the carry. A
//! boundary sees every byte once and keeps what it must remember, so that no byte is scanned again when more arrive.

use std::fmt;

use bytes::Bytes;

/// Largest frame or line that a framer accepts unless told otherwise, in bytes.
pub(super) const DEFAULT_CAP: usize = 1024 * 1024;

/// A carry that grew beyond this is given back after its piece, so that one large event does not hold memory for the rest
/// of a long stream.
const RETAINED_CARRY: usize = 64 * 1024;

/// A first allocation that holds most events.
const MIN_CARRY: usize = 512;

/// A frame is longer than its framer accepts. The framer stays failed: what follows cannot be told apart any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a frame of the stream is longer than {cap} bytes")]
pub struct FrameError {
    cap: usize,
}

impl FrameError {
    /// The cap that was exceeded, in bytes.
    pub fn cap(&self) -> usize {
        self.cap
    }
}

/// Where a piece ends.
pub(super) trait Boundary: Default {
    /// The offset in `bytes` just past the end of the current piece, if it ends there.
    ///
    /// `bytes` follow directly on those already taken: all of them after `None`, those before the offset after `Some`.
    fn end_of_piece(&mut self, bytes: &[u8]) -> Option<usize>;
}

/// One piece: a slice of a chunk, or the carry.
#[derive(Clone, Copy)]
pub(super) struct Piece<'a> {
    bytes: &'a [u8],
    chunk: Option<&'a Bytes>,
}

impl<'a> Piece<'a> {
    pub(super) fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The first `at` bytes and the others, or all and none if there are fewer.
    pub(super) fn split_at(self, at: usize) -> (Self, Self) {
        let (first, rest) = self.bytes.split_at_checked(at).unwrap_or((self.bytes, &[]));
        let of = |bytes| Self { bytes, ..self };
        (of(first), of(rest))
    }

    pub(super) fn to_bytes(self) -> Bytes {
        match self.chunk {
            Some(chunk) => chunk.slice_ref(self.bytes),
            None => Bytes::copy_from_slice(self.bytes),
        }
    }
}

pub(super) struct Cutter<B> {
    boundary: B,
    cap: usize,
    carry: Vec<u8>,
    /// The carry was lent out as a whole piece and is void from the next call on.
    lent: bool,
    failed: bool,
}

impl<B: Boundary> Cutter<B> {
    pub(super) fn new(cap: usize) -> Self {
        Self {
            boundary: B::default(),
            cap,
            carry: Vec::new(),
            lent: false,
            failed: false,
        }
    }

    /// The next piece of `chunk` from offset `at`, which moves past it. After `None` the chunk is used up.
    pub(super) fn cut<'a>(
        &'a mut self,
        chunk: &'a Bytes,
        at: &mut usize,
    ) -> Result<Option<Piece<'a>>, FrameError> {
        self.reclaim_carry();
        self.check()?;
        let rest = chunk.get(*at..).unwrap_or_default();
        let end = self.boundary.end_of_piece(rest);
        let taken = end.and_then(|end| rest.get(..end)).unwrap_or(rest);
        if taken.len() > self.cap.saturating_sub(self.carry.len()) {
            self.carry = Vec::new();
            self.failed = true;
            return Err(self.error());
        }
        *at += taken.len();
        if end.is_some() && self.carry.is_empty() {
            return Ok(Some(Piece {
                bytes: taken,
                chunk: Some(chunk),
            }));
        }
        self.carry_over(taken);
        if end.is_none() {
            return Ok(None);
        }
        self.lent = true;
        Ok(Some(Piece {
            bytes: &self.carry,
            chunk: None,
        }))
    }

    /// What is left when the stream has ended: a piece without its end.
    pub(super) fn finish(&mut self) -> Result<Option<Piece<'_>>, FrameError> {
        self.reclaim_carry();
        self.check()?;
        self.boundary = B::default();
        if self.carry.is_empty() {
            return Ok(None);
        }
        self.lent = true;
        Ok(Some(Piece {
            bytes: &self.carry,
            chunk: None,
        }))
    }

    fn check(&self) -> Result<(), FrameError> {
        if self.failed {
            Err(self.error())
        } else {
            Ok(())
        }
    }

    fn error(&self) -> FrameError {
        FrameError { cap: self.cap }
    }

    fn reclaim_carry(&mut self) {
        if std::mem::take(&mut self.lent) {
            if self.carry.capacity() > RETAINED_CARRY {
                self.carry = Vec::new();
            } else {
                self.carry.clear();
            }
        }
    }

    /// Grows by doubling, but never beyond the cap, which the caller has checked.
    fn carry_over(&mut self, bytes: &[u8]) {
        let needed = self.carry.len() + bytes.len();
        if needed > self.carry.capacity() {
            let target = needed
                .max(self.carry.capacity().saturating_mul(2))
                .max(MIN_CARRY)
                .min(self.cap);
            self.carry
                .reserve_exact(target.saturating_sub(self.carry.len()));
        }
        self.carry.extend_from_slice(bytes);
    }

    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.carry.capacity()
    }
}

impl<B> fmt::Debug for Cutter<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cutter")
            .field("cap", &self.cap)
            .field("held", &self.carry.len())
            .field("failed", &self.failed)
            .finish_non_exhaustive()
    }
}
