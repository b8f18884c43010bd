//! What the records of a grant say.

use std::collections::BTreeMap;
use std::net::IpAddr;

use calls::Call;
use grant::{Approval, Ask, Closed, Denial, Denies, Ending, Minted, Opened, Reason, Terms};
use ids::{AccessKeyId, GrantId, RoleArn, Sha256, SourceIdentity, Timestamp};
use people::Who;
use plan::Trouble;
use playbook::Decision;
use serde::{Deserialize, Serialize};

/// A request: what was asked for, and what the server made of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RequestBody {
    /// What the playbook says.
    pub decision: Decision,
    /// In a sentence.
    pub reason: String,
    /// What was asked for, and by whom: terms are derived from it again.
    pub ask: Ask,
    /// What an approval binds.
    pub terms: Terms,
    /// The session policy that the terms have the digest of.
    pub session_policy: String,
    /// The request, as approvals refer to it.
    pub opened: Opened,
    /// From where.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<IpAddr>,
    /// How long ago whoever asks showed a second factor, in seconds, where their token says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mfa_age: Option<u32>,
}

/// An approval.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ApprovalBody {
    /// What the playbook says.
    pub decision: Decision,
    /// In a sentence.
    pub reason: String,
    /// Whose, of what, when.
    pub approval: Approval,
    /// From where.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<IpAddr>,
    /// As for a request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mfa_age: Option<u32>,
}

/// A denial.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DenialBody {
    /// What the playbook says.
    pub decision: Decision,
    /// In a sentence.
    pub reason: String,
    /// Whose, when.
    pub denial: Denial,
}

/// The wish for another session of a grant that is active.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RenewalBody {
    /// What the playbook says.
    pub decision: Decision,
    /// In a sentence.
    pub reason: String,
    /// Of which.
    pub grant: GrantId,
    /// Which session.
    pub serial: u32,
    /// Who wants it.
    pub by: Who,
}

/// An end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EndBody {
    /// What the playbook says.
    pub decision: Decision,
    /// In a sentence.
    pub reason: String,
    /// How it came to it.
    pub how: Ending,
    /// When.
    pub at: Timestamp,
    /// What has to be denied.
    pub closed: Closed,
}

/// A review of break-glass.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReviewBody {
    /// What the playbook says.
    pub decision: Decision,
    /// In a sentence.
    pub reason: String,
    /// Of which.
    pub grant: GrantId,
    /// By whom.
    pub by: Who,
    /// What they found.
    pub note: Reason,
}

/// Something that somebody wanted and may not have.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Refused {
    /// What the playbook says.
    pub decision: Decision,
    /// Why it was refused, in a sentence.
    pub reason: String,
    /// Who tried.
    pub by: Who,
}

/// The intent to make a session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MintBody {
    /// What the playbook says.
    pub decision: Decision,
    /// In a sentence.
    pub reason: String,
    /// What quorum and ends are counted by.
    pub minted: Minted,
    /// Digest of what was approved.
    pub terms: Sha256,
    /// The role.
    pub role: RoleArn,
    /// `SourceIdentity`, and the session's name.
    pub source_identity: SourceIdentity,
    /// Session tags; all are transitive.
    pub tags: BTreeMap<String, String>,
    /// Digest of the session policy.
    pub session_policy: Sha256,
    /// `DurationSeconds`.
    pub seconds: u32,
    /// STS is not called from then on.
    pub call_before: Timestamp,
    /// Whom the credentials are for.
    pub recipient: String,
    /// The approvals' records.
    pub approvals: Vec<String>,
}

/// What became of the intent to make a session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MintedBody {
    /// What the playbook says.
    pub decision: Decision,
    /// In a sentence.
    pub reason: String,
    /// `Minted`, `NotMinted`, or `Unverifiable` if STS may have made a session and did not say so.
    pub state: String,
    /// The session's key id: the rest of it is nowhere but in what was sealed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_key: Option<AccessKeyId>,
    /// When the session runs out by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
    /// What went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<Trouble>,
    /// Milliseconds from the last approval that was needed, or the wish, to credentials that can be fetched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved_to_usable: Option<i64>,
    /// Every call, reads included.
    pub calls: Vec<Call>,
}

/// What became of a [`grant::Closing`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeniedBody {
    /// In a sentence.
    pub reason: String,
    /// `Denied`, `NotDenied`, or `Unverifiable`: by what IAM shows.
    pub state: String,
    /// What IAM shows now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Denies>,
    /// What went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<Trouble>,
    /// By grant: milliseconds from its end to the first refusal that a session of it met.
    pub ended_to_refused: BTreeMap<GrantId, i64>,
    /// Grants whose probe was not refused in time, or could not be made, and why: reconcile tries again.
    pub unproved: BTreeMap<GrantId, String>,
    /// Every call, reads included.
    pub calls: Vec<Call>,
}
