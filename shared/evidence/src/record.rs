//! What a record says of itself. The verifier reads the header and nothing else: a predicate's body is its function's own business.

use std::fmt;
use std::str::FromStr;

use ids::{FunctionName, Hasher, IncidentId, RuleName, SessionId, Sha256, SignalId, Timestamp};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::blob::{BLOB_LIST_TYPE, BlobKey};
use crate::dsse::{Bundle, DsseError, Envelope, IN_TOTO_TYPE};
use crate::endorsement::{Check, PublicKey};

/// What a record is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A whole plan, durable before its first change.
    Intent,
    /// What became of an intent, as it was read back.
    Outcome,
    /// A signal on which nothing was changed, and the rule that says so.
    Decision,
    /// An event that was not understood or not admitted.
    Refusal,
}

impl Kind {
    /// The kind as keys and predicate types spell it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Intent => "intent",
            Self::Outcome => "outcome",
            Self::Decision => "decision",
            Self::Refusal => "refusal",
        }
    }

    fn predicate_type(self) -> String {
        format!("urn:cordon:evidence:{}:v1", self.as_str())
    }
}

impl FromStr for Kind {
    type Err = ParseKeyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::Intent, Self::Outcome, Self::Decision, Self::Refusal].into_iter().find(|k| k.as_str() == text).ok_or(ParseKeyError)
    }
}

/// A record's identity: derived from its cause, so that a retry or a duplicate finds its own work. 32 hex digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RecordId(String);

impl RecordId {
    /// The id of what `function` has to say about `signal` in `incident`.
    #[must_use]
    pub fn derive(function: &FunctionName, incident: Option<&IncidentId>, signal: &SignalId) -> Self {
        let incident = incident.map_or("", IncidentId::as_str);
        let digest = Hasher::new("cordon/record/v1").part(function.as_str()).part(incident).part(signal.as_str()).finish();
        Self(digest.prefix(16))
    }
}

impl fmt::Display for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Where a record lives: `rec/<function>/YYYY/MM/DD/HH/mm/<id>.<attempt>-<kind>.json`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RecordKey {
    /// The function that may write under this prefix.
    pub function: FunctionName,
    minute: String,
    /// The record's identity.
    pub id: RecordId,
    /// 1 and up: a later pass, or a place beside one that was taken.
    pub attempt: u32,
    /// What the record is for.
    pub kind: Kind,
}

/// A string that is not a record's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("not a record's key (rec/FUNCTION/YYYY/MM/DD/HH/mm/ID.ATTEMPT-KIND.json)")]
pub struct ParseKeyError;

impl RecordKey {
    /// The key of attempt 1 or later; `first_claimed` decides the minute, so that a retry computes the same key.
    #[must_use]
    pub fn new(function: FunctionName, first_claimed: Timestamp, id: RecordId, attempt: u32, kind: Kind) -> Self {
        Self { function, minute: first_claimed.minute_path(), id, attempt, kind }
    }

    /// The same record at another attempt or of another kind.
    #[must_use]
    pub fn sibling(&self, attempt: u32, kind: Kind) -> Self {
        Self { attempt, kind, ..self.clone() }
    }

    /// Whether both are about the same cause: all but attempt and kind is equal.
    #[must_use]
    pub fn is_sibling(&self, other: &Self) -> bool {
        (&self.function, &self.minute, &self.id) == (&other.function, &other.minute, &other.id)
    }

    /// When its cause was first claimed, to the minute; none if the key's digits are no date.
    #[must_use]
    pub fn first_claimed(&self) -> Option<Timestamp> {
        let [year, month, day, hour, minute] = self.minute.split('/').collect::<Vec<_>>().try_into().ok()?;
        format!("{year}-{month}-{day}T{hour}:{minute}:00Z").parse().ok()
    }

    /// `YYYY/MM/DD/HH/mm`: the same, as the key has it.
    #[must_use]
    pub fn minute(&self) -> &str {
        &self.minute
    }
}

