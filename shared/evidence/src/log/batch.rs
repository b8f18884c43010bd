//! Batches: what is in the log, in which order, decided once.

use ids::{IncidentId, Sha256, Timestamp};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::tree::{Edge, leaf_hash};
use crate::record::{Kind, RecordKey};

const FORMAT: &str = "cordon-batch/v1";

/// Where batch `number` (1 and up) lives: `log/batch/<number>.json`, padded so that a listing is in order.
#[must_use]
pub fn batch_key(number: u64) -> String {
    format!("log/batch/{number:012}.json")
}

/// The number of the batch that lives at `key`.
#[must_use]
pub fn batch_number(key: &str) -> Option<u64> {
    let number = key.strip_prefix("log/batch/")?.strip_suffix(".json")?.parse().ok()?;
    (number > 0 && batch_key(number) == key).then_some(number)
}

/// A record that was found as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sealed {
    /// Its key.
    pub key: RecordKey,
    /// The store's name for this version of it.
    pub version: String,
    /// SHA-256 of the object.
    pub sha256: Sha256,
    /// The store's own time for it.
    pub stored: Timestamp,
    /// What it is for.
    pub kind: Kind,
    /// Its incident, where there is one.
    pub incident: Option<IncidentId>,
    /// When an intent's outcome is due.
    pub due: Option<Timestamp>,
}

/// A key or a ring of keys that was found as it should be: in the log so that it cannot go away unseen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kept {
    /// Its key, under `keys/`.
    pub key: String,
    /// The store's name for this version of it.
    pub version: String,
    /// SHA-256 of the object.
    pub sha256: Sha256,
    /// The store's own time for it.
    pub stored: Timestamp,
}

/// An object version that should not be there, or is not what it should be. It is in the log so that it cannot go away unseen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Odd {
    /// Its key.
    pub key: String,
    /// The store's name for this version.
    pub version: String,
    /// The store's own time for it.
    pub stored: Timestamp,
    /// SHA-256 of the object, where it has content that was read.
    pub sha256: Option<Sha256>,
    /// What is wrong, in Cordon's words.
    pub reason: String,
}

/// An intent whose outcome was due and is not there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Orphan {
    /// The intent.
    pub intent: RecordKey,
    /// When its outcome was due.
    pub due: Timestamp,
}

/// One thing that a batch puts into the log. Its compact JSON is the leaf.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Entry {
    /// A record.
    Record(Sealed),
    /// What is none.
    Odd(Odd),
    /// An intent without an outcome.
    Orphan(Orphan),
    /// A key, or a ring of keys.
    Kept(Kept),
}

impl Entry {
    /// The store's own time for the object that this is about, if it is about one.
    #[must_use]
    pub fn stored(&self) -> Option<Timestamp> {
        match self {
            Self::Record(record) => Some(record.stored),
            Self::Odd(odd) => Some(odd.stored),
            Self::Kept(kept) => Some(kept.stored),
            Self::Orphan(_) => None,
        }
    }

    /// The object and version that this is about, if it is about one.
    #[must_use]
    pub fn object(&self) -> Option<(String, &str)> {
        match self {
            Self::Record(record) => Some((record.key.to_string(), &record.version)),
            Self::Odd(odd) => Some((odd.key.clone(), &odd.version)),
            Self::Kept(kept) => Some((kept.key.clone(), &kept.version)),
            Self::Orphan(_) => None,
        }
    }
}

/// What every batch puts into the log first: so the tree names the batches too, and grows with each of them, an empty one included.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seal {
    /// The batch's number, 1 and up.
    pub batch: u64,
    /// SHA-256 of the batch before it; none for the first.
    pub prev: Option<Sha256>,
    /// When it was made.
    pub time: Timestamp,
}

/// A leaf, as it is written.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Leaf<'a> {
    Seal(&'a Seal),
    #[serde(untagged)]
    Entry(&'a Entry),
}

/// One decision about the order of records. It is stored once and never changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Batch {
    format: String,
    /// The log's name: the origin line of its checkpoints.
    pub log: String,
    /// Its number, the batch before it, its time.
    pub seal: Seal,
    /// How many leaves the log had before.
    pub before: u64,
    /// How many it has with this batch.
    pub size: u64,
    /// The root it then has.
    pub root: Sha256,
    /// What is added, after the seal itself.
    pub entries: Vec<Entry>,
}

