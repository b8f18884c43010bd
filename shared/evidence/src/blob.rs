//! Bytes too large for a record: stored under their own digest, named by the records that they belong to.
//!
//! A blob lives at `blob/<first two hex digits>/<sha256>`, so identical bytes are stored once. A record names a blob as a subject of its
//! statement: the subject's name is the blob's key. Where there are too many for one record, it names a *list*: a blob of its own, a
//! JSON object as [`BlobList`] writes it, told apart by the subject's media type [`BLOB_LIST_TYPE`].

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use ids::Sha256;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::record::{RecordKey, Subject};
use crate::verify::{Fault, FaultKind};

/// The most bytes that one blob may have: 8 MiB, so that a reader needs no more memory than that.
pub const LARGEST_BLOB: usize = 8 << 20;
/// The most bytes that a record may have. Most have a few thousand.
pub const LARGEST_RECORD: usize = 1 << 20;
/// The media type of a subject that is a list of blobs.
pub const BLOB_LIST_TYPE: &str = "application/vnd.cordon.blob-list.v1+json";

/// How a list begins: [`BlobList`] writes its format first, in compact JSON.
const LIST_START: &[u8] = br#"{"format":"cordon-blob-list/v1","#;
const LIST_FORMAT: &str = "cordon-blob-list/v1";

/// Where a blob lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlobKey(Sha256);

/// A string that is not a blob's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("not a blob's key (blob/XX/SHA256, where XX are the digest's first two digits)")]
pub struct ParseBlobKeyError;

impl BlobKey {
    /// The key of the bytes with this digest.
    #[must_use]
    pub fn new(sha256: Sha256) -> Self {
        Self(sha256)
    }

    /// The digest of the bytes that belong here.
    #[must_use]
    pub fn sha256(self) -> Sha256 {
        self.0
    }
}

impl fmt::Display for BlobKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "blob/{}/{}", self.0.prefix(1), self.0)
    }
}

impl FromStr for BlobKey {
    type Err = ParseBlobKeyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (_, digest) = text.strip_prefix("blob/").and_then(|rest| rest.split_once('/')).ok_or(ParseBlobKeyError)?;
        let key = Self(digest.parse().map_err(|_| ParseBlobKeyError)?);
        // Writing it again catches another folder and upper-case digits.
        if key.to_string() == text { Ok(key) } else { Err(ParseBlobKeyError) }
    }
}

/// The most bytes that a batch may have: a thousand entries, each with the longest key that S3 takes, escaped throughout.
pub const LARGEST_BATCH: usize = 16 << 20;

/// The most bytes that an object at `key` may have: what is larger is neither a record nor a batch nor a blob, and need not be read.
#[must_use]
pub fn largest_object(key: &str) -> usize {
    match key {
        _ if key.starts_with("blob/") => LARGEST_BLOB,
        _ if key.starts_with("log/batch/") => LARGEST_BATCH,
        _ => LARGEST_RECORD,
    }
}

/// A list of blobs that is a blob itself. Each item has a `sha256`, and whatever else its writer has to say of the blob; an item with
/// `unstored` is one that the store did not take, and is not expected to be there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobList<T> {
    format: String,
    /// The blobs, in order.
    pub blobs: Vec<T>,
}

impl<T> BlobList<T> {
    /// The list of `blobs`.
    #[must_use]
    pub fn new(blobs: Vec<T>) -> Self {
        Self { format: LIST_FORMAT.to_owned(), blobs }
    }
}

/// What the verifier reads of an item.
#[derive(Debug, Deserialize)]
struct Item {
    sha256: Sha256,
    unstored: Option<IgnoredAny>,
}

/// What has been seen of blobs: their digests, and who names them.
#[derive(Debug, Default)]
pub(crate) struct Blobs {
    present: BTreeSet<Sha256>,
    /// The blobs that any present list names. Output that only looks like a list is here too: it counts once a record calls it one.
    lists: BTreeMap<Sha256, Vec<Sha256>>,
    named: BTreeMap<Sha256, RecordKey>,
    named_as_list: BTreeMap<Sha256, RecordKey>,
}

/// One blob that was looked at by itself.
#[derive(Debug)]
pub(crate) struct Blob {
    sha256: Sha256,
    list: Option<Vec<Sha256>>,
}

impl Blob {
    /// Looks at the bytes found at `object`.
    pub(crate) fn look(object: &str, bytes: &[u8]) -> Result<Self, String> {
        let key: BlobKey = object.parse().map_err(|error: ParseBlobKeyError| error.to_string())?;
        let sha256 = Sha256::of(bytes);
        if sha256 != key.sha256() {
            return Err(format!("its bytes have the digest {sha256}: it is not the blob that its name says"));
        }
        let list = bytes.starts_with(LIST_START).then(|| serde_json::from_slice::<BlobList<Item>>(bytes).ok()).flatten();
        let stored =
            |list: BlobList<Item>| list.blobs.into_iter().filter(|item| item.unstored.is_none()).map(|item| item.sha256).collect();
        Ok(Self { sha256, list: list.map(stored) })
    }
}

impl Blobs {
    /// Takes in one blob.
    pub(crate) fn add(&mut self, blob: Blob) {
        self.present.insert(blob.sha256);
        self.lists.extend(blob.list.map(|list| (blob.sha256, list)));
    }

    /// Notes the blobs that the record at `key` names. The error is a subject that names one blob and gives another's digest.
    pub(crate) fn name(&mut self, key: &RecordKey, subjects: &[Subject]) -> Result<(), String> {
        for subject in subjects.iter().filter(|subject| subject.name.starts_with("blob/")) {
            let digest = subject.digest.sha256;
            if subject.name.parse() != Ok(BlobKey::new(digest)) {
                return Err(format!("it names `{}` by another digest, {digest}", subject.name.escape_debug()));
            }
            let list = subject.media_type.as_deref() == Some(BLOB_LIST_TYPE);
            let names = if list { &mut self.named_as_list } else { &mut self.named };
            names.entry(digest).or_insert_with(|| key.clone());
        }
        Ok(())
    }

    /// How many blobs were read.
    pub(crate) fn count(&self) -> usize {
        self.present.len()
    }

    /// Every blob that is named is there; every blob that is there is named.
    pub(crate) fn check(mut self) -> Vec<Fault> {
        let mut faults = Vec::new();
        let mut fault = |kind, sha256: &Sha256, reason: String| {
            faults.push(Fault { kind, object: BlobKey::new(*sha256).to_string(), reason });
        };
        for (list, record) in &self.named_as_list {
            match self.lists.get(list) {
                Some(blobs) => {
                    for blob in blobs {
                        self.named.entry(*blob).or_insert_with(|| record.clone());
                    }
                }
                None if self.present.contains(list) => {
                    fault(FaultKind::Failure, list, format!("not the list of blobs that {record} says it is"));
                }
                None => fault(FaultKind::Failure, list, format!("missing: {record} names it as its list of blobs")),
            }
        }
        for (blob, record) in &self.named {
            if !self.present.contains(blob) {
                fault(FaultKind::Failure, blob, format!("missing: {record} names it"));
            }
        }
        for blob in &self.present {
            if !self.named.contains_key(blob) && !self.named_as_list.contains_key(blob) {
                fault(
                    FaultKind::Notice,
                    blob,
                    "no record names it: its run was killed, goes on, or its outcome is gone".to_owned(),
                );
            }
        }
        faults
    }
}
