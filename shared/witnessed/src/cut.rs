//! A stream, cut into pieces. Pure.

use std::sync::{Arc, Mutex, PoisonError};

use ids::Sha256;
use sha2::Digest as _;

/// A piece of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// Its first byte's place in the stream.
    pub offset: u64,
    /// Its bytes, at least one.
    pub bytes: Vec<u8>,
    /// When its first bytes arrived, in milliseconds since the start.
    pub first_ms: u64,
    /// When its last bytes arrived.
    pub last_ms: u64,
}

/// Memory of pieces that have been stored, for pieces to come. An allocator that gets 8 MiB back need not give it to the next who asks
/// for 8 MiB, and the process would grow to twice what it needs.
#[derive(Debug, Clone, Default)]
pub struct Spares(Arc<Mutex<Vec<Vec<u8>>>>);

impl Spares {
    /// Takes the memory of a piece that is done with.
    pub fn give(&self, mut piece: Vec<u8>) {
        piece.clear();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(piece);
    }

    fn take(&self) -> Vec<u8> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }
}

/// Cuts a stream into pieces of one size; only the last may be shorter. Holds at most one piece in memory.
pub struct Cutter {
    largest: usize,
    digest: sha2::Sha256,
    offset: u64,
    piece: Vec<u8>,
    spares: Spares,
    first_ms: u64,
    last_ms: u64,
}

impl std::fmt::Debug for Cutter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cutter").field("offset", &self.offset).field("held", &self.piece.len()).finish_non_exhaustive()
    }
}

/// A stream that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whole {
    /// What was left for a last piece.
    pub last: Option<Cut>,
    /// How many bytes the stream had.
    pub bytes: u64,
    /// Their SHA-256.
    pub sha256: Sha256,
}

impl Cutter {
    /// A cutter for pieces of `largest` bytes, 0 counting as 1, that prefers the memory of `spares`.
    #[must_use]
    pub fn new(largest: usize, spares: Spares) -> Self {
        let digest = sha2::Sha256::new();
        Self { largest: largest.max(1), digest, offset: 0, piece: Vec::new(), spares, first_ms: 0, last_ms: 0 }
    }

    /// Takes the stream's next bytes, which arrived at `at_ms`, and returns the pieces that they complete.
    pub fn push(&mut self, mut bytes: &[u8], at_ms: u64) -> Vec<Cut> {
        self.digest.update(bytes);
        let mut cuts = Vec::new();
        while !bytes.is_empty() {
            if self.piece.is_empty() {
                self.piece = self.spares.take();
                // At once, not by doubling: that would hold a piece and a half. What is not written to takes no memory.
                self.piece.reserve_exact(self.largest);
                self.first_ms = at_ms;
            }
            let room = self.largest.saturating_sub(self.piece.len());
            let (now, later) = bytes.split_at_checked(room).unwrap_or((bytes, &[]));
            self.piece.extend_from_slice(now);
            self.last_ms = at_ms;
            bytes = later;
            if self.piece.len() == self.largest {
                cuts.extend(self.cut());
            }
        }
        cuts
    }

    fn cut(&mut self) -> Option<Cut> {
        let bytes = std::mem::take(&mut self.piece);
        if bytes.is_empty() {
            return None;
        }
        let offset = self.offset;
        // INVARIANT: the sum of what was held in memory, one piece after the other; no machine gets to 2^64.
        self.offset = offset.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        Some(Cut { offset, bytes, first_ms: self.first_ms, last_ms: self.last_ms })
    }

    /// The stream has ended.
    #[must_use]
    pub fn finish(mut self) -> Whole {
        let last = self.cut();
        Whole { last, bytes: self.offset, sha256: Sha256::from_bytes(self.digest.finalize().into()) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// However the bytes arrive: the pieces, put together, are the stream, and all but the last are full.
        #[test]
        fn pieces_are_the_stream(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..30),
            largest in 0_usize..50,
        ) {
            let spares = Spares::default();
            spares.give(b"of an earlier piece".to_vec());
            let mut cutter = Cutter::new(largest, spares);
            let mut cuts = Vec::new();
            for (chunk, at) in chunks.iter().zip(10..) {
                cuts.extend(cutter.push(chunk, at));
            }
            let whole = cutter.finish();
            cuts.extend(whole.last);

            let stream = chunks.concat();
            let pieces: Vec<u8> = cuts.iter().flat_map(|cut| cut.bytes.clone()).collect();
            prop_assert_eq!(&pieces, &stream);
            prop_assert_eq!((whole.bytes, whole.sha256), (stream.len() as u64, Sha256::of(&stream)));
            let mut offset = 0;
            let mut arrived = 0;
            for (n, cut) in cuts.iter().enumerate() {
                prop_assert_eq!(cut.offset, offset);
                prop_assert!(!cut.bytes.is_empty() && cut.bytes.len() <= largest.max(1));
                prop_assert!(n + 1 == cuts.len() || cut.bytes.len() == largest.max(1));
                prop_assert!(arrived <= cut.first_ms && cut.first_ms <= cut.last_ms);
                offset += cut.bytes.len() as u64;
                arrived = cut.last_ms;
            }
        }
    }
}
