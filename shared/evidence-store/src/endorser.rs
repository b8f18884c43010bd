//! The KMS signature that vouches for a session.

use std::time::Duration;

use aws_sdk_kms::Client;
use aws_sdk_kms::error::{DisplayErrorContext, ProvideErrorMetadata as _};
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::{MessageType, SigningAlgorithmSpec};
use aws_types::SdkConfig;
use calls::CallLog;
use evidence::{Endorsement, PublicKey, dsse};
use ids::{FunctionName, SessionId, Sha256, Timestamp};

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
}

/// The function's own KMS key.
#[derive(Debug, Clone)]
pub struct KmsEndorser {
    client: Client,
    key: String,
}

impl KmsEndorser {
    /// The endorser behind the KMS key `key` (an ARN).
    #[must_use]
    pub fn new(config: &SdkConfig, calls: CallLog, key: String) -> Self {
        let config = aws_sdk_kms::config::Builder::from(config).interceptor(calls).build();
        Self { client: Client::from_conf(config), key }
    }

    /// Asks KMS to vouch for a session until twelve hours from `now`. `code` finds out the SHA-256 of the running program, if that can
    /// be read; it is awaited beside KMS's first answer.
    ///
    /// # Errors
    /// If KMS does not answer, refuses, or answers with what is not a signature by its own key.
    pub async fn endorse(
        &self,
        what: &Endorse,
        code: impl Future<Output = Option<Sha256>>,
        now: Timestamp,
    ) -> Result<(dsse::Envelope, Timestamp), StoreError> {
        let not_after = now.plus(VALID);
        let (endorser, code_sha256) = futures_util::future::join(self.public_key(), code).await;
        let endorser = endorser?;
        let endorsement = Endorsement {
            session: what.session.clone(),
            session_key: what.session_key.clone(),
            function: what.function.clone(),
            code_sha256,
            not_before: now,
            not_after,
            endorser,
        };
        let doing = "have the session's key endorsed";
        let odd = |cause: &str| StoreError { doing, cause: cause.to_owned(), passes: false };
        let unsigned = endorsement.prepare().map_err(|_| odd("it does not serialise"))?;
        let answer = self
            .client
            .sign()
            .key_id(&self.key)
            .signing_algorithm(SigningAlgorithmSpec::EcdsaSha256)
            .message_type(MessageType::Digest)
            .message(Blob::new(unsigned.digest().as_bytes()))
            .send()
            .await
            .map_err(|error| StoreError {
                doing,
                cause: error.code().map_or_else(|| DisplayErrorContext(&error).to_string(), str::to_owned),
                passes: true,
            })?;
        let signature = answer.signature.ok_or_else(|| odd("KMS sent no signature"))?;
        let envelope = unsigned.finish(signature.as_ref()).map_err(|_| odd("KMS's signature does not fit its own public key"))?;
        Ok((envelope, not_after))
    }

    async fn public_key(&self) -> Result<PublicKey, StoreError> {
        let doing = "read the signing key's public half";
        let answer = self.client.get_public_key().key_id(&self.key).send().await.map_err(|error| StoreError {
            doing,
            cause: error.code().map_or_else(|| DisplayErrorContext(&error).to_string(), str::to_owned),
            passes: true,
        })?;
        let der = answer.public_key.ok_or_else(|| StoreError { doing, cause: "KMS sent none".to_owned(), passes: false })?;
        PublicKey::from_der(der.as_ref()).map_err(|error| StoreError { doing, cause: error.to_string(), passes: false })
    }
}
