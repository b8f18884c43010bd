//! A principal as IAM shows it, in as much detail as a plan needs and a release will want.

use std::collections::BTreeSet;

use ids::{AccessKeyId, PrincipalId, Region, RoleName, Timestamp, UserName};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::denies::Denies;

/// Who holds a credential.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Principal {
    /// An IAM user.
    User(User),
    /// A role.
    Role(Role),
}

impl Principal {
    /// Its ARN, path included.
    #[must_use]
    pub fn arn(&self) -> &str {
        match self {
            Self::User(user) => &user.arn,
            Self::Role(role) => &role.arn,
        }
    }
}

/// An IAM user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// Its name.
    pub name: UserName,
    /// Its ARN, path included.
    pub arn: String,
    /// Managed policies that are attached to it.
    pub attached: BTreeSet<String>,
    /// Its permissions boundary.
    pub boundary: Option<String>,
    /// Its long-lived keys.
    pub keys: Vec<Key>,
}

/// A long-lived key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    /// Its id.
    pub id: AccessKeyId,
    /// Whether it works.
    pub active: bool,
    /// When it was made.
    pub created: Option<Timestamp>,
}

/// A role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Role {
    /// Its name.
    pub name: RoleName,
    /// Its unique id.
    pub id: PrincipalId,
    /// Its ARN, path included.
    pub arn: String,
    /// What Cordon denies on it.
    pub denies: Denies,
    /// The document under Cordon's name, if it is not Cordon's: word for word, because it will be replaced.
    pub foreign: Option<String>,
    /// AWS services that its trust policy lets assume it: `lambda.amazonaws.com`.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub services: BTreeSet<String>,
    /// So many seconds a person's session lives at most, where IAM says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub longest_session: Option<u32>,
    /// When somebody used it, as far as IAM knows: it may be hours behind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used: Option<LastUsed>,
}

/// When and where a role was used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastUsed {
    /// When.
    pub at: Timestamp,
    /// In which Region.
    pub region: Option<Region>,
}

/// The services that a role's trust policy lets assume it. A document that cannot be read names none.
#[must_use]
pub fn trusted_services(document: &str) -> BTreeSet<String> {
    let document: Value = serde_json::from_str(document).unwrap_or_default();
    let all = |value: Option<&Value>| match value {
        Some(Value::Array(values)) => values.clone(),
        Some(one) => vec![one.clone()],
        None => Vec::new(),
    };
    let statements = all(document.get("Statement")).into_iter();
    let allowing = statements.filter(|statement| statement.get("Effect").and_then(Value::as_str) == Some("Allow"));
    let services = allowing.flat_map(|statement| all(statement.get("Principal").and_then(|principal| principal.get("Service"))));
    services.filter_map(|service| service.as_str().map(str::to_owned)).collect()
}