impl fmt::Display for RecordKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { function, minute, id, attempt, kind } = self;
        write!(f, "rec/{function}/{minute}/{id}.{attempt}-{}.json", kind.as_str())
    }
}

impl FromStr for RecordKey {
    type Err = ParseKeyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts: Vec<&str> = text.split('/').collect();
        let ["rec", function, year, month, day, hour, minute, name] = parts.as_slice() else { return Err(ParseKeyError) };
        let time = [(year, 4), (month, 2), (day, 2), (hour, 2), (minute, 2)];
        if time.iter().any(|(part, len)| part.len() != *len || !part.bytes().all(|b| b.is_ascii_digit())) {
            return Err(ParseKeyError);
        }
        let (id, rest) = name.strip_suffix(".json").and_then(|n| n.split_once('.')).ok_or(ParseKeyError)?;
        let (attempt, kind) = rest.split_once('-').ok_or(ParseKeyError)?;
        let key = Self {
            function: function.parse().map_err(|_| ParseKeyError)?,
            minute: [*year, *month, *day, *hour, *minute].join("/"),
            id: RecordId(id.to_owned()),
            attempt: attempt.parse().map_err(|_| ParseKeyError)?,
            kind: kind.parse()?,
        };
        let hex = id.len() == 32 && id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        // Writing it again catches what parsing forgives: `+1`, `01`.
        if hex && key.attempt > 0 && key.to_string() == text { Ok(key) } else { Err(ParseKeyError) }
    }
}

impl TryFrom<String> for RecordKey {
    type Error = ParseKeyError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<RecordKey> for String {
    fn from(key: RecordKey) -> Self {
        key.to_string()
    }
}

/// A pointer that cannot be bent: a record's key and the digest of its object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// Where it is.
    pub key: RecordKey,
    /// SHA-256 of the stored object.
    pub sha256: Sha256,
}

/// A control that the record is evidence for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Control {
    /// The catalogue: `NIST SP 800-53 Rev. 5`.
    pub framework: String,
    /// The control in it: `IR-4(1)`.
    pub id: String,
}

/// Something found in the evidence store that should not be there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Anomaly {
    /// Which object.
    pub key: String,
    /// Its digest, where it could be read.
    pub sha256: Option<Sha256>,
    /// What is wrong with it, in Cordon's words.
    pub reason: String,
}

/// The place of a record in its session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionPart {
    /// The session.
    pub id: SessionId,
    /// The key that signs in this session.
    pub key: PublicKey,
    /// 1 for the session's first record, then one more each.
    pub seq: u64,
    /// Digest of the newest earlier object of this session that is known to be durable; none for the first.
    pub prev: Option<Sha256>,
    /// Numbers between that one and this whose write failed, so that a gap means something.
    pub lost: Vec<u64>,
}

/// What every record says, whatever its function.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Where this record belongs. A copy anywhere else is a replay.
    pub key: RecordKey,
    /// The incident, where there is one.
    pub incident: Option<IncidentId>,
    /// What caused it.
    pub signal: SignalId,
    /// When it was made.
    pub time: Timestamp,
    /// The intent that an outcome answers.
    pub answers: Option<Link>,
    /// When an intent's outcome is due; past it, the intent is an orphan.
    pub due: Option<Timestamp>,
    /// Digest of the playbook in force.
    pub playbook: Sha256,
    /// The rule that decided.
    pub rule: Option<RuleName>,
    /// The controls that this is evidence for.
    pub controls: Vec<Control>,
    /// What was found wrong in the store on the way.
    pub anomalies: Vec<Anomaly>,
    /// Its place in its session.
    pub session: SessionPart,
}

/// A thing that the statement is about, by digest (in-toto `ResourceDescriptor`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// What it is called.
    pub name: String,
    /// Its SHA-256.
    pub digest: Digest,
    /// What kind of bytes it is, where a reader has to know.
    #[serde(rename = "mediaType", default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
}

