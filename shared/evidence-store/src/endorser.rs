//! The signature that vouches for a session: by a function's KMS key, or by a responder's own key file.

use std::fmt;
use std::time::Duration;

use aws_types::SdkConfig;
use calls::CallLog;
use evidence::{Endorsement, PublicKey, Secret, dsse};
use ids::{FunctionName, SessionId, Sha256, Timestamp};
use p256::ecdsa::signature::hazmat::PrehashSigner as _;
use p256::ecdsa::{Signature, SigningKey};
use p256::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _, LineEnding};
use thiserror::Error;

use crate::kms::KmsKey;
use crate::worm::StoreError;

/// How long an endorsement holds.
const VALID: Duration = Duration::from_secs(12 * 3600);

/// What is to be endorsed.
#[derive(Debug, Clone)]
pub struct Endorse {
    /// The session.
    pub session: SessionId,
    /// Its key.
    pub session_key: PublicKey,
    /// The function.
    pub function: FunctionName,
    /// SHA-256 of the running program, if it could be read.
    pub code_sha256: Option<Sha256>,
}

impl Endorse {
    /// The endorsement that the key `endorser` is to sign, valid for twelve hours from `now`.
    fn by(&self, endorser: PublicKey, now: Timestamp) -> Endorsement {
        Endorsement {
            session: self.session.clone(),
            session_key: self.session_key.clone(),
            function: self.function.clone(),
            code_sha256: self.code_sha256,
            not_before: now,
            not_after: now.plus(VALID),
            endorser,
        }
    }
}

/// What fails when an endorsement cannot be had.
const ENDORSING: &str = "have the session's key endorsed";

fn odd(cause: &str) -> StoreError {
    StoreError { doing: ENDORSING, cause: cause.to_owned(), passes: false }
}

/// A responder's own P-256 key, held in memory: it vouches for a session as a function's KMS key does.
pub struct LocalEndorser {
    key: SigningKey,
    public: PublicKey,
}

/// Text that is no private key to endorse with.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("not a P-256 private key in PKCS#8 PEM (`-----BEGIN PRIVATE KEY-----`)")]
pub struct LocalKeyError;

impl LocalEndorser {
    /// The endorser with this private key, in PKCS#8 PEM.
    ///
    /// # Errors
    /// If the text is anything else. The error does not repeat it.
    pub fn from_pem(pem: &str) -> Result<Self, LocalKeyError> {
        Self::new(SigningKey::from_pkcs8_pem(pem).map_err(|_| LocalKeyError)?)
    }

    /// The endorser with this private key.
    ///
    /// # Errors
    /// None that is known; the key encoder has the type.
    pub fn new(key: SigningKey) -> Result<Self, LocalKeyError> {
        let public = PublicKey::of(key.verifying_key()).map_err(|_| LocalKeyError)?;
        Ok(Self { key, public })
    }

    /// The private key in PKCS#8 PEM, to be written to a file that its owner alone can read.
    ///
    /// # Errors
    /// None that is known; the key encoder has the type.
    pub fn to_pem(&self) -> Result<Secret<String>, LocalKeyError> {
        self.key.to_pkcs8_pem(LineEnding::LF).map(|pem| Secret::new(pem.to_string())).map_err(|_| LocalKeyError)
    }

    /// The public half, whose fingerprint `verify --root` takes.
    #[must_use]
    pub fn public_key(&self) -> &PublicKey {
        &self.public
    }

    /// A signature over `digest`, in ASN.1 DER (deterministic ECDSA, RFC 6979).
    ///
    /// # Errors
    /// None that is known; the signer has the type.
    pub fn sign(&self, digest: &Sha256) -> Result<Vec<u8>, LocalKeyError> {
        let signature: Signature = self.key.sign_prehash(digest.as_bytes()).map_err(|_| LocalKeyError)?;
        Ok(signature.to_der().as_bytes().to_vec())
    }

    /// Vouches for a session until twelve hours from `now`.
    ///
    /// # Errors
    /// None that is known; the encoder has the type.
    pub fn endorse(&self, what: &Endorse, now: Timestamp) -> Result<(dsse::Envelope, Timestamp), StoreError> {
        let endorsement = what.by(self.public.clone(), now);
        let unsigned = endorsement.prepare().map_err(|_| odd("it does not serialise"))?;
        let signature = self.sign(&unsigned.digest()).map_err(|_| odd("the key does not sign"))?;
        let envelope = unsigned.finish(&signature).map_err(|_| odd("the signature does not fit its own key"))?;
        Ok((envelope, endorsement.not_after))
    }
}

impl fmt::Debug for LocalEndorser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LocalEndorser({:?})", self.public)
    }
}

/// The function's own KMS key.
#[derive(Debug, Clone)]
pub struct KmsEndorser(KmsKey);

impl KmsEndorser {
    /// The endorser behind the KMS key `key` (an ARN).
    #[must_use]
    pub fn new(config: &SdkConfig, calls: CallLog, key: String) -> Self {
        Self(KmsKey::new(config, calls, key))
    }

    /// Asks KMS to vouch for a session until twelve hours from `now`.
    ///
    /// # Errors
    /// If KMS does not answer, refuses, or answers with what is not a signature by its own key.
    pub async fn endorse(&self, what: &Endorse, now: Timestamp) -> Result<(dsse::Envelope, Timestamp), StoreError> {
        self.endorse_when(std::future::ready(what.clone()), now).await
    }

    /// The same, where it takes a moment to know what is to be endorsed: KMS is asked for its public key meanwhile.
    ///
    /// # Errors
    /// As [`KmsEndorser::endorse`].
    pub async fn endorse_when(
        &self,
        what: impl Future<Output = Endorse>,
        now: Timestamp,
    ) -> Result<(dsse::Envelope, Timestamp), StoreError> {
        let (public, what) = futures_util::future::join(self.0.public_key(), what).await;
        let endorsement = what.by(public?, now);
        let unsigned = endorsement.prepare().map_err(|_| odd("it does not serialise"))?;
        let signature = self.0.sign(ENDORSING, &unsigned.digest()).await?;
        let envelope = unsigned.finish(&signature).map_err(|_| odd("KMS's signature does not fit its own public key"))?;
        Ok((envelope, endorsement.not_after))
    }
}
