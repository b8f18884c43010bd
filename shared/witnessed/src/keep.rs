//! Blobs into the store.

use std::time::Duration;

use evidence::BlobKey;
use evidence_store::{Created, Worm};
use ids::Sha256;
use sha2::Digest as _;
use tokio::sync::mpsc;

use crate::body::Piece;
use crate::cut::{Cut, Spares};
use crate::pump::Which;
use crate::seal::Recipients;

/// How long is waited before a write is tried again, after the store's own retries. The command waits meanwhile, once its pipe is full.
pub(crate) const AGAIN: [Duration; 3] = [Duration::from_millis(200), Duration::from_secs(1), Duration::from_secs(5)];

/// The pieces of both streams, each in its order.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    pub(crate) stdout: Vec<Piece>,
    pub(crate) stderr: Vec<Piece>,
    /// Digests of the pieces as they are stored, one after the other, where they are encrypted.
    pub(crate) sealed: Option<(Sha256, Sha256)>,
}

/// Stores each piece that comes, one after the other, until no more can come; encrypted, if it is to be.
pub(crate) async fn keep<S: Worm>(
    store: S,
    mut cuts: mpsc::Receiver<(Which, Cut)>,
    spares: Spares,
    seal_to: Option<Recipients>,
) -> Kept {
    let mut kept = Kept::default();
    let (mut stdout, mut stderr) = (sha2::Sha256::new(), sha2::Sha256::new());
    let mut sealed = Vec::new();
    // A store that is down is waited for once, not at every piece: the command must get on.
    let mut patient = true;
    while let Some((which, cut)) = cuts.recv().await {
        let Cut { offset, mut bytes, first_ms, last_ms } = cut;
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let mut done = Ok(());
        if let Some(recipients) = seal_to.clone() {
            // A tenth of a second on a slow machine: too long for a thread that others wait for.
            let sealing = tokio::task::spawn_blocking(move || {
                let done = recipients.seal(&bytes, &mut sealed);
                (bytes, sealed, done)
            });
            (bytes, sealed, done) = sealing.await.unwrap_or_else(|_| (Vec::new(), Vec::new(), Err("its sealing broke".to_owned())));
        }
        let to_store = if seal_to.is_some() { &sealed } else { &bytes };
        let sha256 = Sha256::of(to_store);
        match which {
            Which::Stdout => stdout.update(to_store),
            Which::Stderr => stderr.update(to_store),
        }
        let stored = match done {
            Ok(()) => put(&store, sha256, to_store, if patient { &AGAIN } else { &[] }).await,
            // What could not be encrypted is not stored at all.
            Err(cause) => Err(cause),
        };
        patient = stored.is_ok();
        let piece = Piece { offset, length, sha256, first_ms, last_ms, unstored: stored.err() };
        spares.give(bytes);
        match which {
            Which::Stdout => kept.stdout.push(piece),
            Which::Stderr => kept.stderr.push(piece),
        }
    }
    let digest = |digest: sha2::Sha256| Sha256::from_bytes(digest.finalize().into());
    kept.sealed = seal_to.map(|_| (digest(stdout), digest(stderr)));
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
