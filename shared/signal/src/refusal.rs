//! Why an event went no further.

use std::borrow::Cow;
use std::fmt;

use ids::{AccountId, FindingId, Region, Sha256};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{Excerpt, FindingType, Resource};

/// Why an event went no further.
///
/// A refusal is recorded and shown to a human; a retry cannot change it. In evidence it carries its [`Refusal::code`].
#[derive(Debug, Clone, PartialEq, Eq, Error, Serialize, Deserialize)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum Refusal {
    /// The event is not one JSON object, or it gives one of the fields we read twice.
    ///
    /// Readers differ in which of two fields they believe, so what we act on could differ from what an analyst sees.
    #[error("malformed event: {what}")]
    Malformed {
        /// What is wrong, and at which line and column. Never quotes the event.
        what: Cow<'static, str>,
    },
    /// The event is longer than EventBridge delivers.
    #[error("event of {bytes} bytes: the limit is {limit}")]
    TooLarge {
        /// Its length.
        bytes: u64,
        /// [`crate::MAX_EVENT_BYTES`].
        limit: u64,
    },
    /// The envelope's `source` is not GuardDuty.
    #[error("source `{found}` is not `aws.guardduty`")]
    WrongSource {
        /// What it says instead; empty if nothing.
        found: Excerpt,
    },
    /// The envelope's `detail-type` is not a finding.
    #[error("detail-type `{found}` is not `GuardDuty Finding`")]
    WrongDetailType {
        /// What it says instead; empty if nothing.
        found: Excerpt,
    },
    /// The event is a drill, and drills are off.
    #[error("source `cordon.drill`: drills are off")]
    DrillsAreOff,
    /// The finding is about an account that may not speak here.
    #[error("finding of account {finding} delivered by account {envelope}, which is not the configured administrator")]
    AccountMismatch {
        /// The account that delivered the event.
        envelope: AccountId,
        /// The account the finding names.
        finding: AccountId,
    },
    /// The finding is about another Region than the one it was raised in. An organisation's second copy stays in its Region too.
    #[error("finding of {finding} delivered in {envelope}")]
    RegionMismatch {
        /// The Region that delivered the event.
        envelope: Region,
        /// The Region the finding names.
        finding: Region,
    },
    /// A type that AWS did not document when this was built.
    #[error("unknown finding type `{kind}`")]
    UnknownFindingType {
        /// The type.
        kind: FindingType,
    },
    /// A resource type that AWS did not document when this was built.
    #[error("unknown resource type `{found}` at `detail.resource.resourceType`")]
    UnknownResourceType {
        /// What it says.
        found: Excerpt,
    },
    /// A known type about something that is not an instance: it belongs to another function.
    #[error("`{kind}` is about {resource}, not an instance")]
    NotForInstances {
        /// The type.
        kind: FindingType,
        /// What it is about.
        resource: Resource,
    },
    /// A known type about something that is not a credential: it belongs to another function.
    #[error("`{kind}` is about {resource}, not a credential")]
    NotForCredentials {
        /// The type.
        kind: FindingType,
        /// What it is about.
        resource: Resource,
    },
    /// A Health event that does not report leaked credentials.
    #[error("`{found}` at `detail.eventTypeCode` reports no leaked credential")]
    NoCredentialReport {
        /// What it says.
        found: Excerpt,
    },
    /// The finding is about an instance and names none.
    #[error("no instance at `detail.resource.instanceDetails.instanceId`")]
    NoInstance,
    /// Something else than a relayed report, where only those are taken.
    #[error("only reports that the intake relays are taken this way")]
    NotRelayed,
    /// A field that we must have is missing or of the wrong shape.
    #[error("bad field `{path}`: {problem}")]
    BadField {
        /// Where: `detail.updatedAt`.
        path: Cow<'static, str>,
        /// What is wrong with it. Quotes at most 64 printable characters.
        problem: String,
    },
}

impl Refusal {
    /// A stable name, for metrics, alarms and records.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Malformed { .. } => "malformed",
            Self::TooLarge { .. } => "too_large",
            Self::WrongSource { .. } => "wrong_source",
            Self::WrongDetailType { .. } => "wrong_detail_type",
            Self::DrillsAreOff => "drills_are_off",
            Self::AccountMismatch { .. } => "account_mismatch",
            Self::RegionMismatch { .. } => "region_mismatch",
            Self::UnknownFindingType { .. } => "unknown_finding_type",
            Self::UnknownResourceType { .. } => "unknown_resource_type",
            Self::NotForInstances { .. } => "not_for_instances",
            Self::NotForCredentials { .. } => "not_for_credentials",
            Self::NoCredentialReport { .. } => "no_credential_report",
            Self::NoInstance => "no_instance",
            Self::NotRelayed => "not_relayed",
            Self::BadField { .. } => "bad_field",
        }
    }

    pub(crate) fn bad_field(path: &'static str, problem: impl fmt::Display) -> Self {
        Self::BadField { path: Cow::Borrowed(path), problem: problem.to_string() }
    }
}

/// A refused event, with what could be read of it.
///
/// `finding` and `account` are the event's own words: they say what to look for, and nothing about them is established.
#[derive(Debug, Clone, PartialEq, Eq, Error, Serialize, Deserialize)]
#[error("{refusal}")]
pub struct Refused {
    /// Why.
    pub refusal: Refusal,
    /// The digest of the event's bytes.
    pub sha256: Sha256,
    /// The finding's id, if one could be read.
    pub finding: Option<FindingId>,
    /// The account the finding names, else the one that delivered it.
    pub account: Option<AccountId>,
}
