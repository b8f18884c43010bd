//! What the rest of Cordon knows of a leaked credential.

mod door;
mod report;

use ids::{
    AccessKeyId, AccountId, IncidentId, InstanceId, PrincipalId, RoleName, SessionName, Sha256, SignalId, Timestamp, UserName,
};
use serde::{Deserialize, Serialize};

use crate::{Excerpt, Finding, Remote, Severity};

pub(crate) use door::generated;
pub use door::{ByHand, parse_leaks};
pub use report::Report;

/// A credential that somebody says is in the wrong hands. It never holds the credential itself: only what names it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Leak {
    /// The same for every delivery and retry of what was said.
    pub id: SignalId,
    /// Derived from [`Leak::target`] alone, so that a key that three sources report is one incident.
    pub incident: IncidentId,
    /// Who says so.
    pub source: LeakSource,
    /// How far that can be believed.
    pub trust: Trust,
    /// What the source itself is unsure of: "suspected".
    pub suspected: bool,
    /// How bad the source says it is, if it says so outside of a finding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rated: Option<Severity>,
    /// The source says that it is over.
    pub closed: bool,
    /// The envelope's `id`, where there is an envelope.
    pub event_id: Excerpt,
    /// What the source calls its report, for people: a finding's id, the beginning of a Health event's ARN.
    pub report: Excerpt,
    /// What tells this report from others, and stays the same when it is updated.
    pub thread: String,
    /// The account of the credential.
    pub account: AccountId,
    /// Which credential.
    pub credential: Credential,
    /// GuardDuty's finding, if it is one.
    pub finding: Option<Finding>,
    /// When the source said so, at its last update.
    pub at: Timestamp,
    /// When it was first seen in the wrong hands, where the source knows.
    pub since: Option<Timestamp>,
    /// From where it was used: at most 64.
    pub remote: Vec<Remote>,
    /// The digest of the report's bytes, as they came.
    pub sha256: Sha256,
}

impl Leak {
    /// The credential, wherever it is: `iam:key:ACCOUNT:AKIA…`.
    #[must_use]
    pub fn target(&self) -> String {
        self.credential.target(&self.account)
    }

    /// Whether GuardDuty made it up, or somebody is practising.
    #[must_use]
    pub fn is_exercise(&self) -> bool {
        self.source == LeakSource::Drill || self.finding.as_ref().is_some_and(|finding| finding.sample)
    }
}

/// The technique of every incident about a leaked credential.
pub(crate) const TECHNIQUE: &str = "LeakedCredential";

/// Who says that a credential has leaked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeakSource {
    /// `aws.guardduty`: a finding about an access key.
    #[serde(rename = "guardduty")]
    GuardDuty,
    /// `aws.health`: AWS has found a key in public.
    Health,
    /// GitHub's secret scanning: a repository has it.
    #[serde(rename = "github")]
    GitHub,
    /// GitGuardian, which looks where it is told to.
    #[serde(rename = "gitguardian")]
    GitGuardian,
    /// A canary token: bait that somebody has taken.
    Canary,
    /// Falco: what a process on a machine or in a container did.
    Falco,
    /// A person who may invoke the function.
    Hand,
    /// `cordon.drill`: whoever may put events on the bus. Admitted only where the configuration says so.
    Drill,
}

impl LeakSource {
    /// The source as records and policies spell it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::GuardDuty => "guardduty",
            Self::Health => "health",
            Self::GitHub => "github",
            Self::GitGuardian => "gitguardian",
            Self::Canary => "canary",
            Self::Falco => "falco",
            Self::Hand => "hand",
            Self::Drill => "drill",
        }
    }
}

/// How far a report can be believed, by how it came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trust {
    /// Nothing shows who sent it.
    Unsigned,
    /// Whoever sent it knows a secret that only the source and we have.
    Signed,
    /// A person whom IAM lets invoke the function.
    Person,
    /// EventBridge lets nobody but AWS put events whose source begins with `aws.`.
    Platform,
}

impl Trust {
    /// The level as policies spell it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unsigned => "unsigned",
            Self::Signed => "signed",
            Self::Person => "person",
            Self::Platform => "platform",
        }
    }
}

