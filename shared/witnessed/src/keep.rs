//! Blobs into the store.

use std::time::Duration;

use evidence::BlobKey;
use evidence_store::{Created, Worm};
use ids::Sha256;
use tokio::sync::mpsc;

use crate::body::Piece;
use crate::cut::{Cut, Spares};
use crate::pump::Which;

/// How long is waited before a write is tried again, after the store's own retries. The command waits meanwhile, once its pipe is full.
pub(crate) const AGAIN: [Duration; 3] = [Duration::from_millis(200), Duration::from_secs(1), Duration::from_secs(5)];

/// The pieces of both streams, each in its order.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    pub(crate) stdout: Vec<Piece>,
    pub(crate) stderr: Vec<Piece>,
}

/// Stores each piece that comes, one after the other, until no more can come.
pub(crate) async fn keep<S: Worm>(store: S, mut cuts: mpsc::Receiver<(Which, Cut)>, spares: Spares) -> Kept {
    let mut kept = Kept::default();
    // A store that is down is waited for once, not at every piece: the command must get on.
    let mut patient = true;
    while let Some((which, cut)) = cuts.recv().await {
        let sha256 = Sha256::of(&cut.bytes);
        let stored = put(&store, sha256, &cut.bytes, if patient { &AGAIN } else { &[] }).await;
        patient = stored.is_ok();
        let piece = Piece {
            offset: cut.offset,
            length: u64::try_from(cut.bytes.len()).unwrap_or(u64::MAX),
            sha256,
            first_ms: cut.first_ms,
            last_ms: cut.last_ms,
            unstored: stored.err(),
        };
        spares.give(cut.bytes);
        match which {
            Which::Stdout => kept.stdout.push(piece),
            Which::Stderr => kept.stderr.push(piece),
        }
    }
    kept
}

/// Stores one blob, and says why if it is not durable afterwards.
pub(crate) async fn put<S: Worm>(store: &S, sha256: Sha256, bytes: &[u8], again: &[Duration]) -> Result<(), String> {
    let key = BlobKey::new(sha256).to_string();
    let mut again = again.iter();
    loop {
        let error = match store.create(&key, bytes).await {
            Ok(Created::New) => return Ok(()),
            // The same bytes, from earlier or from a call whose answer was lost; unless somebody has put others in their place.
            Ok(Created::Existed) => match store.read(&key).await {
                Ok(Some(there)) if there == bytes => return Ok(()),
                Ok(Some(_)) => return Err("something else is in its place".to_owned()),
                Ok(None) => return Err("something that cannot be read is in its place".to_owned()),
                Err(error) => error,
            },
            Err(error) => error,
        };
        match again.next() {
            Some(wait) if error.passes => tokio::time::sleep(*wait).await,
            _ => return Err(error.to_string()),
        }
    }
}
