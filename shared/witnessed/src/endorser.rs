//! Who vouches for a run's session key.

use evidence::dsse::Envelope;
use evidence_store::{Endorse, KmsEndorser, LocalEndorser, StoreError};
use ids::Timestamp;

/// Who vouches for a run.
#[derive(Debug)]
pub enum Endorser {
    /// Nobody: the records are *degraded*.
    Nobody,
    /// The responder's own key, from a file.
    Key(Box<LocalEndorser>),
    /// The responder's own KMS key: CloudTrail then names who asked for the signature.
    Kms(KmsEndorser),
}

impl Endorser {
    /// The endorsement of a session from `now`, and when it lapses; none from nobody.
    ///
    /// # Errors
    /// If there is a key and it does not sign.
    pub async fn endorse(&self, what: &Endorse, now: Timestamp) -> Result<Option<(Envelope, Timestamp)>, StoreError> {
        match self {
            Self::Nobody => Ok(None),
            Self::Key(key) => key.endorse(what, now).map(Some),
            Self::Kms(key) => key.endorse(what, now).await.map(Some),
        }
    }
}
