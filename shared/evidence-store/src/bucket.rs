//! A bucket as those see it who check evidence: every version, and the plain objects of the published tree.

use aws_sdk_s3::error::ProvideErrorMetadata as _;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumMode, DeleteMarkerEntry, ObjectVersion};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use evidence::LARGEST_RECORD;
use ids::{Sha256, Timestamp};

use crate::s3::{S3, checksum, failed};
use crate::worm::{Created, StoreError};

/// One version with its content, and how S3 keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Its content.
    pub bytes: Vec<u8>,
    /// The SHA-256 that S3 computed when it took the object, if it did.
    pub sha256: Option<Sha256>,
    /// Until when nobody can delete it.
    pub retain_until: Option<Timestamp>,
    /// How strictly: `COMPLIANCE`, or less.
    pub mode: Option<String>,
}

/// One version of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The key.
    pub key: String,
    /// S3's name for the version.
    pub version: String,
    /// When S3 took it.
    pub stored: Timestamp,
    /// Whether it is a delete marker, which has no content and hides what is under it.
    pub marker: bool,
    /// Its length in bytes; none for a marker.
    pub size: u64,
}

/// Where a listing goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marker {
    key: String,
    version: Option<String>,
}

impl Marker {
    /// After every key that begins with `prefix`.
    #[must_use]
    pub fn after(prefix: &str) -> Self {
        Self { key: format!("{prefix}\u{10ffff}"), version: None }
    }
}

/// A part of a listing, and where the next one begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// In the order of the keys, the newest version of a key first.
    pub versions: Vec<Listed>,
    /// None at the end.
    pub next: Option<Marker>,
}

impl Listed {
    fn object(found: &ObjectVersion) -> Option<Self> {
        let size = found.size().and_then(|size| u64::try_from(size).ok()).unwrap_or_default();
        Self::new(found.key(), found.version_id(), found.last_modified(), false, size)
    }

    fn marker(found: &DeleteMarkerEntry) -> Option<Self> {
        Self::new(found.key(), found.version_id(), found.last_modified(), true, 0)
    }

    fn new(
        key: Option<&str>,
        version: Option<&str>,
        stored: Option<&aws_sdk_s3::primitives::DateTime>,
        marker: bool,
        size: u64,
    ) -> Option<Self> {
        let stored = Timestamp::saturating(stored?.to_millis().ok()?);
        Some(Self { key: key?.to_owned(), version: version?.to_owned(), stored, marker, size })
    }
}

