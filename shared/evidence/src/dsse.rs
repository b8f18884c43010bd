//! DSSE envelopes (secure-systems-lab/dsse, protocol v1) and the Sigstore bundle v0.3 around them.
//!
//! A bundle has exactly one form on disk. [`Bundle::parse`] refuses every other, so that no byte of an object is outside the check:
//! what the signature does not cover, the form does.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::endorsement::{Check, PublicKey};

/// The media type of a bundle (sigstore/protobuf-specs, `sigstore_bundle.proto`).
pub const BUNDLE_TYPE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
/// The payload type of an in-toto Statement (in-toto/attestation, `spec/v1/envelope.md`).
pub const IN_TOTO_TYPE: &str = "application/vnd.in-toto+json";

/// Why an envelope or a bundle is not believed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DsseError {
    /// Not JSON, or not the fields that a bundle has.
    #[error("not a Sigstore v0.3 bundle with one DSSE signature")]
    NotABundle,
    /// The same content in another spelling: other spacing, order, escapes or base64.
    #[error("not in the exact form it is written in: a byte outside the signed payload was changed")]
    OtherForm,
    /// The payload type is not the one expected here.
    #[error("the payload type is not `{0}`")]
    PayloadType(&'static str),
    /// The key named is not the key that is claimed to have signed.
    #[error("the key id does not belong to the signing key")]
    KeyId,
    /// The signature does not fit the payload.
    #[error("the signature does not fit the content")]
    Signature,
}

/// A payload and its one signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Envelope {
    payload: String,
    #[serde(rename = "payloadType")]
    payload_type: String,
    signatures: [EnvelopeSignature; 1],
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EnvelopeSignature {
    sig: String,
    keyid: String,
}

/// The bytes that are signed: DSSE's pre-authentication encoding.
#[must_use]
pub fn pae(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let mut bytes = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len()).into_bytes();
    bytes.extend_from_slice(payload);
    bytes
}

impl Envelope {
    /// Signs `payload` with a key held in memory (deterministic ECDSA, RFC 6979).
    #[must_use]
    pub fn sign(payload_type: &str, payload: &[u8], key: &SigningKey, public: &PublicKey) -> Self {
        let signature: Signature = key.sign(&pae(payload_type, payload));
        Self::assemble(payload_type, payload, signature.to_der().as_bytes(), public)
    }

    /// An envelope whose signature was made elsewhere, such as by KMS. `signature` is ASN.1 DER.
    #[must_use]
    pub fn assemble(payload_type: &str, payload: &[u8], signature: &[u8], public: &PublicKey) -> Self {
        Self {
            payload: STANDARD.encode(payload),
            payload_type: payload_type.to_owned(),
            signatures: [EnvelopeSignature { sig: STANDARD.encode(signature), keyid: public.hint() }],
        }
    }

    /// The payload as it was written, not yet believed.
    ///
    /// # Errors
    /// [`DsseError::OtherForm`] if it is not base64 in its one canonical form.
    pub fn payload(&self) -> Result<Vec<u8>, DsseError> {
        STANDARD.decode(&self.payload).map_err(|_| DsseError::OtherForm)
    }

    /// The payload, once `key` is shown to have signed it as `payload_type`.
    ///
    /// # Errors
    /// Any [`DsseError`] but [`DsseError::NotABundle`].
    pub fn verify(&self, payload_type: &'static str, key: &PublicKey) -> Result<Vec<u8>, DsseError> {
        self.verify_by(payload_type, key, PublicKey::signed)
    }

    /// The same, with another implementation of the signature's check.
    ///
    /// # Errors
    /// As [`Envelope::verify`].
    pub fn verify_by(&self, payload_type: &'static str, key: &PublicKey, check: Check) -> Result<Vec<u8>, DsseError> {
        if self.payload_type != payload_type {
            return Err(DsseError::PayloadType(payload_type));
        }
        let [signature] = &self.signatures;
        if signature.keyid != key.hint() {
            return Err(DsseError::KeyId);
        }
        let payload = self.payload()?;
        let bytes = STANDARD.decode(&signature.sig).map_err(|_| DsseError::OtherForm)?;
        if check(key, &pae(payload_type, &payload), &bytes) { Ok(payload) } else { Err(DsseError::Signature) }
    }
}

/// The object that is stored: a Sigstore bundle whose key is known by a hint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bundle {
    #[serde(rename = "mediaType")]
    media_type: String,
    #[serde(rename = "verificationMaterial")]
    material: Material,
    #[serde(rename = "dsseEnvelope")]
    envelope: Envelope,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Material {
    #[serde(rename = "publicKey")]
    public_key: Hint,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Hint {
    hint: String,
}

impl Bundle {
    /// Wraps `envelope`; the hint is the envelope's own key id, as the bundle format demands.
    #[must_use]
    pub fn new(envelope: Envelope) -> Self {
        let hint = envelope.signatures[0].keyid.clone();
        Self { media_type: BUNDLE_TYPE.to_owned(), material: Material { public_key: Hint { hint } }, envelope }
    }

    /// The envelope inside.
    #[must_use]
    pub fn envelope(&self) -> &Envelope {
        &self.envelope
    }

    /// The bundle's one form: compact JSON, fields in this order.
    ///
    /// # Errors
    /// None that is known; `serde_json` has the type.
    pub fn to_bytes(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }

    /// Reads a bundle, in its one form only.
    ///
    /// # Errors
    /// [`DsseError::NotABundle`], or [`DsseError::OtherForm`] when writing it again gives other bytes.
    pub fn parse(bytes: &[u8]) -> Result<Self, DsseError> {
        let bundle: Self = serde_json::from_slice(bytes).map_err(|_| DsseError::NotABundle)?;
        if bundle.media_type != BUNDLE_TYPE {
            return Err(DsseError::NotABundle);
        }
        let same_hint = bundle.material.public_key.hint == bundle.envelope.signatures[0].keyid;
        if !same_hint || bundle.to_bytes().ok().as_deref() != Some(bytes) {
            return Err(DsseError::OtherForm);
        }
        Ok(bundle)
    }
}
