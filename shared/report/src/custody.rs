//! Where one record comes from, and what leans on it.

use std::fmt::Write as _;

use evidence::{Fault, Link, RecordKey};
use ids::{FunctionName, IncidentId, SessionId, Sha256, SignalId, Timestamp};
use serde::Serialize;

use crate::accesses::Accesses;
use crate::clean::clean;
use crate::entry::{Entry, Sealed, Vouched};
use crate::worth::Worth;

/// Reading leaves no trace in the records.
const BEYOND: &str = "Who read, copied or tried to delete this object is not in the records. Only CloudTrail's S3 data events for the \
evidence bucket (GetObject, HeadObject, PutObject, DeleteObject and the rest, with caller and source address) can add that, if they were \
switched on at the time.";

/// What is left once a trail was read.
const BEYOND_THE_TRAIL: &str = "What became of the bytes that were read, a deletion of many objects in one call (its event names none of \
them), and whatever happened while S3 data events were not recorded for the evidence bucket.";

/// How another record refers to this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Naming {
    /// It is the outcome of this intent.
    Answers,
    /// It is the next in the session, and carries this one's digest.
    ChainsTo,
    /// It reports something wrong with this object.
    Reports,
}

/// A record that names this one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Neighbour {
    /// How it does.
    pub how: Naming,
    /// Which one it is.
    pub key: RecordKey,
    /// When it was made.
    pub made: Timestamp,
    /// Whether the digest in it is that of the object here.
    pub digest_fits: bool,
}

/// What the records say about one of them.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Custody {
    /// What all of the evidence is worth.
    pub evidence: Worth,
    /// The record.
    pub record: RecordKey,
    /// SHA-256 of its object.
    pub sha256: Sha256,
    /// The function that wrote it.
    pub function: FunctionName,
    /// The session that signed it.
    pub session: SessionId,
    /// SHA-256 of that session's public key (DER `SubjectPublicKeyInfo`).
    pub session_key: Sha256,
    /// Its number in the session.
    pub seq: u64,
    /// Digest of the session's record before it.
    pub prev: Option<Sha256>,
    /// Numbers between the two whose write failed.
    pub lost: Vec<u64>,
    /// Who vouches for the session; none if nobody does.
    pub vouched: Option<Vouched>,
    /// When it was made, by the function's clock.
    pub made: Timestamp,
    /// When it was stored, by the store's.
    pub stored: Option<Timestamp>,
    /// Its place in the sealed log.
    pub sealed: Option<Sealed>,
    /// The incident it belongs to.
    pub incident: Option<IncidentId>,
    /// What caused it.
    pub signal: SignalId,
    /// The intent that it answers.
    pub answers: Option<Link>,
    /// The records that name it.
    pub named_by: Vec<Neighbour>,
    /// What the verifier found at this object.
    pub faults: Vec<Fault>,
    /// Who read, wrote, listed or tried to delete it, by CloudTrail's account, where a trail was read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accesses: Option<Accesses>,
    /// What only another source can add.
    pub beyond_the_records: &'static str,
}

/// What the records say about the one at `key`, or none if it is not among them.
#[must_use]
pub fn custody(entries: &[Entry], key: &RecordKey, worth: &Worth) -> Option<Custody> {
    let entry = entries.iter().find(|entry| entry.key() == key)?;
    let header = &entry.header;
    let name = key.to_string();
    let mut named_by = Vec::new();
    for other in entries.iter().filter(|other| other.key() != key) {
        let mut name_it = |how, digest_fits| {
            named_by.push(Neighbour { how, key: other.key().clone(), made: other.header.time, digest_fits });
        };
        if let Some(link) = other.header.answers.as_ref().filter(|link| link.key == *key) {
            name_it(Naming::Answers, link.sha256 == entry.sha256);
        }
        if other.header.session.id == header.session.id && other.header.session.prev == Some(entry.sha256) {
            name_it(Naming::ChainsTo, true);
        }
        for anomaly in other.header.anomalies.iter().filter(|anomaly| anomaly.key == name) {
            name_it(Naming::Reports, anomaly.sha256 == Some(entry.sha256));
        }
    }
    named_by.sort_by_key(|neighbour| (neighbour.made, neighbour.how));
    Some(Custody {
        evidence: worth.clone(),
        record: key.clone(),
        sha256: entry.sha256,
        function: key.function.clone(),
        session: header.session.id.clone(),
        session_key: header.session.key.fingerprint(),
        seq: header.session.seq,
        prev: header.session.prev,
        lost: header.session.lost.clone(),
        vouched: entry.vouched.clone(),
        made: header.time,
        stored: entry.stored,
        sealed: entry.sealed,
        incident: header.incident.clone(),
        signal: header.signal.clone(),
        answers: header.answers.clone(),
        named_by,
        faults: worth.faults.iter().filter(|fault| fault.object == clean(&name)).cloned().collect(),
        accesses: None,
        beyond_the_records: BEYOND,
    })
}

