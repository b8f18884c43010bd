//! Reads evidence back and believes nothing.
//!
//! Objects go in one by one: the keys first, a first batch before the first record, the batches in their order, and the records of each
//! function in the order of their keys, which is that of their minutes. The order of the keys, as every listing gives them, will do; memory
//! stays flat if the log and the records are read side by side, by their times, with a batch's checkpoint soon after it. What is held is
//! what one side has named and the other not met yet, the sessions of the last days, eight bytes for each incident, what records say of blobs,
//! and what is wrong. [`Verifier::finish`] says what held.
//!
//! What this cannot see: without a log, the newest records of a session, if they were withheld before anybody else saw them; and false
//! records that a thief of a live session key, or a writer that was taken over, added before they were sealed.

mod anchors;
mod chain;
mod group;
mod ledger;
mod report;
mod root;

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::fmt;
use std::time::Duration;

use ids::{FunctionName, SessionId, Sha256, Timestamp};
use serde::de::IgnoredAny;

use crate::blob::{Blob, Blobs};
use crate::dsse::Envelope;
use crate::endorsement::{Check, Endorsement, EndorsementError, PublicKey};
use crate::keyring::{Keyring, RingError};
use crate::log::{CheckpointError, LogKey, Token, TokenError, Witness, timestamp_size};
use crate::record::{Header, Record, RecordError, RecordKey, open_by};
use crate::release::Release;
use anchors::Anchors;
use chain::Sessions;
use group::Group;
use ledger::{Ledger, Note};

pub use report::{AnchorReport, Cosigned, Fault, FaultKind, KeyReport, LogReport, Report, RingReport, RingTrust, Standing};
pub use root::{Root, RootError, key_named};
use root::{Trust, is_ring};

/// S3 and Lambda clocks may differ by what SigV4 tolerates (AWS General Reference, "Elements of a request signature": 15 minutes).
pub(crate) const SKEW: Duration = Duration::from_secs(15 * 60);

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
    Record(Box<Result<Record<IgnoredAny>, (RecordError, Sha256)>>),
    Batch(Vec<u8>),
    Checkpoint(Vec<u8>),
    CheckpointBundle(Vec<u8>),
    CheckpointTime(u64, Result<Token, TokenError>),
    Key(Option<LogKey>, Sha256),
    Ring(Box<Result<(Keyring, Sha256), RingError>>, Sha256),
    Blob(Result<Blob, String>),
    Stranger(Sha256),
}

impl Examined {
    /// Looks at `bytes`, found at the key `object`.
    #[must_use]
    pub fn look(object: &str, bytes: &[u8]) -> Self {
        Self::look_by(object, bytes, PublicKey::signed)
    }

    /// The same, with another implementation of the check of records' signatures.
    #[must_use]
    pub fn look_by(object: &str, bytes: &[u8], check: Check) -> Self {
        let content = if let Ok(key) = object.parse::<RecordKey>() {
            Content::Record(Box::new(open_by(&key, bytes, check).map_err(|error| (error, Sha256::of(bytes)))))
        } else if object.starts_with("log/batch/") {
            Content::Batch(bytes.to_vec())
        } else if object.starts_with("log/cp/") && (object.ends_with(".note") || object.ends_with(".cosigned")) {
            Content::Checkpoint(bytes.to_vec())
        } else if object.starts_with("log/cp/") && object.ends_with(".sigstore.json") {
            // The note's own signature in another wrapping, for tools that know no notes.
            Content::CheckpointBundle(bytes.to_vec())
        } else if let Some(size) = timestamp_size(object) {
            Content::CheckpointTime(size, Token::read(bytes))
        } else if object.starts_with("keys/seal/") {
            // Named by its own digest, so that it needs nobody's word.
            Content::Key(key_named(object, bytes), Sha256::of(bytes))
        } else if is_ring(object) {
            Content::Ring(Box::new(Keyring::open(object, bytes)), Sha256::of(bytes))
        } else if object.starts_with("blob/") {
            Content::Blob(Blob::look(object, bytes))
        } else {
            Content::Stranger(Sha256::of(bytes))
        };
        Self { object: object.to_owned(), content }
    }
}

