//! The anchor in someone else's memory: witnesses, which cosign only what goes on from what they cosigned before (C2SP tlog-witness).

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use evidence::log::{Checkpoint, Edge, TilePath, WIDTH, Witness, consistency, cosigned_key, root_over, tile_over};
use evidence_store::S3;
use ids::Sha256;
use outside::{Address, Http};

use crate::http::post;
use crate::position::hashes;

/// A witness, where it is asked, and how many leaves it has cosigned as far as this process knows.
#[derive(Debug)]
pub(crate) struct Watcher {
    pub(crate) witness: Witness,
    pub(crate) url: Address,
    known: AtomicU64,
}

impl Watcher {
    /// `VKEY URL`, as a line of C2SP's tlog-policy has them.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let (key, url) = text.split_once(' ')?;
        Some(Self { witness: key.parse().ok()?, url: url.parse().ok()?, known: AtomicU64::new(0) })
    }

    /// Has the note cosigned, and keeps it. Answers with the note as it then is.
    pub(crate) async fn cosign(&self, http: &Http, note: &str, edge: &Edge, tiles: &S3, evidence: &S3) -> Result<String, String> {
        let size = edge.size();
        let lines = self.ask(http, note, edge, tiles).await?;
        let cosigned = Checkpoint::add_cosignature(note, &lines, &self.witness).map_err(|error| error.to_string())?;
        self.known.fetch_max(size, Ordering::Relaxed);
        let kept = evidence.create_once(&cosigned_key(size, &self.witness), cosigned.as_bytes(), "text/plain; charset=utf-8").await;
        kept.map(|_| cosigned).map_err(|error| error.to_string())
    }

    /// The signature lines that the witness answers with. It tells which size it knows if we guess wrong, and is asked once more then.
    async fn ask(&self, http: &Http, note: &str, edge: &Edge, tiles: &S3) -> Result<String, String> {
        let (size, mut old) = (edge.size(), self.known.load(Ordering::Relaxed));
        for _ in 0..2 {
            if old > size {
                // Another sealer may have been faster; or this log is not what it was.
                return Err(format!("it has cosigned {old} leaves, and here are {size}"));
            }
            let mut body = format!("old {old}\n");
            for hash in proof(old, edge, tiles).await? {
                body.push_str(&STANDARD.encode(hash.as_bytes()));
                body.push('\n');
            }
            body.push('\n');
            body.push_str(note);
            let answer = post(http, &self.url, "/add-checkpoint", "text/plain; charset=utf-8", body.into_bytes()).await?;
            let text = String::from_utf8(answer.body).unwrap_or_default();
            match answer.status {
                200 => return Ok(text),
                409 => match text.trim_end().parse() {
                    Ok(known) if known != old => {
                        old = known;
                        self.known.store(known, Ordering::Relaxed);
                    }
                    _ => return Err(format!("it knows another tree of {old} leaves")),
                },
                403 => return Err("it does not know the log's Ed25519 key (403)".to_owned()),
                404 => return Err("it does not know this log (404)".to_owned()),
                422 => return Err(format!("it does not accept that the log goes on from {old} leaves (422)")),
                status => return Err(format!("it answered with HTTP status {status}")),
            }
        }
        Err(format!("it said twice that it knows another size, {old} at last"))
    }
}

/// The proof that the tree goes on from its first `old` leaves. What is not on the tree's edge is read from the published tiles; should
/// these lie, the witness refuses.
async fn proof(old: u64, edge: &Edge, tiles: &S3) -> Result<Vec<Sha256>, String> {
    let on_edge = |level: u8, number: u64| number == edge.size() >> (8 * (u32::from(level) + 1)).min(63);
    let mut wanted = BTreeSet::new();
    let Ok(_) = consistency(old, edge.size(), |height, number| {
        let (level, number, _) = tile_over(height, number);
        if !on_edge(level, number) {
            wanted.insert((level, number));
        }
        Ok::<_, Infallible>(Sha256::of(b""))
    });
    let mut read = BTreeMap::new();
    for (level, number) in wanted {
        let path = TilePath { level: Some(level), number, width: WIDTH }.to_string();
        let bytes = tiles.content(&path, None, WIDTH as u64 * 32).await.map_err(|error| error.to_string())?;
        let tile =
            bytes.and_then(|bytes| hashes(&bytes, WIDTH)).ok_or_else(|| format!("`{path}` is missing from the tile bucket"))?;
        read.insert((level, number), tile);
    }
    consistency(old, edge.size(), |height, number| {
        let (level, number, places) = tile_over(height, number);
        let tile = if on_edge(level, number) { Some(edge.partial(level)) } else { read.get(&(level, number)).map(Vec::as_slice) };
        let root = tile.and_then(|tile| tile.get(places)).and_then(root_over);
        root.ok_or_else(|| "a tile is shorter than it should be".to_owned())
    })
}
