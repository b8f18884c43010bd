//! Who vouches for a session's key: one signature by the function's own KMS key.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ids::{FunctionName, SessionId, Sha256, Timestamp};
use p256::ecdsa::signature::Verifier as _;
use p256::ecdsa::{Signature, VerifyingKey};
use p256::pkcs8::{DecodePublicKey as _, EncodePublicKey as _};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::dsse::{DsseError, Envelope, pae};

/// The DSSE payload type of an endorsement.
pub const ENDORSEMENT_TYPE: &str = "application/vnd.cordon.endorsement.v1+json";

/// A P-256 public key; as text, the base64 of its DER `SubjectPublicKeyInfo` (RFC 5480).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PublicKey {
    der: Vec<u8>,
    key: VerifyingKey,
}

/// Whether a key signed a message (ECDSA with SHA-256); the signature is ASN.1 DER. There is [`PublicKey::signed`], which needs nothing but
/// Rust; who verifies by the hundred thousand may bring a faster one.
pub type Check = fn(&PublicKey, message: &[u8], signature: &[u8]) -> bool;

/// Bytes that are no P-256 public key.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("not a P-256 public key (SubjectPublicKeyInfo in DER or PEM)")]
pub struct PublicKeyError;

impl PublicKey {
    /// The key in `der`, as `kms:GetPublicKey` returns it.
    ///
    /// # Errors
    /// If it is another kind of key, or not in DER's one form.
    pub fn from_der(der: &[u8]) -> Result<Self, PublicKeyError> {
        let key = VerifyingKey::from_public_key_der(der).map_err(|_| PublicKeyError)?;
        let public = Self::of(&key)?;
        if public.der == der { Ok(public) } else { Err(PublicKeyError) }
    }

    /// The key in `pem`, as `openssl pkey -pubout` writes it.
    ///
    /// # Errors
    /// If it is another kind of key, or anything else.
    pub fn from_pem(pem: &str) -> Result<Self, PublicKeyError> {
        Self::of(&VerifyingKey::from_public_key_pem(pem).map_err(|_| PublicKeyError)?)
    }

    /// The key of a verifier held in memory.
    ///
    /// # Errors
    /// None that is known; the encoder has the type.
    pub fn of(key: &VerifyingKey) -> Result<Self, PublicKeyError> {
        let der = key.to_public_key_der().map_err(|_| PublicKeyError)?.as_bytes().to_vec();
        Ok(Self { der, key: *key })
    }

    /// SHA-256 of the DER form: what `--root` takes, and what `openssl pkey -pubin -outform DER | sha256sum` prints.
    #[must_use]
    pub fn fingerprint(&self) -> Sha256 {
        Sha256::of(&self.der)
    }

    /// The same digest in base64: how Sigstore names a key in a bundle.
    #[must_use]
    pub fn hint(&self) -> String {
        STANDARD.encode(self.fingerprint().as_bytes())
    }

    /// The DER form.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// Whether this key signed `message`: a [`Check`].
    #[must_use]
    pub fn signed(&self, message: &[u8], signature: &[u8]) -> bool {
        Signature::from_der(signature).is_ok_and(|signature| self.key.verify(message, &signature).is_ok())
    }

    pub(crate) fn verifying(&self) -> &VerifyingKey {
        &self.key
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.fingerprint())
    }
}

impl FromStr for PublicKey {
    type Err = PublicKeyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::from_der(&STANDARD.decode(text).map_err(|_| PublicKeyError)?)
    }
}

impl TryFrom<String> for PublicKey {
    type Error = PublicKeyError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<PublicKey> for String {
    fn from(key: PublicKey) -> Self {
        STANDARD.encode(&key.der)
    }
}

/// What the function's KMS key signs, once per session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Endorsement {
    /// The session whose key this is.
    pub session: SessionId,
    /// The session's public key.
    pub session_key: PublicKey,
    /// The function the session belongs to: a claim, bound by the rule that one KMS key speaks for one function only.
    pub function: FunctionName,
    /// SHA-256 of the running `bootstrap`: a claim, to be compared with the release.
    pub code_sha256: Option<Sha256>,
    /// When the endorsement begins to hold.
    pub not_before: Timestamp,
    /// When it lapses: records made later are not covered.
    pub not_after: Timestamp,
    /// The KMS key that signs this.
    pub endorser: PublicKey,
}

/// Why an endorsement is not believed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EndorsementError {
    /// The envelope does not hold.
    #[error("the endorsement does not hold: {0}")]
    Envelope(#[from] DsseError),
    /// The signed payload is not an endorsement.
    #[error("the endorsement's payload is not an endorsement")]
    Payload,
}

/// A KMS signature in the making: what to sign, and how to put the answer together.
#[derive(Debug)]
pub struct Endorser {
    payload: Vec<u8>,
    endorser: PublicKey,
}

impl Endorsement {
    /// Prepares the signing of this endorsement.
    ///
    /// # Errors
    /// None that is known; `serde_json` has the type.
    pub fn prepare(&self) -> Result<Endorser, serde_json::Error> {
        Ok(Endorser { payload: serde_json::to_vec(self)?, endorser: self.endorser.clone() })
    }

    /// Reads an endorsement and checks that the key it names signed it. Whether that key is to be trusted is another question.
    ///
    /// # Errors
    /// If the envelope does not hold or the payload is not an endorsement.
    pub fn open(envelope: &Envelope) -> Result<Self, EndorsementError> {
        let claimed: Self = serde_json::from_slice(&envelope.payload()?).map_err(|_| EndorsementError::Payload)?;
        envelope.verify(ENDORSEMENT_TYPE, &claimed.endorser)?;
        Ok(claimed)
    }
}

impl Endorser {
    /// The SHA-256 digest for `kms:Sign` (`MessageType=DIGEST`, `ECDSA_SHA_256`).
    #[must_use]
    pub fn digest(&self) -> Sha256 {
        Sha256::of(&pae(ENDORSEMENT_TYPE, &self.payload))
    }

    /// The finished envelope, with KMS's DER signature.
    ///
    /// # Errors
    /// If the signature is not by the key that the endorsement names.
    pub fn finish(self, signature: &[u8]) -> Result<Envelope, DsseError> {
        let envelope = Envelope::assemble(ENDORSEMENT_TYPE, &self.payload, signature, &self.endorser);
        envelope.verify(ENDORSEMENT_TYPE, &self.endorser)?;
        Ok(envelope)
    }
}
