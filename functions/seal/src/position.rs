//! Where the log stands, and how it is found again from what is stored.

use std::collections::BTreeMap;
use std::time::Duration;

use evidence::LARGEST_BATCH;
use evidence::log::{Batch, Checkpoint, Edge, Tile, TilePath, batch_key, bundle_key, checkpoint_key, leaf_hash, sealing_key};
use evidence_store::{Created, S3, StoreError};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use ids::{Sha256, Timestamp};
use serde::{Deserialize, Serialize};

use crate::Environment;
use crate::anchor::Anchored;
use crate::known::Known;

/// So many requests at once.
const ABREAST: usize = 16;
/// A batch of a thousand records is a few hundred kilobytes; so is a full bundle of entries.
const LARGEST: u64 = LARGEST_BATCH as u64;
/// The hint to where the log ends.
const TIP: &str = "tip.json";
const NEWEST: &str = "checkpoint";
/// Clocks of two functions may differ by what AWS tolerates.
const SKEW: Duration = Duration::from_secs(15 * 60);

/// Where the log stands, as far as this process has read and published it.
#[derive(Debug)]
pub(crate) struct Position {
    /// The newest batch: its number, digest and time.
    pub(crate) last: Option<(u64, Sha256, Timestamp)>,
    pub(crate) edge: Edge,
    open: Vec<Vec<u8>>,
    pub(crate) known: Known,
    /// Tiles that follow from the batches read, and are not published yet.
    tiles: BTreeMap<TilePath, Vec<u8>>,
    key_kept: bool,
}

#[derive(Debug, Serialize, Deserialize)]
struct Tip {
    batch: u64,
}

fn wrong(doing: &'static str, cause: impl std::fmt::Display) -> StoreError {
    StoreError { doing, cause: cause.to_string(), passes: false }
}

impl Position {
    fn at_the_beginning(since: Timestamp) -> Self {
        Self {
            last: None,
            edge: Edge::default(),
            open: Vec::new(),
            known: Known::new(since),
            tiles: BTreeMap::new(),
            key_kept: false,
        }
    }

    /// Where the log stood when it was last published, by the hint; from the beginning if that leads nowhere.
    pub(crate) async fn find(environment: &Environment, since: Timestamp) -> Result<Self, StoreError> {
        let hint = environment.tiles.content(TIP, None, 1024).await?;
        let hint = hint.and_then(|bytes| serde_json::from_slice::<Tip>(&bytes).ok());
        if let Some(Tip { batch: number }) = hint
            && let Some((batch, digest)) = read_batch(environment, number).await?
            && let Some((edge, open)) = read_tree(&environment.tiles, &batch).await?
        {
            let mut position = Self::at_the_beginning(since);
            (position.edge, position.open) = (edge, open);
            position.last = Some((number, digest, batch.seal.time));
            position.know(environment, since).await?;
            return Ok(position);
        }
        eprintln!("no usable hint to the log's end: reading every batch");
        Ok(Self::at_the_beginning(since))
    }

    /// Sees to it that what is sealed is known for every key from `since` on.
    pub(crate) async fn know(&mut self, environment: &Environment, since: Timestamp) -> Result<(), StoreError> {
        let mut known = Known::new(since);
        let mut next = self.last.map_or(0, |(number, ..)| number);
        while next > 0 {
            let numbers = (1..=next).rev().take(ABREAST);
            let read = stream::iter(numbers).map(|number| read_batch(environment, number)).buffered(ABREAST);
            let batches: Vec<_> = read.try_collect().await?;
            let mut old = false;
            for found in batches {
                let (batch, _) = found.ok_or_else(|| wrong("read the log back", "a batch is missing"))?;
                old |= batch.seal.time.plus(SKEW) < since;
                next = batch.seal.batch.saturating_sub(1);
                known.learn(&batch);
            }
            if old {
                break;
            }
        }
        self.known = known;
        Ok(())
    }

    /// Takes in every batch that is stored after this position, whoever wrote it.
    pub(crate) async fn catch_up(&mut self, environment: &Environment) -> Result<Vec<Batch>, StoreError> {
        let mut taken = Vec::new();
        // One look is enough nearly always; whoever starts from the beginning looks at many at once.
        let mut abreast = 1;
        loop {
            let first = self.last.map_or(1, |(number, ..)| number.saturating_add(1));
            let numbers = first..first.saturating_add(abreast);
            let read = stream::iter(numbers).map(|number| read_batch(environment, number)).buffered(ABREAST);
            let found: Vec<_> = read.try_collect().await?;
            for found in found {
                let Some((batch, digest)) = found else { return Ok(taken) };
                self.take(&environment.log, &batch, digest)?;
                taken.push(batch);
            }
            abreast = ABREAST as u64;
        }
    }

    /// Takes in the next batch.
    pub(crate) fn take(&mut self, log: &str, batch: &Batch, digest: Sha256) -> Result<(), StoreError> {
        let doing = "take in the next batch";
        let (number, previous) = match self.last {
            Some((number, digest, _)) => (number.saturating_add(1), Some((log, digest))),
            None => (1, None),
        };
        if batch.log != log {
            return Err(wrong(doing, format!("{} is of the log `{}`, not `{log}`", batch_key(number), batch.log)));
        }
        let mut edge = self.edge.clone();
        batch.follow(number, previous, &mut edge).map_err(|error| wrong(doing, format!("{}: {error}", batch_key(number))))?;
        let leaves = batch.leaves().map_err(|error| wrong(doing, error))?;
        let grown = Tile::grow(std::mem::take(&mut self.edge), std::mem::take(&mut self.open), leaves);
        // Partial tiles that have grown since need not be published.
        self.tiles.retain(|path, _| path.is_full());
        self.tiles.extend(grown.tiles.into_iter().map(|tile| (tile.path, tile.bytes)));
        (self.edge, self.open) = (grown.edge, grown.open);
        self.last = Some((number, digest, batch.seal.time));
        self.known.learn(batch);
        Ok(())
    }