/// See the module's own words.
#[derive(Debug, Default)]
pub struct Verifier {
    trust: Trust,
    release: Option<Release>,
    /// Functions that the release does not name.
    unreleased: BTreeSet<FunctionName>,
    released: BTreeSet<FunctionName>,
    /// What is under `keys/`, which is read before the log that says what must be there: each with its digest, none for a delete marker.
    keys: Vec<(String, Option<Sha256>, Option<Version>)>,
    records: usize,
    /// The beginnings of the incidents' ids, which are digests.
    incidents: HashSet<u64>,
    group: Group,
    sessions: Sessions,
    blobs: Blobs,
    ledger: Ledger,
    anchors: Anchors,
    /// The endorsements that were last seen to hold: a signature need not be checked a thousand times.
    endorsed: Endorsed,
    /// Checkpoints that were kept elsewhere, until the log's keys and its first batch are known.
    kept: Vec<(String, Vec<u8>)>,
    endorsers: BTreeMap<Sha256, BTreeSet<FunctionName>>,
    /// The keys that signed checkpoints.
    sealers: BTreeSet<Sha256>,
    code: BTreeSet<Sha256>,
    faults: Vec<Fault>,
}

/// A few endorsements, with what they say.
#[derive(Debug, Default)]
struct Endorsed(VecDeque<(SessionId, Envelope, Endorsement)>);

impl Endorsed {
    /// Sandboxes that work side by side, and then some.
    const MOST: usize = 64;

    /// Opens an endorsement, unless it is the one that was opened last for this session.
    fn open(&mut self, session: &SessionId, envelope: Envelope) -> Result<Endorsement, EndorsementError> {
        let at = self.0.iter().rposition(|(id, ..)| id == session);
        if let Some((_, known, endorsement)) = at.and_then(|at| self.0.get(at))
            && *known == envelope
        {
            return Ok(endorsement.clone());
        }
        let endorsement = Endorsement::open(&envelope)?;
        at.and_then(|at| self.0.remove(at));
        if self.0.len() >= Self::MOST {
            self.0.pop_front();
        }
        self.0.push_back((session.clone(), envelope, endorsement.clone()));
        Ok(endorsement)
    }
}

impl Verifier {
    /// A verifier that trusts `roots`; with none it can say *self-consistent* at best.
    #[must_use]
    pub fn new(roots: Vec<Root>) -> Self {
        Self { trust: Trust::new(roots), ..Self::default() }
    }

    /// Compares the code that wrote each record with what was released.
    pub fn expect_release(&mut self, release: Release) {
        self.release.get_or_insert_default().merge(release);
    }

    /// Has the log compared with a checkpoint that was kept elsewhere; `object` says where it came from.
    #[must_use]
    pub fn against(mut self, object: impl fmt::Display, note: Vec<u8>) -> Self {
        self.kept.push((object.to_string(), note));
        self
    }

    /// The time of the newest batch so far: records older than that, but for a little while, have been named by now.
    #[must_use]
    pub fn log_time(&self) -> Option<Timestamp> {
        self.ledger.time()
    }

