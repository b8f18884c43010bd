//! Reads evidence back and believes nothing.
//!
//! Objects go in one by one, in the order of their keys, as every listing gives them: keys, then the log, then the records. What stays
//! in memory is the log's line for each record until the record is met, a few words for each session, and what is wrong.
//! [`Verifier::finish`] says what held.
//!
//! What this cannot see: without a log, the newest records of a session, if they were withheld before anybody else saw them; and false
//! records that a thief of a live session key, or a writer that was taken over, added before they were sealed.

mod anchors;
mod chain;
mod group;
mod ledger;
mod report;
mod root;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use ids::{FunctionName, IncidentId, SessionId, Sha256, Timestamp};
use serde::de::IgnoredAny;

use crate::blob::{Blob, Blobs};
use crate::dsse::Envelope;
use crate::endorsement::Endorsement;
use crate::log::{CheckpointError, LogKey, Token, TokenError, Witness, timestamp_size};
use crate::record::{Header, Record, RecordError, RecordKey, open};
use anchors::Anchors;
use chain::Sessions;
use group::Group;
use ledger::Ledger;

pub use report::{AnchorReport, Cosigned, Fault, FaultKind, LogReport, Report, Standing};
pub use root::{Root, RootError};

/// S3 and Lambda clocks may differ by what SigV4 tolerates (AWS General Reference, "Elements of a request signature": 15 minutes).
const SKEW: Duration = Duration::from_secs(15 * 60);

/// The function that keeps the log.
const SEAL: &str = "seal";

/// What the store says of an object, apart from its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// The store's name for this version.
    pub id: String,
    /// The store's own time for it.
    pub stored: Timestamp,
}

/// An object that was looked at by itself: the part of the work that needs nothing else, and so can be done beside others.
#[derive(Debug)]
pub struct Examined {
    object: String,
    content: Content,
}

#[derive(Debug)]
enum Content {
    Record(Box<Result<Record<IgnoredAny>, RecordError>>),
    Batch(Vec<u8>),
    Checkpoint(Vec<u8>),
    CheckpointBundle,
    CheckpointTime(u64, Result<Token, TokenError>),
    Key(Option<LogKey>),
    Blob(Result<Blob, String>),
    Stranger,
}

impl Examined {
    /// Looks at `bytes`, found at the key `object`.
    #[must_use]
    pub fn look(object: &str, bytes: &[u8]) -> Self {
        let content = if let Ok(key) = object.parse::<RecordKey>() {
            Content::Record(Box::new(open(&key, bytes)))
        } else if object.starts_with("log/batch/") {
            Content::Batch(bytes.to_vec())
        } else if object.starts_with("log/cp/") && (object.ends_with(".note") || object.ends_with(".cosigned")) {
            Content::Checkpoint(bytes.to_vec())
        } else if object.starts_with("log/cp/") && object.ends_with(".sigstore.json") {
            // The note's own signature in another wrapping, for tools that know no notes: what it says is checked there.
            Content::CheckpointBundle
        } else if let Some(size) = timestamp_size(object) {
            Content::CheckpointTime(size, Token::read(bytes))
        } else if let Some(name) = object.strip_prefix("keys/seal/") {
            // Named by its own digest, so that it needs nobody's word.
            let named = |key: &LogKey| name == format!("{}.der", key.fingerprint());
            Content::Key(LogKey::from_der(bytes).filter(named))
        } else if object.starts_with("blob/") {
            Content::Blob(Blob::look(object, bytes))
        } else {
            Content::Stranger
        };
        Self { object: object.to_owned(), content }
    }
}

/// See the module's own words.
#[derive(Debug, Default)]
pub struct Verifier {
    roots: Vec<Root>,
    records: usize,
    incidents: BTreeSet<IncidentId>,
    group: Group,
    sessions: Sessions,
    blobs: Blobs,
    ledger: Ledger,
    anchors: Anchors,
    /// Each session's endorsement as it was last seen to hold: a signature need not be checked a thousand times.
    endorsed: BTreeMap<SessionId, (Envelope, Endorsement)>,
    endorsers: BTreeMap<Sha256, BTreeSet<FunctionName>>,
    code: BTreeSet<Sha256>,
    faults: Vec<Fault>,
}

impl Verifier {
    /// A verifier that trusts `roots`; with none it can say *self-consistent* at best.
    #[must_use]
    pub fn new(roots: Vec<Root>) -> Self {
        Self { roots, ..Self::default() }
    }

