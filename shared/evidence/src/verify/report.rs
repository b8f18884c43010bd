//! What the verifier says.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use ids::{FunctionName, Sha256, Timestamp};
use serde::Serialize;

/// How bad a fault is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// The evidence is not what was written.
    Failure,
    /// Written without an endorsement: nobody vouches for who signed it.
    Degraded,
    /// Worth a look; the evidence holds.
    Notice,
}

/// One thing found, and the object it was found at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Fault {
    /// How bad it is.
    pub kind: FaultKind,
    /// The object's key.
    pub object: String,
    /// What is wrong.
    pub reason: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            FaultKind::Failure => "FAILED",
            FaultKind::Degraded => "degraded",
            FaultKind::Notice => "note",
        };
        write!(f, "{kind}: {}: {}", self.object, self.reason)
    }
}

/// What may be said of a body of evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Everything holds, up to a key that the reader named.
    Verified,
    /// Everything holds together; whether the right party signed was not asked.
    SelfConsistent,
    /// Everything holds, but some records were made without an endorsement.
    Degraded,
    /// Something does not hold.
    Failed,
    /// There is nothing to verify, which is not the same as nothing wrong.
    Empty,
}

/// The verifier's answer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// The answer in a word.
    pub standing: Standing,
    /// Records read.
    pub records: usize,
    /// Sessions they belong to.
    pub sessions: usize,
    /// Blobs read.
    pub blobs: usize,
    /// How many incidents they belong to.
    pub incidents: usize,
    /// Fingerprints of the KMS keys that endorsed them, with the function each spoke for.
    pub endorsers: BTreeMap<Sha256, BTreeSet<FunctionName>>,
    /// Hashes of the code that claims to have written them.
    pub code: BTreeSet<Sha256>,
    /// The functions whose code was compared with a release.
    pub released: BTreeSet<FunctionName>,
    /// The keyring that was used, if there is one here.
    pub keyring: Option<RingReport>,
    /// The log that orders them, if there is one here.
    pub log: Option<LogReport>,
    /// Everything found, worst first.
    pub faults: Vec<Fault>,
}

/// What was seen of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LogReport {
    /// Its name: the origin line of its checkpoints.
    pub name: String,
    /// Batches read.
    pub batches: u64,
    /// Leaves they come to.
    pub size: u64,
    /// The root over these leaves.
    pub root: Sha256,
    /// When the newest batch was made.
    pub newest: Timestamp,
    /// Checkpoints whose signature and root hold.
    pub checkpoints: u64,
    /// How many leaves are under one of them.
    pub signed: u64,
    /// What others say of them.
    pub anchors: AnchorReport,
}

/// What others than the log's owner say of its checkpoints.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct AnchorReport {
    /// How many checkpoints have a timestamp over them (RFC 3161). Whose it is was not looked at.
    pub timestamped: u64,
    /// The newest time that one of these says.
    pub newest_timestamp: Option<Timestamp>,
    /// The Ed25519 keys that signed checkpoints beside the log's first key, as verifier keys.
    pub vkeys: BTreeSet<String>,
    /// By verifier key: what each witness that the reader asked for cosigned.
    pub cosigned: BTreeMap<String, Cosigned>,
}

/// The newest checkpoint that a witness cosigned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Cosigned {
    /// Its leaves.
    pub size: u64,
    /// When, by the witness's clock.
    pub time: Timestamp,
}

/// Whether the reader trusts whoever signed a keyring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RingTrust {
    /// Its root is one that the reader named, or was handed over to by one.
    Trusted,
    /// The reader named roots, and its root is none of them: it was not used.
    NotTrusted,
    /// The reader named no root.
    NotAsked,
}

/// What was seen of the keyring.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RingReport {
    /// The number of the ring that the keys are judged by.
    pub number: u64,
    /// When it was made.
    pub time: Timestamp,
    /// Whether the reader trusts its root.
    pub trust: RingTrust,
    /// Fingerprint of the key that signed it.
    pub signer: Sha256,
    /// Fingerprint of the key that may sign the next one.
    pub root: Sha256,
    /// Every key that it names.
    pub keys: Vec<KeyReport>,
}

/// A key on the ring.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeyReport {
    /// The function that it speaks for.
    pub function: FunctionName,
    /// SHA-256 of its DER form.
    pub fingerprint: Sha256,
    /// When it begins.
    pub from: Timestamp,
    /// When it ends, if it does.
    pub until: Option<Timestamp>,
    /// Why it ends.
    pub reason: Option<String>,
}

impl fmt::Display for KeyReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "key {} for {}, ", self.fingerprint, self.function)?;
        // The first ring's keys begin before everything, unless its maker said otherwise.
        match self.from.millis() {
            ..=0 => f.write_str("from the beginning"),
            _ => write!(f, "from {}", self.from),
        }?;
        match (&self.until, &self.reason) {
            (Some(until), Some(reason)) => write!(f, " until {until} ({reason})"),
            (Some(until), None) => write!(f, " until {until}"),
            (None, _) => Ok(()),
        }
    }
}

impl fmt::Display for RingReport {
    /// A line for the ring and one for each of its keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { number, time, signer, root, .. } = self;
        let trust = match self.trust {
            RingTrust::Trusted => "",
            RingTrust::NotTrusted => " (not a root that was given: not used)",
            RingTrust::NotAsked => " (whose that is was not asked)",
        };
        write!(f, "keyring {number} of {time}, signed by root {signer}{trust}")?;
        if root != signer {
            write!(f, "; the next is signed by {root}")?;
        }
        self.keys.iter().try_for_each(|key| write!(f, "\n  {key}"))
    }
}