/// in-toto's digest set, with the one algorithm used here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digest {
    /// SHA-256.
    pub sha256: Sha256,
}

impl Subject {
    /// The subject called `name` with this digest.
    #[must_use]
    pub fn new(name: impl Into<String>, sha256: Sha256) -> Self {
        Self { name: name.into(), digest: Digest { sha256 }, media_type: None }
    }

    /// A blob that is stored beside the record, under its own digest.
    #[must_use]
    pub fn blob(sha256: Sha256) -> Self {
        Self::new(BlobKey::new(sha256).to_string(), sha256)
    }

    /// A stored list of blobs, each of which is thereby named too.
    #[must_use]
    pub fn blob_list(sha256: Sha256) -> Self {
        Self { media_type: Some(BLOB_LIST_TYPE.to_owned()), ..Self::blob(sha256) }
    }
}

/// The predicate: header, endorsement, and the function's own body.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Predicate<B> {
    /// What every record says.
    pub record: Header,
    /// Who vouches for the session's key; none if KMS could not be asked, and then the record is *degraded*.
    pub endorsement: Option<Envelope>,
    /// The function's own part: opaque to the verifier.
    pub body: B,
}

/// An in-toto Statement v1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Statement<B> {
    /// Always in-toto's statement type.
    #[serde(rename = "_type")]
    pub kind: String,
    /// What it is about.
    pub subject: Vec<Subject>,
    /// `urn:cordon:evidence:<kind>:v1`.
    #[serde(rename = "predicateType")]
    pub predicate_type: String,
    /// What it says.
    pub predicate: Predicate<B>,
}

pub(crate) const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";

impl<B> Statement<B> {
    pub(crate) fn new(subject: Vec<Subject>, predicate: Predicate<B>) -> Self {
        let predicate_type = predicate.record.key.kind.predicate_type();
        Self { kind: STATEMENT_TYPE.to_owned(), subject, predicate_type, predicate }
    }
}

/// A record that was read back: its statement, and the digest of the object it came from.
pub type Record<B> = (Statement<B>, Sha256);

/// Why an object is not the record it should be.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RecordError {
    /// The bundle or its signature does not hold.
    #[error(transparent)]
    Dsse(#[from] DsseError),
    /// The payload is not a statement of ours.
    #[error("the signed payload is not a Cordon statement")]
    NotAStatement,
    /// The statement belongs under another key.
    #[error("it belongs at `{0}`: a replay, or a copy under another name")]
    Elsewhere(Box<RecordKey>),
}

/// Opens an object found at `key`: form, signature by the session's key, and place. Trust in that key is not decided here.
///
/// # Errors
/// If the bytes are not a bundle in its one form, not signed by the session's key, or not the record of this key.
pub fn open<B: for<'de> Deserialize<'de>>(key: &RecordKey, bytes: &[u8]) -> Result<Record<B>, RecordError> {
    open_by(key, bytes, PublicKey::signed)
}

/// The same, with another implementation of the signature's check.
///
/// # Errors
/// As [`open`].
pub fn open_by<B: for<'de> Deserialize<'de>>(key: &RecordKey, bytes: &[u8], check: Check) -> Result<Record<B>, RecordError> {
    let bundle = Bundle::parse(bytes)?;
    let claimed = bundle.envelope().payload()?;
    let statement: Statement<B> = serde_json::from_slice(&claimed).map_err(|_| RecordError::NotAStatement)?;
    bundle.envelope().verify_by(IN_TOTO_TYPE, &statement.predicate.record.session.key, check)?;
    let record = &statement.predicate.record;
    if statement.kind != STATEMENT_TYPE || statement.predicate_type != record.key.kind.predicate_type() {
        return Err(RecordError::NotAStatement);
    }
    if record.key != *key {
        return Err(RecordError::Elsewhere(Box::new(record.key.clone())));
    }
    Ok((statement, Sha256::of(bytes)))
}