    /// Also demands that each of `witnesses` cosigned the log: its newest checkpoint, or one that leaves out no more than the last 65
    /// minutes of it, which is what a witness that was away for an hour leaves behind.
    #[must_use]
    pub fn witnessed_by(mut self, witnesses: Vec<Witness>) -> Self {
        self.anchors.ask(witnesses);
        self
    }

    /// Notes a fault that the reader of the store found: a second version, a delete marker, a digest that differs.
    pub fn fault(&mut self, kind: FaultKind, object: impl fmt::Display, reason: impl fmt::Display) {
        self.faults.push(Fault { kind, object: object.to_string(), reason: reason.to_string() });
    }

    fn fail(&mut self, object: impl fmt::Display, reason: impl fmt::Display) {
        self.fault(FaultKind::Failure, object, reason);
    }

    /// Reads one object. `version` is what the store says of it, where there is such a store; `now` is the reader's clock.
    pub fn add(&mut self, object: &str, bytes: &[u8], version: Option<&Version>, now: Timestamp) {
        self.admit(Examined::look(object, bytes), version, now);
    }

    /// Takes in an object that was looked at.
    pub fn admit(&mut self, examined: Examined, version: Option<&Version>, now: Timestamp) {
        let Examined { object, content } = examined;
        let mut found = Vec::new();
        match content {
            Content::Record(record) => match *record {
                Ok(record) => self.record(&object, record, version, now),
                Err(error) => self.fail(&object, error),
            },
            Content::Batch(bytes) => {
                self.ledger.batch(&object, &bytes, &mut found);
                self.ledger.end().into_iter().for_each(|(size, time)| self.anchors.grown(size, time));
            }
            Content::Checkpoint(bytes) => self.checkpoint(&object, &bytes),
            Content::CheckpointBundle => {}
            Content::CheckpointTime(size, token) => {
                let head = self.ledger.head(size);
                self.anchors.timestamp(&object, token, head, now, &mut found);
            }
            Content::Key(Some(key)) => self.ledger.know(key),
            Content::Key(None) => self.fail(&object, "not the public key that its name says"),
            Content::Blob(Ok(blob)) => self.blobs.add(blob),
            Content::Blob(Err(reason)) => self.fail(&object, reason),
            Content::Stranger => self.fail(&object, "not a record's key: something was put among the evidence"),
        }
        self.found(found);
    }

    /// Takes in a checkpoint, from this store or kept elsewhere since: `object` says where it came from.
    pub fn checkpoint(&mut self, object: &str, note: &[u8]) {
        let mut found = Vec::new();
        let speaks = |root: &Root| root.function.as_ref().is_none_or(|function| function.as_str() == SEAL);
        let trusted =
            |key: &Sha256| self.roots.is_empty() || self.roots.iter().any(|root| root.fingerprint == *key && speaks(root));
        match std::str::from_utf8(note) {
            Ok(note) => {
                let opened = self.ledger.checkpoint(object, note, trusted, &mut found);
                opened.into_iter().for_each(|opened| self.anchors.opened(object, note, opened, &mut found));
            }
            Err(_) => found.push((FaultKind::Failure, object.to_owned(), CheckpointError::Form.to_string())),
        }
        self.found(found);
    }

    /// Notes that the newest version of an object is a delete marker, which hides it and lets another take its place.
    pub fn hidden(&mut self, object: &str, version: &Version) {
        let mut found = vec![(FaultKind::Failure, object.to_owned(), format!("hidden under delete marker {}", version.id))];
        self.ledger.meet(object, Sha256::of(b""), version.stored, Some(version), &mut found);
        self.found(found);
    }

    fn found(&mut self, found: Vec<group::Found>) {
        self.faults.extend(found.into_iter().map(|(kind, object, reason)| Fault { kind, object, reason }));
    }

    fn record(&mut self, object: &str, record: Record<IgnoredAny>, version: Option<&Version>, now: Timestamp) {
        let (statement, sha256) = record;
        if let Err(reason) = self.blobs.name(&statement.predicate.record.key, &statement.subject) {
            self.fail(object, reason);
        }
        let header = statement.predicate.record;
        self.check_times(object, header.time, version, now);
        self.check_endorsement(object, &header, version, statement.predicate.endorsement);
        for anomaly in &header.anomalies {
            self.fault(FaultKind::Notice, object, format_args!("it reports `{}`: {}", anomaly.key, anomaly.reason));
        }
        self.records += 1;
        self.incidents.extend(header.incident.clone());
        let mut found = Vec::new();
        self.ledger.meet(object, sha256, header.time, version, &mut found);
        if self.group.is_over(&header.key) {
            std::mem::take(&mut self.group).finish(now, &mut found);
        }
        self.group.add(&header, sha256);
        self.found(found);
        let mut found = Vec::new();
        self.sessions.add(&header.key, sha256, header.session, &mut found);
        found.into_iter().for_each(|(object, reason)| self.fail(object, reason));
    }

