//! A secret that only KMS can unwrap.

use aws_sdk_kms::Client;
use aws_sdk_kms::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_kms::primitives::Blob;
use aws_types::SdkConfig;
use calls::{CallLog, cause};
use evidence::Secret;
use ids::IncidentId;

use crate::worm::StoreError;

/// What KMS binds a wrapped secret to, beside the key: whoever unwraps must name the same incident, and CloudTrail shows which it was.
const CONTEXT: &str = "incident";

/// Wraps secrets of an incident with a symmetric KMS key (KMS developer guide, "Encryption context").
#[derive(Debug, Clone)]
pub struct KmsWrap {
    client: Client,
}

impl KmsWrap {
    /// Wrapping by KMS.
    #[must_use]
    pub fn new(config: &SdkConfig, calls: CallLog) -> Self {
        let config = aws_sdk_kms::config::Builder::from(config).interceptor(calls).build();
        Self { client: Client::from_conf(config) }
    }

    /// `secret`, wrapped with `key` (an ARN) for `incident`: at most 4096 bytes.
    ///
    /// # Errors
    /// If KMS does not answer or refuses.
    pub async fn wrap(&self, key: &str, incident: &IncidentId, secret: &Secret<String>) -> Result<Vec<u8>, StoreError> {
        let doing = "wrap the data key with KMS";
        let plain = secret.with(|secret| Blob::new(secret.as_bytes()));
        let call = self.client.encrypt().key_id(key).encryption_context(CONTEXT, incident.as_str()).plaintext(plain);
        let answer = call.send().await.map_err(|error| failed(doing, &error))?;
        let none = || StoreError { doing, cause: "KMS sent none".to_owned(), passes: false };
        Ok(answer.ciphertext_blob.ok_or_else(none)?.into_inner())
    }

    /// What was wrapped with `key` for `incident`.
    ///
    /// # Errors
    /// If KMS does not answer or refuses: another key, another incident, no permission.
    pub async fn unwrap(&self, key: &str, incident: &IncidentId, wrapped: Vec<u8>) -> Result<Secret<String>, StoreError> {
        let doing = "unwrap the data key with KMS";
        let call =
            self.client.decrypt().key_id(key).encryption_context(CONTEXT, incident.as_str()).ciphertext_blob(Blob::new(wrapped));
        let answer = call.send().await.map_err(|error| failed(doing, &error))?;
        let other = || StoreError { doing, cause: "it is no text".to_owned(), passes: false };
        let plain = answer.plaintext.map(Blob::into_inner).unwrap_or_default();
        String::from_utf8(plain).map(Secret::new).map_err(|_| other())
    }
}

fn failed<E>(doing: &'static str, error: &SdkError<E>) -> StoreError
where
    E: std::error::Error + ProvideErrorMetadata + 'static,
{
    StoreError { doing, cause: cause(error), passes: false }
}
