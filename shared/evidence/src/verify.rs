//! Reads evidence back and believes nothing.
//!
//! Objects go in one by one, in any order; what stays in memory is a few digests a record. [`Verifier::finish`] says what held.
//!
//! What this cannot see: the newest records of a session, if they were withheld before anybody else saw them (nothing later refers
//! to them yet), and false records that a thief of a live session key added. The sealed log narrows both to a minute.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use ids::{FunctionName, IncidentId, SessionId, Sha256, SignalId, Timestamp};
use serde::Serialize;
use serde::de::IgnoredAny;
use thiserror::Error;

use crate::blob::Blobs;
use crate::endorsement::{Endorsement, PublicKey};
use crate::record::{Kind, Link, RecordKey, open};

/// S3 and Lambda clocks may differ by what SigV4 tolerates (AWS General Reference, "Elements of a request signature": 15 minutes).
const SKEW: Duration = Duration::from_secs(15 * 60);

/// A key that the reader trusts: the fingerprint of a function's KMS key, with or without the function it speaks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    /// The only function this key may speak for; any one function if absent.
    pub function: Option<FunctionName>,
    /// SHA-256 of the key's DER `SubjectPublicKeyInfo`.
    pub fingerprint: Sha256,
}

/// A string that is not a root.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("expected FINGERPRINT or FUNCTION=FINGERPRINT, the SHA-256 (64 hex digits) of the KMS public key in DER")]
pub struct RootError;

impl FromStr for Root {
    type Err = RootError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (function, digest) = match text.split_once('=') {
            Some((function, digest)) => (Some(function.parse().map_err(|_| RootError)?), digest),
            None => (None, text),
        };
        let fingerprint = digest.to_ascii_lowercase().parse().map_err(|_| RootError)?;
        Ok(Self { function, fingerprint })
    }
}

/// What the store says of an object, apart from its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version {
    /// The store's own time for it.
    pub stored: Timestamp,
}

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
    /// Incidents they belong to.
    pub incidents: BTreeSet<IncidentId>,
    /// Fingerprints of the KMS keys that endorsed them, with the function each spoke for.
    pub endorsers: BTreeMap<Sha256, BTreeSet<FunctionName>>,
    /// Hashes of the code that claims to have written them.
    pub code: BTreeSet<Sha256>,
    /// Everything found, worst first.
    pub faults: Vec<Fault>,
}

#[derive(Debug)]
struct Seen {
    key: RecordKey,
    sha256: Sha256,
    incident: Option<IncidentId>,
    signal: SignalId,
    time: Timestamp,
    due: Option<Timestamp>,
    answers: Option<Link>,
}

#[derive(Debug)]
struct Numbered {
    key: RecordKey,
    sha256: Sha256,
    prev: Option<Sha256>,
    lost: Vec<u64>,
}

#[derive(Debug)]
struct SessionSeen {
    key: PublicKey,
    function: FunctionName,
    records: BTreeMap<u64, Numbered>,
}

/// See the module's own words.
#[derive(Debug, Default)]
pub struct Verifier {
    roots: Vec<Root>,
    seen: BTreeMap<String, Seen>,
    sessions: BTreeMap<SessionId, SessionSeen>,
    blobs: Blobs,
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

    /// Notes a fault that the reader of the store found: a second version, a delete marker, a digest that differs.
    pub fn fault(&mut self, kind: FaultKind, object: impl fmt::Display, reason: impl fmt::Display) {
        self.faults.push(Fault { kind, object: object.to_string(), reason: reason.to_string() });
    }

    fn fail(&mut self, object: impl fmt::Display, reason: impl fmt::Display) {
        self.fault(FaultKind::Failure, object, reason);
    }

    /// Reads one object. `version` is what the store says of it, where there is such a store; `now` is the reader's clock.
    pub fn add(&mut self, object: &str, bytes: &[u8], version: Option<Version>, now: Timestamp) {
        if object.starts_with("blob/") {
            return self.blobs.add(object, bytes).unwrap_or_else(|reason| self.fail(object, reason));
        }
        let Ok(key) = object.parse::<RecordKey>() else {
            return self.fail(object, "not a record's key: something was put among the evidence");
        };
        let (statement, sha256) = match open::<IgnoredAny>(&key, bytes) {
            Ok(record) => record,
            Err(error) => return self.fail(object, error),
        };
        if let Err(reason) = self.blobs.name(&key, &statement.subject) {
            self.fail(object, reason);
        }
        let record = statement.predicate.record;
        self.check_times(object, record.time, version, now);
        self.check_endorsement(
            object,
            &key.function,
            &record.session.id,
            &record.session.key,
            record.time,
            version,
            statement.predicate.endorsement.as_ref(),
        );
        for anomaly in &record.anomalies {
            self.fault(FaultKind::Notice, object, format_args!("it reports `{}`: {}", anomaly.key, anomaly.reason));
        }

        let session = self.sessions.entry(record.session.id.clone()).or_insert_with(|| SessionSeen {
            key: record.session.key.clone(),
            function: key.function.clone(),
            records: BTreeMap::new(),
        });
        let one_party = session.key == record.session.key && session.function == key.function;
        let part = record.session;
        let numbered = Numbered { key: key.clone(), sha256, prev: part.prev, lost: part.lost };
        let taken = session.records.insert(part.seq, numbered).map(|other| other.key);
        if !one_party {
            self.fail(object, format_args!("session {} has another key or function elsewhere", part.id));
        }
        if let Some(other) = taken {
            self.fail(object, format_args!("number {} of session {} is also at {other}: a fork", part.seq, part.id));
        }
        let seen = Seen {
            key,
            sha256,
            incident: record.incident,
            signal: record.signal,
            time: record.time,
            due: record.due,
            answers: record.answers,
        };
        self.seen.insert(object.to_owned(), seen);
    }