impl S3 {
    /// The folders right below `prefix`, which ends in a slash.
    ///
    /// # Errors
    /// If S3 does not answer.
    pub async fn folders(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        let mut pages = self.client.list_objects_v2().bucket(&self.bucket).prefix(prefix).delimiter("/").into_paginator().send();
        let mut found = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| failed("list the evidence", &error))?;
            found.extend(page.common_prefixes().iter().filter_map(|folder| folder.prefix().map(str::to_owned)));
        }
        Ok(found)
    }

    /// Every version of every key under `prefix` that sorts after `after`, in the order of the keys, the newest of a key first.
    ///
    /// # Errors
    /// If S3 does not answer, or not in full.
    pub async fn versions(&self, prefix: &str, after: Option<&str>) -> Result<Vec<Listed>, StoreError> {
        let mut found: Vec<Listed> = Vec::new();
        let mut at = after.map(|after| Marker { key: after.to_owned(), version: None });
        loop {
            let page = self.versions_page(prefix, at).await?;
            found.extend(page.versions);
            at = page.next;
            if at.is_none() {
                break;
            }
        }
        Ok(found)
    }

    /// The next thousand of them, after `at`; from the beginning if there is none.
    ///
    /// # Errors
    /// If S3 does not answer, or not in full.
    pub async fn versions_page(&self, prefix: &str, at: Option<Marker>) -> Result<Page, StoreError> {
        let doing = "list the evidence's versions";
        let incomplete = |cause: &str| StoreError { doing, cause: cause.to_owned(), passes: false };
        let (key, version) = at.map(|at| (at.key, at.version)).unzip();
        let call = self.client.list_object_versions().bucket(&self.bucket).prefix(prefix);
        let call = call.set_key_marker(key).set_version_id_marker(version.flatten());
        let page = call.send().await.map_err(|error| failed(doing, &error))?;
        let objects = page.versions().iter().map(Listed::object);
        let markers = page.delete_markers().iter().map(Listed::marker);
        let versions: Option<Vec<Listed>> = objects.chain(markers).collect();
        let mut versions = versions.ok_or_else(|| incomplete("a version without key, id or time"))?;
        // Objects and markers come apart: together they have one order again.
        versions.sort_by(|a, b| a.key.cmp(&b.key).then(b.stored.cmp(&a.stored)));
        let next = match (page.is_truncated(), page.next_key_marker) {
            (Some(true), Some(key)) => Some(Marker { key, version: page.next_version_id_marker }),
            (Some(true), None) => return Err(incomplete("more were promised, and not where")),
            _ => None,
        };
        Ok(Page { versions, next })
    }

    /// The content of one version, or of the newest; none if there is no such object. Unlike for those who only write, a refusal is an
    /// error here: this reader may list the bucket, so that S3 tells it what is missing.
    ///
    /// # Errors
    /// If S3 does not answer or refuses, or the object is larger than `largest` bytes.
    pub async fn content(&self, key: &str, version: Option<&str>, largest: u64) -> Result<Option<Vec<u8>>, StoreError> {
        let doing = "read an object";
        let asked = self.client.get_object().bucket(&self.bucket).key(key).set_version_id(version.map(str::to_owned)).send().await;
        let answer = match asked {
            Ok(answer) => answer,
            Err(error) if matches!(error.code(), Some("NoSuchKey" | "NoSuchVersion")) => return Ok(None),
            Err(error) => return Err(failed(doing, &error)),
        };
        let fits = |length: i64| u64::try_from(length).is_ok_and(|length| length <= largest);
        if !answer.content_length().is_some_and(fits) {
            return Err(StoreError { doing, cause: "it is larger than it can be".to_owned(), passes: false });
        }
        let body = answer.body.collect().await;
        body.map(|body| Some(body.to_vec())).map_err(|error| StoreError { doing, cause: error.to_string(), passes: true })
    }

    /// One version, with what S3 says of how it is kept.
    ///
    /// # Errors
    /// If S3 does not answer or refuses, the version is gone, or it is larger than `largest` bytes.
    pub async fn held(&self, key: &str, version: &str, largest: u64) -> Result<Held, StoreError> {
        let doing = "read an object";
        let asked = self.client.get_object().bucket(&self.bucket).key(key).version_id(version);
        let answer = asked.checksum_mode(ChecksumMode::Enabled).send().await.map_err(|error| failed(doing, &error))?;
        if answer.content_length().is_none_or(|length| u64::try_from(length).is_ok_and(|length| length > largest)) {
            return Err(StoreError { doing, cause: format!("`{key}` is larger than it can be"), passes: false });
        }
        let sha256 = answer.checksum_sha256().and_then(|text| STANDARD.decode(text).ok()).and_then(|bytes| bytes.try_into().ok());
        let retain_until = answer.object_lock_retain_until_date().and_then(|time| time.to_millis().ok()).map(Timestamp::saturating);
        let mode = answer.object_lock_mode().map(|mode| mode.as_str().to_owned());
        let body = answer.body.collect().await;
        let body = body.map_err(|error| StoreError { doing, cause: error.to_string(), passes: true })?;
        Ok(Held { bytes: body.to_vec(), sha256: sha256.map(Sha256::from_bytes), retain_until, mode })
    }

    /// The same for an object of a record's size.
    ///
    /// # Errors
    /// As [`S3::content`].
    pub async fn record(&self, key: &str, version: Option<&str>) -> Result<Option<Vec<u8>>, StoreError> {
        self.content(key, version, LARGEST_RECORD as u64).await
    }

    /// Creates an object that is no record, such as a batch: once, with its SHA-256.
    ///
    /// # Errors
    /// As [`crate::Worm::create`].
    pub async fn create_once(&self, key: &str, bytes: &[u8], content_type: &str) -> Result<Created, StoreError> {
        self.create_as(key, bytes, content_type).await
    }

    /// [`S3::put`] with a key of its own, for many at once.
    ///
    /// # Errors
    /// As [`S3::put`].
    pub async fn put_owned(&self, key: String, bytes: Vec<u8>, content_type: &str) -> Result<(), StoreError> {
        self.put(&key, bytes, content_type).await
    }

    /// Writes an object of the published tree, whatever was there: its content follows from the batches.
    ///
    /// # Errors
    /// If S3 does not answer or refuses.
    pub async fn put(&self, key: &str, bytes: Vec<u8>, content_type: &str) -> Result<(), StoreError> {
        let call = self.client.put_object().bucket(&self.bucket).key(key).checksum_sha256(checksum(&Sha256::of(&bytes)));
        let answer = call.content_type(content_type).body(ByteStream::from(bytes)).send().await;
        answer.map(drop).map_err(|error| failed("publish the tree", &error))
    }
}