    /// Publishes the tree as it is, and its signed head, and anchors that.
    pub(crate) async fn publish(&mut self, environment: &Environment) -> Result<Anchored, StoreError> {
        let mut said = Anchored::default();
        let Some((number, ..)) = self.last else { return Ok(said) };
        let Environment { evidence, tiles, key, log, anchors, .. } = environment;
        let puts =
            self.tiles.iter().map(|(path, bytes)| tiles.put_owned(path.to_string(), bytes.clone(), "application/octet-stream"));
        stream::iter(puts).buffer_unordered(ABREAST).try_collect::<Vec<()>>().await?;

        let public = key.public_key().await?;
        if !self.key_kept {
            evidence.create_once(&sealing_key(&public.fingerprint()), public.der(), "application/octet-stream").await?;
            self.key_kept = true;
        }
        let checkpoint = Checkpoint { origin: log.clone(), size: self.edge.size(), root: self.edge.root() };
        let doing = "sign the log's head";
        let signature = key.sign(doing, &checkpoint.digest()).await?;
        let note = checkpoint.note(&signature, &public).map_err(|error| wrong(doing, error))?;
        let note = Box::pin(anchors.sign(&checkpoint, note, evidence, &mut said)).await;
        // Another sealer may have been faster: its signature is over the same text.
        let name = checkpoint_key(checkpoint.size);
        let created = evidence.create_once(&name, note.as_bytes(), "text/plain; charset=utf-8").await?;
        let bundle = checkpoint.bundle(&signature, &public);
        evidence.create_once(&bundle_key(checkpoint.size), bundle.as_bytes(), "application/json").await?;

        // Whoever created the note anchors it, so that nobody is asked twice. Should that one die here, the next checkpoint is anchored
        // instead: within the hour, and it covers this one.
        let note = match created {
            Created::New => Box::pin(anchors.cast(&checkpoint, note, &self.edge, (evidence, tiles), &mut said)).await,
            Created::Existed => note,
        };

        // A slower sealer must not take readers back. Should two meet right here, the next batch puts it right.
        let there = tiles.content(NEWEST, None, LARGEST).await?.and_then(|note| String::from_utf8(note).ok());
        let newer = there.and_then(|note| Checkpoint::read(&note).ok()).is_some_and(|there| there.size > checkpoint.size);
        if !newer {
            tiles.put(NEWEST, note.into_bytes(), "text/plain; charset=utf-8").await?;
            let tip = serde_json::to_vec(&Tip { batch: number }).map_err(|error| wrong(doing, error))?;
            tiles.put(TIP, tip, "application/json").await?;
        }
        self.tiles.clear();
        Ok(said)
    }
}

async fn read_batch(environment: &Environment, number: u64) -> Result<Option<(Batch, Sha256)>, StoreError> {
    let key = batch_key(number);
    let Some(bytes) = environment.evidence.content(&key, None, LARGEST).await? else { return Ok(None) };
    let batch = Batch::parse(&bytes).map_err(|error| wrong("read a batch", format!("{key}: {error}")))?;
    Ok(Some((batch, Sha256::of(&bytes))))
}

/// The edge of the tree under `batch` and its open entries, from the published tiles; none if these do not come to the batch's root.
async fn read_tree(tiles: &S3, batch: &Batch) -> Result<Option<(Edge, Vec<Vec<u8>>)>, StoreError> {
    let mut paths = Vec::new();
    let collect = |level, number, width| {
        paths.push(TilePath { level: Some(level), number, width });
        Ok::<_, StoreError>(Vec::new())
    };
    Edge::read(batch.size, collect)?;
    if let Some(path) = paths.first().filter(|path| path.level == Some(0)) {
        paths.push(TilePath { level: None, ..*path });
    }
    let read =
        stream::iter(paths).map(async |path| Ok::<_, StoreError>((path, tiles.content(&path.to_string(), None, LARGEST).await?)));
    let read: BTreeMap<TilePath, Option<Vec<u8>>> = read.buffer_unordered(ABREAST).try_collect().await?;
    let edge = Edge::read(batch.size, |level, number, width| {
        let bytes = read.get(&TilePath { level: Some(level), number, width }).and_then(Option::as_ref);
        bytes.and_then(|bytes| hashes(bytes, width)).ok_or(())
    });
    let Ok(edge) = edge else { return Ok(None) };
    let bundle = read.iter().find(|(path, _)| path.level.is_none()).and_then(|(_, bytes)| bytes.as_deref());
    let open = evidence::log::read_bundle(bundle.unwrap_or_default());
    let fits = |open: &Vec<Vec<u8>>| {
        open.len() == edge.partial(0).len() && open.iter().zip(edge.partial(0)).all(|(leaf, hash)| leaf_hash(leaf) == *hash)
    };
    Ok(open.filter(fits).filter(|_| edge.root() == batch.root).map(|open| (edge, open)))
}

/// The hashes of a tile; none if it is not of this width.
pub(crate) fn hashes(bytes: &[u8], width: usize) -> Option<Vec<Sha256>> {
    let found: Vec<Sha256> = bytes.chunks_exact(32).filter_map(|hash| hash.try_into().ok().map(Sha256::from_bytes)).collect();
    (found.len() == width && bytes.len() == 32 * width).then_some(found)
}
