//! A record as reports see it.

use evidence::{Header, RecordKey, Statement};
use ids::{IncidentId, Sha256, Timestamp};
use serde::Serialize;
use serde_json::Value;

use crate::body::Body;

/// A record's place in the sealed log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Sealed {
    /// Its leaf, from 0.
    pub index: u64,
    /// The batch that it was sealed with.
    pub batch: u64,
    /// When it was sealed, by the sealer's clock.
    pub time: Timestamp,
}

/// What the endorsement inside a record says. That it holds is the verifier's business.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Vouched {
    /// SHA-256 of the endorsing key's DER `SubjectPublicKeyInfo`: a KMS key's, or a responder's own.
    pub endorser: Sha256,
    /// SHA-256 of the program, as it claims.
    pub code_sha256: Option<Sha256>,
    /// From when it covers records.
    pub not_before: Timestamp,
    /// Until when.
    pub not_after: Timestamp,
}

/// A record that was read and verified by someone else. Its body is reduced to what reports use.
#[derive(Debug, Clone)]
pub struct Entry {
    pub(crate) sha256: Sha256,
    pub(crate) stored: Option<Timestamp>,
    pub(crate) sealed: Option<Sealed>,
    pub(crate) header: Header,
    pub(crate) vouched: Option<Vouched>,
    pub(crate) body: Body,
}

impl Entry {
    /// The record `statement`, whose object has the digest `sha256`. `stored` is the store's own time for the object, `sealed` its place in
    /// the log, where there is one.
    #[must_use]
    pub fn new(sha256: Sha256, stored: Option<Timestamp>, sealed: Option<Sealed>, statement: &Statement<Value>) -> Self {
        let predicate = &statement.predicate;
        let claimed = predicate.endorsement.as_ref().and_then(|envelope| envelope.payload().ok());
        let claimed: Option<evidence::Endorsement> = claimed.and_then(|payload| serde_json::from_slice(&payload).ok());
        let vouched = claimed.map(|endorsement| Vouched {
            endorser: endorsement.endorser.fingerprint(),
            code_sha256: endorsement.code_sha256,
            not_before: endorsement.not_before,
            not_after: endorsement.not_after,
        });
        Self { sha256, stored, sealed, header: predicate.record.clone(), vouched, body: Body::of(&predicate.body) }
    }

    /// Gives the record its place in the log.
    pub fn seal(&mut self, place: Option<Sealed>) {
        self.sealed = place;
    }

    /// Where the record lives.
    #[must_use]
    pub fn key(&self) -> &RecordKey {
        &self.header.key
    }

    /// The incident that it belongs to.
    #[must_use]
    pub fn incident(&self) -> Option<&IncidentId> {
        self.header.incident.as_ref()
    }

    pub(crate) fn is(&self, kind: evidence::Kind) -> bool {
        self.header.key.kind == kind
    }
}