/// A credential, by what names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Credential {
    /// A long-lived key of an IAM user.
    UserKey {
        /// The key.
        key: AccessKeyId,
        /// Its user, where the source says so. IAM knows it in any case.
        user: Option<UserName>,
    },
    /// A session of an IAM user: from `GetSessionToken`, or of the console.
    UserSession {
        /// The user.
        user: UserName,
        /// The session's key, if one was seen.
        key: Option<AccessKeyId>,
    },
    /// A session that an IAM user made for someone else with `GetFederationToken`. It names no user.
    Federated {
        /// What the session is called.
        name: Excerpt,
        /// The session's key, if one was seen.
        key: Option<AccessKeyId>,
    },
    /// One session of a role.
    RoleSession {
        /// The role.
        role: RoleName,
        /// The role's unique id, where the source says so. IAM knows it in any case.
        role_id: Option<PrincipalId>,
        /// What the session is called.
        session: SessionName,
        /// The session's key, if one was seen.
        key: Option<AccessKeyId>,
    },
    /// What an instance gets from its profile.
    InstanceSession {
        /// The role.
        role: RoleName,
        /// The role's unique id, where the source says so.
        role_id: Option<PrincipalId>,
        /// The instance.
        instance: InstanceId,
    },
    /// Every session of a role, because nobody knows which one it is.
    WholeRole {
        /// The role.
        role: RoleName,
    },
    /// The account's root user.
    Root {
        /// The key, if one was seen.
        key: Option<AccessKeyId>,
    },
    /// Something that the report does not name: nobody but people can find out which credential it is.
    Unnamed {
        /// What it is said to be: "AWS Keys".
        what: Excerpt,
        /// Where it was seen: "alert 42 of acme/payments".
        place: Excerpt,
    },
}

impl Credential {
    /// The session `session` of a role: an instance's, if it is called like one.
    #[must_use]
    pub fn of_session(role: RoleName, role_id: Option<PrincipalId>, session: SessionName, key: Option<AccessKeyId>) -> Self {
        match session.instance() {
            Some(instance) => Self::InstanceSession { role, role_id, instance },
            None => Self::RoleSession { role, role_id, session, key },
        }
    }

    /// Its key's id, if there is one.
    #[must_use]
    pub fn key(&self) -> Option<&AccessKeyId> {
        match self {
            Self::UserKey { key, .. } => Some(key),
            Self::UserSession { key, .. } | Self::Federated { key, .. } | Self::RoleSession { key, .. } | Self::Root { key } => {
                key.as_ref()
            }
            Self::InstanceSession { .. } | Self::WholeRole { .. } | Self::Unnamed { .. } => None,
        }
    }

    fn target(&self, account: &AccountId) -> String {
        match self {
            Self::UserKey { key, .. } => format!("iam:key:{account}:{key}"),
            Self::UserSession { user, .. } => format!("iam:user:{account}:{user}"),
            Self::Federated { name, .. } => format!("iam:federated:{account}:{name}"),
            Self::RoleSession { role, session, .. } => format!("iam:role-session:{account}:{role}:{session}"),
            Self::InstanceSession { role, instance, .. } => format!("iam:instance-session:{account}:{role}:{instance}"),
            Self::WholeRole { role } => format!("iam:role:{account}:{role}"),
            Self::Root { .. } => format!("iam:root:{account}"),
            Self::Unnamed { what, place } => format!("iam:unnamed:{account}:{what}:{place}"),
        }
    }
}

impl std::fmt::Display for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::UserKey { key, user: Some(user) } => write!(f, "the key {key} of user {user}"),
            Self::UserKey { key, user: None } => write!(f, "the key {key}"),
            Self::UserSession { user, .. } => write!(f, "the sessions of user {user}"),
            Self::Federated { name, .. } => write!(f, "the federated session {name}"),
            Self::RoleSession { role, session, .. } => write!(f, "the session {session} of role {role}"),
            Self::InstanceSession { role, instance, .. } => write!(f, "the credentials of role {role} on {instance}"),
            Self::WholeRole { role } => write!(f, "every session of role {role}"),
            Self::Root { .. } => f.write_str("the account's root user"),
            Self::Unnamed { what, place } => write!(f, "what a report calls \"{what}\", seen in {place}"),
        }
    }
}
