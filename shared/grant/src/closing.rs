//! The plan that ends sessions on one role.

use ids::{GrantId, RoleArn, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{Closed, Denies};

/// What is to be written on a role, all of it, in place of what is there. It can only deny, and what it takes back cannot be alive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Closing {
    /// The role.
    pub role: RoleArn,
    /// The name of the role's inline policy.
    pub policy: String,
    /// What it denies now.
    pub before: Denies,
    /// What it is to deny. Nothing: the policy is deleted.
    pub denies: Denies,
    /// Grants whose sessions are refused from then on.
    pub ended: Vec<GrantId>,
    /// Grants whose sessions have run out, and are not denied any more.
    pub pruned: Vec<GrantId>,
    /// Why, in a sentence.
    pub reason: String,
}

impl plan::Closes for Closing {}

impl Closing {
    /// What has to be written on `role` at `now`, where `before` is denied; none if that is right as it is.
    #[must_use]
    pub fn plan<'a>(
        role: &RoleArn,
        policy: &str,
        before: Denies,
        ends: impl IntoIterator<Item = &'a Closed>,
        now: Timestamp,
    ) -> Option<Self> {
        let denies = Denies::derive(role, ends, now);
        if denies == before {
            return None;
        }
        let (ended, pruned): (Vec<_>, Vec<_>) = (denies.without(&before), before.without(&denies));
        let reason = format!(
            "Sessions of {} ended grants are denied on the role; {} have run out by themselves.",
            denies.len(),
            pruned.len()
        );
        Some(Self { role: role.clone(), policy: policy.to_owned(), before, denies, ended, pruned, reason })
    }
}