impl Custody {
    /// The same, with what a trail says of the record.
    #[must_use]
    pub fn with(mut self, accesses: Accesses) -> Self {
        self.accesses = Some(accesses);
        self.beyond_the_records = BEYOND_THE_TRAIL;
        self
    }

    /// Whether a trail shows something that should not have happened to the record.
    #[must_use]
    pub fn has_findings(&self) -> bool {
        self.accesses.as_ref().is_some_and(|accesses| !accesses.findings.is_empty())
    }

    /// For a terminal.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = self.evidence.text();
        let mut fact = |name: &str, value: String| {
            let line = format!("{name:<15} {value}");
            let _infallible = writeln!(out, "{}", line.trim_end());
        };
        fact("", String::new());
        fact("record", self.record.to_string());
        fact("sha256", self.sha256.to_string());
        for fault in &self.faults {
            fact("found at it", fault.to_string());
        }
        fact("written by", format!("{}, session {}, number {}", self.function, self.session, self.seq));
        fact("session key", self.session_key.to_string());
        match &self.vouched {
            Some(vouched) => {
                let code = vouched.code_sha256.map_or_else(|| "not stated".to_owned(), |code| code.to_string());
                fact("vouched for by", format!("key {}", vouched.endorser));
                fact("", format!("for records from {} to {}", vouched.not_before, vouched.not_after));
                fact("code, claimed", code);
            }
            None => fact("vouched for by", "nobody: no key endorsed its session when it was made".to_owned()),
        }
        fact("made", format!("{} (function's clock)", self.made));
        fact(
            "stored",
            self.stored.map_or_else(|| "not known: no list of versions".to_owned(), |time| format!("{time} (store's clock)")),
        );
        fact(
            "sealed",
            match &self.sealed {
                Some(Sealed { index, batch, time }) => format!("{time} (sealer's clock), leaf {index}, batch {batch}"),
                None => "not in a sealed log, as far as was given".to_owned(),
            },
        );
        fact("incident", self.incident.as_ref().map_or_else(|| "none".to_owned(), ToString::to_string));
        fact("caused by", format!("signal {}", self.signal));
        fact(
            "after",
            self.prev.map_or_else(|| "nothing: the first of its session".to_owned(), |prev| format!("the object {prev}")),
        );
        if !self.lost.is_empty() {
            fact("lost before it", self.lost.iter().map(u64::to_string).collect::<Vec<_>>().join(", "));
        }
        if let Some(link) = &self.answers {
            fact("answers", format!("{} ({})", link.key, link.sha256));
        }
        if self.named_by.is_empty() {
            fact("named by", "no record here".to_owned());
        }
        for neighbour in &self.named_by {
            let how = match neighbour.how {
                Naming::Answers => "answered by",
                Naming::ChainsTo => "chained to by",
                Naming::Reports => "reported by",
            };
            let fits = if neighbour.digest_fits { "" } else { ", with ANOTHER digest" };
            fact(how, format!("{}, made {}{fits}", neighbour.key, neighbour.made));
        }
        fact("not here", self.beyond_the_records.to_owned());
        if let Some(accesses) = &self.accesses {
            out.push_str(&accesses.text());
        }
        out
    }
}