    fn check_times(&mut self, object: &str, made: Timestamp, version: Option<&Version>, now: Timestamp) {
        if made > now.plus(SKEW) {
            self.fail(object, format_args!("made at {made}, which is in the future"));
        }
        let Some(version) = version else { return };
        let apart = version.stored.millis_since(made);
        if u128::from(apart.unsigned_abs()) > SKEW.as_millis() {
            let reason = format!("made at {made} but stored at {}: filed late, or a clock is wrong", version.stored);
            self.fault(FaultKind::Notice, object, reason);
        }
    }

    fn check_endorsement(&mut self, object: &str, header: &Header, version: Option<&Version>, envelope: Option<Envelope>) {
        let Some(envelope) = envelope else {
            return self.fault(FaultKind::Degraded, object, "no endorsement: no KMS key vouches for who signed it");
        };
        let known = self.endorsed.get(&header.session.id).filter(|(known, _)| *known == envelope);
        let endorsement = match known.map_or_else(|| Endorsement::open(&envelope), |(_, endorsement)| Ok(endorsement.clone())) {
            Ok(endorsement) => endorsement,
            Err(error) => return self.fail(object, error),
        };
        let (function, made) = (&header.key.function, header.time);
        if endorsement.session != header.session.id
            || endorsement.session_key != header.session.key
            || endorsement.function != *function
        {
            return self.fail(object, "its endorsement is of another session, key or function");
        }
        let lapsed = made > endorsement.not_after || version.is_some_and(|v| v.stored > endorsement.not_after.plus(SKEW));
        let early = made.plus(SKEW) < endorsement.not_before;
        if lapsed || early {
            let Endorsement { not_before, not_after, .. } = endorsement;
            self.fail(object, format_args!("made at {made}, outside its endorsement ({not_before} to {not_after})"));
        }
        let fingerprint = endorsement.endorser.fingerprint();
        self.code.extend(endorsement.code_sha256);
        self.endorsers.entry(fingerprint).or_default().insert(function.clone());
        if !self.roots.is_empty() {
            let trusted = |root: &Root| root.fingerprint == fingerprint && root.function.as_ref().is_none_or(|f| f == function);
            if !self.roots.iter().any(trusted) {
                self.fail(object, format_args!("endorsed by key {fingerprint}, which is not a trusted root for `{function}`"));
            }
        }
        self.endorsed.insert(header.session.id.clone(), (envelope, endorsement));
    }

    /// The answer, once everything has been added.
    #[must_use]
    pub fn finish(mut self, now: Timestamp) -> Report {
        let (mut found, mut broken_chains) = (Vec::new(), Vec::new());
        std::mem::take(&mut self.group).finish(now, &mut found);
        let mut log = std::mem::take(&mut self.ledger).finish(now, &mut found);
        std::mem::take(&mut self.anchors).finish(log.as_mut(), now, &mut found);
        // Whoever names the key of the log's checkpoints knows that there is a log.
        if log.is_none() && self.roots.iter().any(|root| root.function.as_ref().is_some_and(|function| function.as_str() == SEAL)) {
            self.fail("log/", "there is no log here, and a root for `seal` was given");
        }
        self.found(found);
        let sessions = std::mem::take(&mut self.sessions).finish(&mut broken_chains);
        broken_chains.into_iter().for_each(|(object, reason)| self.fail(object, reason));
        let shared: Vec<_> = self.endorsers.iter().filter(|(_, functions)| functions.len() > 1).map(|(key, _)| *key).collect();
        for key in shared {
            self.fail(key, "this KMS key speaks for more than one function");
        }
        let blobs = self.blobs.count();
        self.faults.extend(std::mem::take(&mut self.blobs).check());
        self.faults.sort();
        self.faults.dedup();
        let standing = match self.faults.first().map(|fault| fault.kind) {
            Some(FaultKind::Failure) => Standing::Failed,
            _ if self.records == 0 && log.is_none() => Standing::Empty,
            Some(FaultKind::Degraded) => Standing::Degraded,
            _ if self.roots.is_empty() => Standing::SelfConsistent,
            _ => Standing::Verified,
        };
        Report {
            standing,
            records: self.records,
            sessions,
            blobs,
            incidents: self.incidents,
            endorsers: self.endorsers,
            code: self.code,
            log,
            faults: self.faults,
        }
    }
}
