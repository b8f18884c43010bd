//! What is denied on a target role: the sessions of grants that ended before their time, and nothing else.

use std::collections::BTreeSet;

use ids::{GrantId, RoleArn, SourceIdentity, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use thiserror::Error;

use crate::{Closed, SESSION_TAG};

/// Characters that all inline policies of a role may have together, white space not counted (IAM user guide, "IAM and AWS STS quotas").
pub const ROLE_POLICIES: usize = 10_240;

/// The grants whose sessions are denied on one role. It can only deny: each of its documents denies everything to sessions that carry a
/// grant's source identity, and to those that carry its tag, which the source identity gives. There is no clock in it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Denies(BTreeSet<SourceIdentity>);

/// A document under our name that is not ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the document under Cordon's name is not Cordon's")]
pub struct NotOurs;

impl Denies {
    /// What is denied on `role` at `now`: of all ends, from rows and records alike, those whose sessions could still be alive. The order does not
    /// matter, nor does one that comes twice: two who derive it from the same ends write the same.
    #[must_use]
    pub fn derive<'a>(role: &RoleArn, ends: impl IntoIterator<Item = &'a Closed>, now: Timestamp) -> Self {
        let live = ends.into_iter().filter(|closed| closed.role == *role && closed.deny_until.is_some_and(|until| now < until));
        Self(live.map(|closed| closed.source.clone()).collect())
    }

    /// Whether nothing is denied: then there is no document, and the policy is deleted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many source identities are denied: one for each grant.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether a grant's sessions are denied.
    #[must_use]
    pub fn has(&self, grant: &GrantId) -> bool {
        self.0.iter().any(|source| source.grant().as_ref() == Some(grant))
    }

    /// The source identities that are denied.
    pub fn sources(&self) -> impl Iterator<Item = &SourceIdentity> {
        self.0.iter()
    }

    /// The grants that are denied here, and not in `other`.
    #[must_use]
    pub fn without(&self, other: &Self) -> Vec<GrantId> {
        self.0.difference(&other.0).filter_map(SourceIdentity::grant).collect()
    }

    /// These and the others.
    #[must_use]
    pub fn and(mut self, others: &Self) -> Self {
        self.0.extend(others.0.iter().cloned());
        self
    }

    pub(crate) fn extend(&mut self, others: impl IntoIterator<Item = SourceIdentity>) {
        self.0.extend(others);
    }

    /// The policy's document; none if nothing is denied. A function of the grants alone. Packed: two statements, however many grants there are.
    #[must_use]
    pub fn document(&self) -> Option<String> {
        if self.0.is_empty() {
            return None;
        }
        // Either is enough. What a session assumes from here keeps both, but is another role's: that is why session policies deny assuming.
        let deny = |sid: &str, key: &str, values: Vec<&str>| json!({"Sid": sid, "Effect": "Deny", "Action": "*", "Resource": "*", "Condition": {"StringEquals": {key: values}}});
        let grants: BTreeSet<GrantId> = self.0.iter().filter_map(SourceIdentity::grant).collect();
        let statements = [
            deny("CordonEndedSource", "aws:SourceIdentity", self.0.iter().map(SourceIdentity::as_str).collect()),
            deny("CordonEndedTag", &format!("aws:PrincipalTag/{SESSION_TAG}"), grants.iter().map(GrantId::as_str).collect()),
        ];
        Some(json!({"Version": "2012-10-17", "Statement": statements}).to_string())
    }

    /// Characters of the document, as IAM counts them: there is no white space in it.
    #[must_use]
    pub fn size(&self) -> usize {
        self.document().map_or(0, |document| document.len())
    }

    /// Whether the document fits on a role beside others of so many characters.
    #[must_use]
    pub fn fits_beside(&self, others: usize) -> bool {
        self.size().saturating_add(others) <= ROLE_POLICIES
    }

    /// Reads a document that [`Denies::document`] made. Anything else is somebody else's work.
    ///
    /// # Errors
    /// If it is not exactly what these denies would make.
    pub fn parse(document: &str) -> Result<Self, NotOurs> {
        let value: Value = serde_json::from_str(document).map_err(|_| NotOurs)?;
        let sources =
            value.pointer("/Statement/0/Condition/StringEquals/aws:SourceIdentity").and_then(Value::as_array).ok_or(NotOurs)?;
        let mut denies = BTreeSet::new();
        for source in sources {
            let source: SourceIdentity = source.as_str().and_then(|text| text.parse().ok()).ok_or(NotOurs)?;
            denies.insert(source);
        }
        let denies = Self(denies);
        // Whatever was overlooked above shows here: order, effects, tags, other fields.
        let same = denies.document().and_then(|ours| serde_json::from_str::<Value>(&ours).ok()).is_some_and(|ours| ours == value);
        if same { Ok(denies) } else { Err(NotOurs) }
    }
}
