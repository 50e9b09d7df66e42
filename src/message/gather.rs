//! Bytes that come in pieces, wanted as one.

use bytes::{Bytes, BytesMut};

/// Gathers chunks: a single one is kept as it came, more are copied into one buffer.
#[derive(Default)]
pub(crate) struct Gather {
    first: Bytes,
    all: BytesMut,
}

impl Gather {
    /// Adds `chunk`; `expected` more bytes are likely to follow.
    pub(crate) fn push(&mut self, chunk: Bytes, expected: usize) {
        if self.len() == 0 {
            self.first = chunk;
            return;
        }
        if self.all.is_empty() {
            let first = std::mem::take(&mut self.first);
            self.all.reserve(first.len() + chunk.len() + expected);
            self.all.extend_from_slice(&first);
        }
        self.all.extend_from_slice(&chunk);
    }

    pub(crate) fn len(&self) -> usize {
        self.first.len() + self.all.len()
    }

    /// What was gathered, which starts anew.
    pub(crate) fn take(&mut self) -> Bytes {
        if self.all.is_empty() {
            std::mem::take(&mut self.first)
        } else {
            self.all.split().freeze()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_chunk_is_not_copied_and_several_become_one() {
        let chunk = Bytes::from(vec![1; 100]);
        let mut gather = Gather::default();
        gather.push(chunk.clone(), 0);
        assert_eq!(gather.take().as_ptr(), chunk.as_ptr());

        for text in ["a", "", "bc", "d"] {
            gather.push(Bytes::from(text), 10);
        }
        assert_eq!((gather.len(), gather.take()), (4, Bytes::from("abcd")));
        assert_eq!((gather.len(), gather.take()), (0, Bytes::new()));
    }
}
