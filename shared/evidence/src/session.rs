//! Signing in sequence.

use ids::{IncidentId, RuleName, SessionId, Sha256, SignalId, Timestamp};
use p256::ecdsa::SigningKey;
use serde::Serialize;
use thiserror::Error;

use crate::dsse::{Bundle, Envelope, IN_TOTO_TYPE};
use crate::endorsement::{PublicKey, PublicKeyError};
use crate::record::{Anomaly, Control, Header, Link, Predicate, RecordKey, SessionPart, Statement, Subject};

/// What a function has to say, before the session gives it a number and a signature.
#[derive(Debug, Clone)]
pub struct Draft<B> {
    /// Where it will live.
    pub key: RecordKey,
    /// What it is about.
    pub subject: Vec<Subject>,
    /// The incident, where there is one.
    pub incident: Option<IncidentId>,
    /// What caused it.
    pub signal: SignalId,
    /// When it is made.
    pub time: Timestamp,
    /// The intent that it answers.
    pub answers: Option<Link>,
    /// When the outcome is due.
    pub due: Option<Timestamp>,
    /// Digest of the playbook in force.
    pub playbook: Sha256,
    /// The rule that decided.
    pub rule: Option<RuleName>,
    /// Controls it is evidence for.
    pub controls: Vec<Control>,
    /// What was found wrong in the store.
    pub anomalies: Vec<Anomaly>,
    /// The function's own part.
    pub body: B,
}

/// A record ready to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// Where it belongs.
    pub key: RecordKey,
    /// The object.
    pub bytes: Vec<u8>,
    /// SHA-256 of the object.
    pub sha256: Sha256,
    /// Its number in the session.
    pub seq: u64,
}

impl Signed {
    /// The pointer to it.
    #[must_use]
    pub fn link(&self) -> Link {
        Link { key: self.key.clone(), sha256: self.sha256 }
    }
}

/// Why a record could not be made.
#[derive(Debug, Error)]
#[error("could not put the record into JSON")]
pub struct SignError(#[from] serde_json::Error);

/// One process's signing: its key, its count, its chain.
///
/// Not shared: a Lambda environment handles one event at a time. Every number that is signed must be accounted for with
/// [`Session::kept`] or [`Session::lost`] before the next one, or the chain would point at an object nobody has.
pub struct Session {
    id: SessionId,
    key: SigningKey,
    public: PublicKey,
    endorsement: Option<Envelope>,
    next: u64,
    prev: Option<Sha256>,
    lost: Vec<u64>,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("id", &self.id).field("next", &self.next).finish_non_exhaustive()
    }
}

impl Session {
    /// A session around a fresh key. `id` and `key` come from the caller's randomness.
    ///
    /// # Errors
    /// None that is known; the key encoder has the type.
    pub fn new(id: SessionId, key: SigningKey) -> Result<Self, PublicKeyError> {
        let public = PublicKey::of(key.verifying_key())?;
        Ok(Self { id, key, public, endorsement: None, next: 1, prev: None, lost: Vec::new() })
    }

    /// The session's id.
    #[must_use]
    pub fn id(&self) -> &SessionId {
        &self.id
    }

    /// The key that an endorsement has to name.
    #[must_use]
    pub fn public_key(&self) -> &PublicKey {
        &self.public
    }

    /// Embeds `endorsement` into every later record, in place of an older one.
    pub fn endorse(&mut self, endorsement: Envelope) {
        self.endorsement = Some(endorsement);
    }

    /// Leaves the endorsement out of every later record: it has lapsed and no other could be had.
    pub fn lapse(&mut self) {
        self.endorsement = None;
    }

    /// Whether records carry an endorsement.
    #[must_use]
    pub fn endorsed(&self) -> bool {
        self.endorsement.is_some()
    }

    /// Numbers and signs `draft`.
    ///
    /// # Errors
    /// If the body does not serialise; the number is not used up.
    pub fn sign<B: Serialize>(&mut self, draft: Draft<B>) -> Result<Signed, SignError> {
        let seq = self.next;
        let key = draft.key.clone();
        let session = SessionPart { id: self.id.clone(), key: self.public.clone(), seq, prev: self.prev, lost: self.lost.clone() };
        let record = Header {
            key: draft.key,
            incident: draft.incident,
            signal: draft.signal,
            time: draft.time,
            answers: draft.answers,
            due: draft.due,
            playbook: draft.playbook,
            rule: draft.rule,
            controls: draft.controls,
            anomalies: draft.anomalies,
            session,
        };
        let predicate = Predicate { record, endorsement: self.endorsement.clone(), body: draft.body };
        let payload = serde_json::to_vec(&Statement::new(draft.subject, predicate))?;
        let envelope = Envelope::sign(IN_TOTO_TYPE, &payload, &self.key, &self.public);
        let bytes = Bundle::new(envelope).to_bytes()?;
        self.next = seq.saturating_add(1);
        Ok(Signed { key, sha256: Sha256::of(&bytes), bytes, seq })
    }

    /// `signed` is durable: the next record chains to it.
    pub fn kept(&mut self, signed: &Signed) {
        self.prev = Some(signed.sha256);
        self.lost.clear();
    }

    /// `signed` is not durable, as far as is known: the next record declares its number.
    pub fn lost(&mut self, signed: &Signed) {
        self.lost.push(signed.seq);
    }
}
