//! A P-256 key that never leaves KMS.

use aws_sdk_kms::Client;
use aws_sdk_kms::error::{DisplayErrorContext, ProvideErrorMetadata as _};
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::{MessageType, SigningAlgorithmSpec};
use aws_types::SdkConfig;
use calls::CallLog;
use evidence::PublicKey;
use ids::Sha256;

use crate::worm::StoreError;

/// An `ECC_NIST_P256` signing key in KMS.
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
        let answer = self.client.get_public_key().key_id(&self.key).send().await.map_err(|error| StoreError {
            doing,
            cause: error.code().map_or_else(|| DisplayErrorContext(&error).to_string(), str::to_owned),
            passes: true,
        })?;
        let der = answer.public_key.ok_or_else(|| StoreError { doing, cause: "KMS sent none".to_owned(), passes: false })?;
        PublicKey::from_der(der.as_ref()).map_err(|error| StoreError { doing, cause: error.to_string(), passes: false })
    }

    /// A signature over `digest`, in ASN.1 DER. Whether it fits is for the caller to check, who knows what is signed.
    ///
    /// # Errors
    /// If KMS does not answer or refuses.
    pub async fn sign(&self, doing: &'static str, digest: &Sha256) -> Result<Vec<u8>, StoreError> {
        let answer = self
            .client
            .sign()
            .key_id(&self.key)
            .signing_algorithm(SigningAlgorithmSpec::EcdsaSha256)
            .message_type(MessageType::Digest)
            .message(Blob::new(digest.as_bytes()))
            .send()
            .await
            .map_err(|error| StoreError {
                doing,
                cause: error.code().map_or_else(|| DisplayErrorContext(&error).to_string(), str::to_owned),
                passes: true,
            })?;
        let signature =
            answer.signature.ok_or_else(|| StoreError { doing, cause: "KMS sent no signature".to_owned(), passes: false })?;
        Ok(signature.into_inner())
    }
}
