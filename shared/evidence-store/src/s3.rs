//! S3 with Object Lock as a store.

use aws_sdk_s3::Client;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::ByteStream;
use aws_types::SdkConfig;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use calls::{CallLog, cause};
use evidence::{dsse::BUNDLE_TYPE, largest_object};
use ids::Sha256;

use crate::worm::{Created, StoreError, Worm};

/// Evidence in a bucket whose default retention locks every new object in COMPLIANCE mode.
///
/// The retention is the bucket's, not the request's: so the role needs no permission to set one, and cannot choose a shorter one.
/// Every create carries `If-None-Match: *` (S3 user guide, "Conditional writes") and a SHA-256 that S3 computes again and keeps.
#[derive(Debug, Clone)]
pub struct S3 {
    pub(crate) client: Client,
    pub(crate) bucket: String,
}

impl S3 {
    /// The store in `bucket`.
    #[must_use]
    pub fn new(config: &SdkConfig, calls: CallLog, bucket: String) -> Self {
        // Path style where an endpoint is given: an emulator on localhost has no host name for each bucket.
        let local = config.endpoint_url().is_some();
        let config = aws_sdk_s3::config::Builder::from(config).interceptor(calls).force_path_style(local).build();
        Self { client: Client::from_conf(config), bucket }
    }
}

pub(crate) fn failed<E>(doing: &'static str, error: &SdkError<E>) -> StoreError
where
    E: std::error::Error + ProvideErrorMetadata + 'static,
{
    let final_answer = matches!(error.code(), Some("AccessDenied" | "NoSuchBucket" | "InvalidRequest" | "BadDigest"));
    StoreError { doing, cause: cause(error), passes: !final_answer }
}

/// A digest as S3 takes it.
pub(crate) fn checksum(digest: &Sha256) -> String {
    STANDARD.encode(digest.as_bytes())
}

impl S3 {
    pub(crate) async fn create_as(&self, key: &str, bytes: &[u8], content_type: &str) -> Result<Created, StoreError> {
        let answer = self
            .client
            .put_object()
            .bucket(&self.bucket)
            .key(key)
            .if_none_match("*")
            .checksum_sha256(checksum(&Sha256::of(bytes)))
            .content_type(content_type)
            .body(ByteStream::from(bytes.to_vec()))
            .send()
            .await;
        match answer {
            Ok(_) => Ok(Created::New),
            Err(error) if error.code() == Some("PreconditionFailed") => Ok(Created::Existed),
            Err(error) => Err(failed("write the record", &error)),
        }
    }
}

impl Worm for S3 {
    async fn create(&self, key: &str, bytes: &[u8]) -> Result<Created, StoreError> {
        let content_type = if key.starts_with("rec/") { BUNDLE_TYPE } else { "application/octet-stream" };
        self.create_as(key, bytes, content_type).await
    }

    async fn read(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let doing = "read the record";
        let answer = match self.client.get_object().bucket(&self.bucket).key(key).send().await {
            Ok(answer) => answer,
            Err(error) if error.code() == Some("NoSuchKey") => return Ok(None),
            // Without `s3:ListBucket`, which the role does not have, S3 answers a missing key with 403.
            Err(error) if error.code() == Some("AccessDenied") => return Ok(None),
            Err(error) => return Err(failed(doing, &error)),
        };
        let small_enough = |length: i64| usize::try_from(length).is_ok_and(|length| length <= largest_object(key));
        if !answer.content_length().is_some_and(small_enough) {
            return Err(StoreError { doing, cause: "it is larger than any record or blob".to_owned(), passes: false });
        }
        let body = answer.body.collect().await;
        let body = body.map_err(|error| StoreError { doing, cause: error.to_string(), passes: true })?;
        Ok(Some(body.to_vec()))
    }
}