/// Why an object is not the batch it should be.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BatchError {
    /// Not a batch in its one form.
    #[error("not a batch in the exact form it is written in")]
    Form,
    /// Another number than its place says.
    #[error("it is batch {0}, under another number's key")]
    Number(u64),
    /// It belongs to another log.
    #[error("it is of the log `{0}`")]
    Log(String),
    /// It does not follow on the batch before it.
    #[error("it does not follow on the batch before it: a fork, or one is missing")]
    Follows,
    /// Its size or root are not what its entries come to.
    #[error("its entries do not come to the size and root it names")]
    Root,
}

impl Batch {
    /// The batch that adds `entries` to the log `log`, whose edge is `edge`, after `previous` (the last batch's number and digest).
    ///
    /// # Errors
    /// None that is known; `serde_json` has the type.
    pub fn next(
        log: &str,
        previous: Option<(u64, Sha256)>,
        edge: &Edge,
        time: Timestamp,
        entries: Vec<Entry>,
    ) -> Result<Self, serde_json::Error> {
        let number = previous.map_or(1, |(number, _)| number.saturating_add(1));
        let seal = Seal { batch: number, prev: previous.map(|(_, digest)| digest), time };
        let mut batch = Self {
            format: FORMAT.to_owned(),
            log: log.to_owned(),
            seal,
            before: edge.size(),
            size: edge.size(),
            root: edge.root(),
            entries,
        };
        let mut edge = edge.clone();
        for leaf in batch.leaves()? {
            edge.push(leaf_hash(&leaf), |_, _, _| {});
        }
        (batch.size, batch.root) = (edge.size(), edge.root());
        Ok(batch)
    }

    /// The leaves it adds, the seal first.
    ///
    /// # Errors
    /// None that is known; `serde_json` has the type.
    pub fn leaves(&self) -> Result<Vec<Vec<u8>>, serde_json::Error> {
        let seal = std::iter::once(Leaf::Seal(&self.seal));
        seal.chain(self.entries.iter().map(Leaf::Entry)).map(|leaf| serde_json::to_vec(&leaf)).collect()
    }

    /// Its one form: compact JSON, fields in this order.
    ///
    /// # Errors
    /// None that is known; `serde_json` has the type.
    pub fn to_bytes(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }

    /// Reads a batch, in its one form only.
    ///
    /// # Errors
    /// [`BatchError::Form`].
    pub fn parse(bytes: &[u8]) -> Result<Self, BatchError> {
        let batch: Self = serde_json::from_slice(bytes).map_err(|_| BatchError::Form)?;
        let same = batch.format == FORMAT && batch.to_bytes().is_ok_and(|again| again == bytes);
        if same { Ok(batch) } else { Err(BatchError::Form) }
    }

    /// Checks that this is batch `number` of the log, following on `previous` whose tree has this `edge`; which then moves on over the
    /// batch's leaves.
    ///
    /// # Errors
    /// Any [`BatchError`] but [`BatchError::Form`]. The edge has then moved all the same where the leaves could be told.
    pub fn follow(&self, number: u64, previous: Option<(&str, Sha256)>, edge: &mut Edge) -> Result<(), BatchError> {
        let before = edge.size();
        for leaf in self.leaves().map_err(|_| BatchError::Form)? {
            edge.push(leaf_hash(&leaf), |_, _, _| {});
        }
        if self.seal.batch != number {
            return Err(BatchError::Number(self.seal.batch));
        }
        if previous.is_some_and(|(log, _)| log != self.log) {
            return Err(BatchError::Log(self.log.clone()));
        }
        if self.seal.prev != previous.map(|(_, digest)| digest) || self.before != before {
            return Err(BatchError::Follows);
        }
        if self.size != edge.size() || self.root != edge.root() {
            return Err(BatchError::Root);
        }
        Ok(())
    }
}