    fn check_times(&mut self, object: &str, made: Timestamp, version: Option<Version>, now: Timestamp) {
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

    #[expect(clippy::too_many_arguments, reason = "the parts of one record, taken apart so that its body is never held")]
    fn check_endorsement(
        &mut self,
        object: &str,
        function: &FunctionName,
        session: &SessionId,
        key: &PublicKey,
        made: Timestamp,
        version: Option<Version>,
        envelope: Option<&crate::dsse::Envelope>,
    ) {
        let Some(envelope) = envelope else {
            return self.fault(FaultKind::Degraded, object, "no endorsement: no KMS key vouches for who signed it");
        };
        let endorsement = match Endorsement::open(envelope) {
            Ok(endorsement) => endorsement,
            Err(error) => return self.fail(object, error),
        };
        if endorsement.session != *session || endorsement.session_key != *key || endorsement.function != *function {
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
    }

    /// The answer, once everything has been added.
    #[must_use]
    pub fn finish(mut self, now: Timestamp) -> Report {
        self.check_links(now);
        self.check_sequences();
        let shared: Vec<_> = self.endorsers.iter().filter(|(_, functions)| functions.len() > 1).map(|(key, _)| *key).collect();
        for key in shared {
            self.fail(key, "this KMS key speaks for more than one function");
        }
        let blobs = self.blobs.count();
        self.faults.extend(self.blobs.check());
        self.faults.sort();
        self.faults.dedup();
        let worst = self.faults.first().map(|fault| fault.kind);
        let standing = match worst {
            Some(FaultKind::Failure) => Standing::Failed,
            _ if self.seen.is_empty() => Standing::Empty,
            Some(FaultKind::Degraded) => Standing::Degraded,
            _ if self.roots.is_empty() => Standing::SelfConsistent,
            _ => Standing::Verified,
        };
        Report {
            standing,
            records: self.seen.len(),
            sessions: self.sessions.len(),
            blobs,
            incidents: self.seen.values().filter_map(|seen| seen.incident.clone()).collect(),
            endorsers: self.endorsers,
            code: self.code,
            faults: self.faults,
        }
    }

    /// Every outcome has its intent, of the same cause; every intent has an outcome, or still has time.
    fn check_links(&mut self, now: Timestamp) {
        let mut faults = Vec::new();
        let mut answered = BTreeSet::new();
        for seen in self.seen.values() {
            let Some(link) = &seen.answers else {
                if seen.key.kind == Kind::Outcome {
                    faults.push((FaultKind::Failure, seen.key.to_string(), "an outcome that answers no intent".to_owned()));
                }
                continue;
            };
            let wanted = link.key.to_string();
            answered.insert(wanted.clone());
            let fault = match self.seen.get(&wanted) {
                None => Some((wanted, format!("missing, or unreadable: {} answers it", seen.key))),
                Some(intent) if intent.sha256 != link.sha256 => Some((wanted, format!("not the object that {} answers", seen.key))),
                Some(intent) if intent.incident != seen.incident || intent.signal != seen.signal => {
                    Some((seen.key.to_string(), format!("answers {wanted}, which is of another incident or signal")))
                }
                Some(_) => None,
            };
            faults.extend(fault.map(|(object, reason)| (FaultKind::Failure, object, reason)));
        }
        for seen in self.seen.values().filter(|seen| seen.key.kind == Kind::Intent) {
            let object = seen.key.to_string();
            if answered.contains(&object) {
                continue;
            }
            let due = seen.due.unwrap_or(seen.time);
            if now > due {
                faults.push((
                    FaultKind::Failure,
                    object,
                    format!("no outcome, though one was due by {due}: an orphan, or its outcome is gone"),
                ));
            } else {
                faults.push((FaultKind::Notice, object, format!("no outcome yet; due by {due}")));
            }
        }
        for (kind, object, reason) in faults {
            self.fault(kind, object, reason);
        }
    }

    /// In each session the numbers run from 1, a missing one is declared, and each record names the digest of the one before.
    fn check_sequences(&mut self) {
        let mut faults = Vec::new();
        for (id, session) in &self.sessions {
            let mut before: Option<(u64, &Numbered)> = None;
            for (seq, record) in &session.records {
                let since = before.map_or(0, |(seq, _)| seq);
                let missing: Vec<u64> = (since.saturating_add(1)..*seq).take(1000).filter(|n| !record.lost.contains(n)).collect();
                if !missing.is_empty() {
                    let reason = format!("before it, session {id} lacks number {}: a record was taken away", join(&missing));
                    faults.push((record.key.clone(), reason));
                } else {
                    // A number declared lost may have been stored after all; then the chain goes past it.
                    let late = before.is_some_and(|(seq, _)| record.lost.contains(&seq));
                    let expected = before.map(|(_, record)| record.sha256);
                    if !late && record.prev != expected {
                        faults.push((record.key.clone(), format!("it does not chain to the record before it in session {id}")));
                    }
                }
                before = Some((*seq, record));
            }
        }
        for (key, reason) in faults {
            self.fail(key, reason);
        }
    }
}

fn join(numbers: &[u64]) -> String {
    numbers.iter().map(u64::to_string).collect::<Vec<_>>().join(", ")
}
