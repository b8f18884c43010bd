//! The steps that end a credential, and the plan they make.

use std::fmt;

use ids::{AccessKeyId, AccountId, Region, RoleName, Timestamp, UserName};
use serde::{Deserialize, Serialize};
use signal::Leak;

use super::denies::Denies;
use super::observed::Principal;
use super::pattern::{Procedure, Survivor, pattern_seen};
use super::users::Users;
use crate::{Case, Closes, Step};

/// The actions that end a credential. None of them opens, and none deletes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Revoke {
    /// Attach the policy that denies everything.
    AttachDeny {
        /// To whom.
        user: UserName,
        /// The policy.
        policy: String,
    },
    /// Make that policy the user's boundary, where no more policies can be attached.
    BoundByDeny {
        /// To whom.
        user: UserName,
        /// The policy.
        policy: String,
        /// The boundary that it replaces.
        from: Option<String>,
    },
    /// Make a key inactive.
    DisableKey {
        /// Whose.
        user: UserName,
        /// Which one.
        key: AccessKeyId,
    },
    /// Write what is denied on a role.
    WriteDenies {
        /// The role.
        role: RoleName,
        /// The inline policy's name.
        policy: String,
        /// All that is denied, other incidents' included. The document follows from it.
        denies: Denies,
    },
}

impl Closes for Revoke {}

impl fmt::Display for Revoke {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AttachDeny { user, policy } => write!(f, "attach {policy}, which denies everything, to user {user}"),
            Self::BoundByDeny { user, policy, from } => {
                write!(f, "make {policy}, which denies everything, the boundary of user {user}")?;
                from.as_ref().map_or(Ok(()), |from| write!(f, " instead of {from}"))
            }
            Self::DisableKey { user, key } => write!(f, "make the key {key} of user {user} inactive"),
            Self::WriteDenies { role, denies, .. } => {
                let denied: Vec<_> = denies.0.values().map(ToString::to_string).collect();
                write!(f, "deny, on role {role}: {}", denied.join("; "))
            }
        }
    }
}

/// What a procedure goes by, beside the credential and its principal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// What the plan is for, and when.
    pub case: Case,
    /// The Region of the function: instances of a role are denied here.
    pub region: Region,
    /// The deployed policy that denies everything.
    pub deny_policy: String,
    /// Denies on the same role that other incidents need, whether or not they are in place.
    pub standing: Denies,
    /// When it was last seen in the wrong hands, or the report came: a deny that reaches further is enough.
    pub reported: Timestamp,
    /// Since when the credential may have been in the wrong hands.
    pub since: Option<Timestamp>,
    /// No more policies can be attached to the user, as was found out by trying.
    pub attachments_full: bool,
    /// Who has sessions of the role, where all of them are to end.
    pub users: Option<Users>,
}

/// The plan that ends a credential.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revocation {
    /// What it is for.
    pub case: Case,
    /// The kind of credential: `user-key`.
    pub pattern: String,
    /// The long-lived key that has leaked, if it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<AccessKeyId>,
    /// The principal as it was: what a release goes by.
    pub before: Principal,
    /// Who had sessions of the role, where all of them were to end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub users: Option<Users>,
    /// What is so already, and so needs no step.
    pub already: Vec<String>,
    /// What to do, all of it at the same time.
    pub steps: Vec<Step<Revoke>>,
    /// What goes on all the same.
    pub survives: Vec<Survivor>,
    /// What people have to do besides.
    pub by_hand: Vec<String>,
    /// What was seen on the way that a person should know.
    pub remarks: Vec<String>,
}

impl Closes for Revocation {}

impl Revocation {
    /// Whether carrying out this plan, which an earlier run recorded, does what `fresh` would: every step of `fresh` is in it, and it writes
    /// no document that is older than what is needed now.
    #[must_use]
    pub fn does(&self, fresh: &Self) -> bool {
        let has = |step: &Step<Revoke>| self.steps.iter().any(|own| own.action == step.action);
        let writes = |step: &&Step<Revoke>| matches!(step.action, Revoke::WriteDenies { .. });
        fresh.steps.iter().all(has) && self.steps.iter().filter(writes).all(|step| fresh.steps.contains(step))
    }
}

/// The plan that ends the credential of `leak`, whose principal was seen as `seen`. None if only people can end it.
#[must_use]
pub fn revoke(rule: Rule, leak: &Leak, seen: Principal) -> Option<Revocation> {
    let pattern = pattern_seen(&leak.credential, &seen)?;
    let Procedure { steps, already, survives, remarks } = pattern.procedure?(&rule, &leak.credential, &seen);
    Some(Revocation {
        case: rule.case,
        pattern: pattern.id.to_owned(),
        key: leak.credential.key().filter(|key| key.is_long_lived()).cloned(),
        before: seen,
        users: rule.users,
        already,
        steps: steps.into_iter().map(|action| Step { wave: 0, action }).collect(),
        survives,
        by_hand: pattern.by_hand.iter().map(|&step| step.to_owned()).collect(),
        remarks,
    })
}

impl fmt::Display for Revocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "incident {}, by rule {}: {} of {}", self.case.incident, self.case.rule, self.pattern, self.before.arn())?;
        if !self.steps.is_empty() {
            writeln!(f, "  at the same time:")?;
        }
        for step in &self.steps {
            writeln!(f, "    - {}", step.action)?;
        }
        if let Some(users) = &self.users {
            writeln!(f, "  it hits: {users}")?;
        }
        for already in &self.already {
            writeln!(f, "  already so: {already}")?;
        }
        for survivor in &self.survives {
            let until = survivor.until.map_or_else(String::new, |until| format!(" (until {until} at the latest)"));
            writeln!(f, "  goes on: {}{until}", survivor.what)?;
        }
        for step in &self.by_hand {
            writeln!(f, "  by hand: {step}")?;
        }
        for remark in &self.remarks {
            writeln!(f, "  note: {remark}")?;
        }
        Ok(())
    }
}

/// An instance's ARN, in the partition of the principal's.
pub(crate) fn instance_arn(principal: &str, region: &Region, account: &AccountId, instance: &ids::InstanceId) -> String {
    let partition = principal.split(':').nth(1).unwrap_or("aws");
    format!("arn:{partition}:ec2:{region}:{account}:instance/{instance}")
}
