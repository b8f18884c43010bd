//! A key that never leaves KMS: P-256, and for checkpoints Ed25519 beside it.

use aws_sdk_kms::Client;
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::{MessageType, SigningAlgorithmSpec};
use aws_types::SdkConfig;
use calls::{CallLog, cause};
use evidence::PublicKey;
use evidence::log::Ed25519Key;
use ids::Sha256;

use crate::worm::StoreError;

/// A signing key in KMS: `ECC_NIST_P256`, or `ECC_NIST_EDWARDS25519` where a method says so.
#[derive(Debug, Clone)]
pub struct KmsKey {
    client: Client,
    key: String,
}

impl KmsKey {
    /// The KMS key `key` (an ARN).
    #[must_use]
    pub fn new(config: &SdkConfig, calls: CallLog, key: String) -> Self {
        let config = aws_sdk_kms::config::Builder::from(config).interceptor(calls).build();
        Self { client: Client::from_conf(config), key }
    }

    /// The key's public half.
    ///
    /// # Errors
    /// If KMS does not answer, refuses, or answers with another kind of key.
    pub async fn public_key(&self) -> Result<PublicKey, StoreError> {
        let doing = "read the signing key's public half";
        let der = self.public_der(doing).await?;
        PublicKey::from_der(&der).map_err(|error| StoreError { doing, cause: error.to_string(), passes: false })
    }

    /// The public half of a key of the kind `ECC_NIST_EDWARDS25519`.
    ///
    /// # Errors
    /// As [`KmsKey::public_key`].
    pub async fn public_ed25519(&self) -> Result<Ed25519Key, StoreError> {
        let doing = "read the Ed25519 key's public half";
        let der = self.public_der(doing).await?;
        Ed25519Key::from_der(&der).map_err(|error| StoreError { doing, cause: error.to_string(), passes: false })
    }

    async fn public_der(&self, doing: &'static str) -> Result<Vec<u8>, StoreError> {
        let answer = self.client.get_public_key().key_id(&self.key).send().await.map_err(|error| StoreError {
            doing,
            cause: cause(&error),
            passes: true,
        })?;
        let der = answer.public_key.ok_or_else(|| StoreError { doing, cause: "KMS sent none".to_owned(), passes: false })?;
        Ok(der.into_inner())
    }

    /// A signature over `digest`, in ASN.1 DER. Whether it fits is for the caller to check, who knows what is signed.
    ///
    /// # Errors
    /// If KMS does not answer or refuses.
    pub async fn sign(&self, doing: &'static str, digest: &Sha256) -> Result<Vec<u8>, StoreError> {
        self.sign_as(doing, SigningAlgorithmSpec::EcdsaSha256, MessageType::Digest, digest.as_bytes()).await
    }

    /// An Ed25519 signature over `text` itself, of at most 4,096 bytes: KMS hashes it (KMS developer guide, "Key spec reference").
    ///
    /// # Errors
    /// If KMS does not answer or refuses.
    pub async fn sign_ed25519(&self, doing: &'static str, text: &str) -> Result<Vec<u8>, StoreError> {
        self.sign_as(doing, SigningAlgorithmSpec::Ed25519Sha512, MessageType::Raw, text.as_bytes()).await
    }

    async fn sign_as(
        &self,
        doing: &'static str,
        algorithm: SigningAlgorithmSpec,
        kind: MessageType,
        message: &[u8],
    ) -> Result<Vec<u8>, StoreError> {
        let call = self.client.sign().key_id(&self.key).signing_algorithm(algorithm).message_type(kind).message(Blob::new(message));
        let answer = call.send().await.map_err(|error| StoreError { doing, cause: cause(&error), passes: true })?;
        let signature =
            answer.signature.ok_or_else(|| StoreError { doing, cause: "KMS sent no signature".to_owned(), passes: false })?;
        Ok(signature.into_inner())
    }
}
