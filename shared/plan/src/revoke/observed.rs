//! A principal as IAM shows it, in as much detail as a plan needs and a release will want.

use std::collections::BTreeSet;

use ids::{AccessKeyId, PrincipalId, RoleName, Timestamp, UserName};
use serde::{Deserialize, Serialize};

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
}