    /// How many leaves the batches so far come to: checkpoints over as many, or fewer, can be compared now.
    #[must_use]
    pub fn log_size(&self) -> u64 {
        self.ledger.size()
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
                Err((error, sha256)) => {
                    self.fail(&object, error);
                    self.ledger.meet(&object, sha256, now, version, &mut found);
                }
            },
            Content::Batch(bytes) => {
                let judge = |key: &Sha256, newest, stored| self.trust.judge_checkpoint(key, newest, stored);
                let stored = version.map(|version| version.stored);
                let held = self.ledger.batch(&object, &bytes, stored, &judge, &mut found);
                self.ledger.end().into_iter().for_each(|(size, time)| self.anchors.grown(size, time));
                held.into_iter().for_each(|note| self.held(note, &mut found));
                self.compare_kept();
            }
            Content::Checkpoint(bytes) => self.checkpoint(&object, &bytes, version, true),
            Content::CheckpointBundle(bytes) => {
                if let Err(reason) = self.ledger.bundle(&object, &bytes) {
                    self.fail(&object, reason);
                }
            }
            Content::CheckpointTime(size, token) => {
                let head = self.ledger.head(size);
                self.anchors.timestamp(&object, token, head, now, &mut found);
            }
            Content::Key(key, sha256) => {
                match key {
                    Some(key) => self.ledger.know(key),
                    None => self.fail(&object, "not the public key that its name says"),
                }
                self.keys.push((object, Some(sha256), version.cloned()));
            }
            Content::Ring(opened, sha256) => {
                let keys = self.trust.ring(&object, *opened, now, &mut found);
                keys.into_iter().for_each(|key| self.ledger.know(LogKey::P256(key)));
                self.keys.push((object, Some(sha256), version.cloned()));
            }
            Content::Blob(Ok(blob)) => self.blobs.add(blob),
            Content::Blob(Err(reason)) => self.fail(&object, reason),
            Content::Stranger(sha256) => {
                self.fail(&object, "not a record's key: something was put among the evidence");
                // The log knows what it found among the records.
                if object.starts_with("rec/") {
                    self.ledger.meet(&object, sha256, now, version, &mut found);
                }
            }
        }
        self.found(found);
    }

    /// A note that holds and fits the batches.
    fn held(&mut self, note: Note, found: &mut Vec<group::Found>) {
        self.sealers.extend(&note.opened.signers);
        self.anchors.opened(&note.object, &note.text, note.opened, found);
    }

    fn compare_kept(&mut self) {
        for (object, note) in std::mem::take(&mut self.kept) {
            self.checkpoint(&object, &note, None, false);
        }
    }

    /// Takes in a checkpoint of this store, or one that was kept elsewhere.
    fn checkpoint(&mut self, object: &str, note: &[u8], version: Option<&Version>, own: bool) {
        let mut found = Vec::new();
        let judge = |key: &Sha256, newest, stored| self.trust.judge_checkpoint(key, newest, stored);
        let stored = version.map(|version| version.stored);
        match std::str::from_utf8(note) {
            Ok(note) => {
                let held = self.ledger.checkpoint(object, note, own, stored, &judge, &mut found);
                held.into_iter().for_each(|note| self.held(note, &mut found));
            }
            Err(_) => found.push((FaultKind::Failure, object.to_owned(), CheckpointError::Form.to_string())),
        }
        self.found(found);
    }

    /// Notes that the newest version of an object is a delete marker, which hides it and lets another take its place.
    pub fn hidden(&mut self, object: &str, version: &Version) {
        let mut found = vec![(FaultKind::Failure, object.to_owned(), format!("hidden under delete marker {}", version.id))];
        if object.starts_with("keys/") {
            self.keys.push((object.to_owned(), None, Some(version.clone())));
        } else {
            self.ledger.meet(object, Sha256::of(b""), version.stored, Some(version), &mut found);
        }
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
        self.check_times(object, &header, version, now);
        self.check_endorsement(object, &header, version, statement.predicate.endorsement);
        for anomaly in &header.anomalies {
            self.fault(FaultKind::Notice, object, format_args!("it reports `{}`: {}", anomaly.key, anomaly.reason));
        }
        self.records += 1;
        if let Some(incident) = &header.incident {
            let [a, b, c, d, e, f, g, h, ..] = *Sha256::of(incident.as_str().as_bytes()).as_bytes();
            self.incidents.insert(u64::from_be_bytes([a, b, c, d, e, f, g, h]));
        }
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

    fn check_times(&mut self, object: &str, header: &Header, version: Option<&Version>, now: Timestamp) {
        let made = header.time;
        if made > now.plus(SKEW) {
            self.fail(object, format_args!("made at {made}, which is in the future"));
        }
        // The key's minute is that of the first claim. So sessions are over in the order in which keys are read.
        if header.key.first_claimed().is_none_or(|claimed| made.plus(SKEW) < claimed) {
            self.fail(object, format_args!("made at {made}, before the minute in its key"));
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
            self.check_code(object, &header.key.function, None);
            return self.fault(FaultKind::Degraded, object, "no endorsement: no KMS key vouches for who signed it");
        };
        let endorsement = match self.endorsed.open(&header.session.id, envelope) {
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
        self.check_code(object, function, endorsement.code_sha256);
        self.endorsers.entry(fingerprint).or_default().insert(function.clone());
        if let Err(reason) = self.trust.judge_endorser(&fingerprint, function, made, version.map(|version| version.stored)) {
            self.fail(object, reason);
        }
    }

    /// Compares the code that a record claims to be written by with the release, if there is one.
    fn check_code(&mut self, object: &str, function: &FunctionName, code: Option<Sha256>) {
        let Some(release) = &self.release else { return };
        let Some(hashes) = release.of(function) else {
            self.unreleased.insert(function.clone());
            return;
        };
        let wrong = match code {
            Some(code) if hashes.contains(&code) => None,
            Some(code) => Some(format!("written by code {code}, which the release does not name for `{function}`")),
            None => Some(format!("it does not say which code wrote it, and the release names `{function}`")),
        };
        self.released.insert(function.clone());
        wrong.into_iter().for_each(|reason| self.fail(object, reason));
    }

    /// The answer, once everything has been added.
    #[must_use]
    pub fn finish(mut self, now: Timestamp) -> Report {
        let (mut found, mut broken_chains) = (Vec::new(), Vec::new());
        std::mem::take(&mut self.group).finish(now, &mut found);
        self.compare_kept();
        for (object, sha256, version) in std::mem::take(&mut self.keys) {
            self.ledger.kept(&object, sha256, version.as_ref(), is_ring(&object), &mut found);
        }
        let mut log = std::mem::take(&mut self.ledger).finish(now, &mut found);
        std::mem::take(&mut self.anchors).finish(log.as_mut(), now, &mut found);
        // Whoever names the key of the log's checkpoints knows that there is a log.
        if log.is_none()
            && let Some(reason) = self.trust.wants_log()
        {
            self.fail("log/", format_args!("there is no log here, and {reason}"));
        }
        let nobody = self.trust.is_nobody();
        // Whoever could use one function's key would otherwise keep the log by it, or name the keys of all others.
        let speaks = self.endorsers.keys().chain(&self.sealers);
        let ring_signers: BTreeSet<_> = speaks.filter(|key| self.trust.signs_rings(key)).copied().collect();
        let keyring = std::mem::take(&mut self.trust).finish(&mut found);
        self.found(found);
        for function in std::mem::take(&mut self.unreleased) {
            self.fault(
                FaultKind::Notice,
                format_args!("rec/{function}/"),
                "the release does not name it: its code was not compared",
            );
        }
        let sessions = std::mem::take(&mut self.sessions).finish(&mut broken_chains);
        broken_chains.into_iter().for_each(|(object, reason)| self.fail(object, reason));
        let shared = self.endorsers.iter().filter(|(key, functions)| functions.len() > 1 || self.sealers.contains(*key));
        for key in shared.map(|(key, _)| *key).collect::<Vec<_>>() {
            self.fail(key, "this KMS key speaks for more than one function");
        }
        for key in ring_signers {
            self.fail(key, "this key signs keyrings, and speaks for a function as well");
        }
        let blobs = self.blobs.count();
        self.faults.extend(std::mem::take(&mut self.blobs).check());
        self.faults.sort();
        self.faults.dedup();
        let standing = match self.faults.first().map(|fault| fault.kind) {
            Some(FaultKind::Failure) => Standing::Failed,
            _ if self.records == 0 && log.is_none() => Standing::Empty,
            Some(FaultKind::Degraded) => Standing::Degraded,
            _ if nobody => Standing::SelfConsistent,
            _ => Standing::Verified,
        };
        Report {
            standing,
            records: self.records,
            sessions,
            blobs,
            incidents: self.incidents.len(),
            endorsers: self.endorsers,
            code: self.code,
            released: self.released,
            keyring,
            log,
            faults: self.faults,
        }
    }
}
