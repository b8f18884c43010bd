//! Whether the credential is really ended.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::observed::{Principal, User};
use super::pattern::Survivor;
use super::steps::{Revocation, Revoke};
use crate::{Did, Done, Trouble, TroubleKind};

/// The end state of a revocation, from what was read back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RevocationState {
    /// All that the plan set out to deny or to disable is denied or disabled.
    Revoked,
    /// Some of it is.
    Partial,
    /// None of it is.
    NotRevoked,
    /// It could not be read back.
    Unverifiable,
}

impl fmt::Display for RevocationState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// What was read of the policy that denies everything, before a user is called denied by it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deny {
    /// It does: the policy's ARN.
    Holds(String),
    /// Its text says something else by now.
    Changed,
    /// Its text could not be read, or nothing depends on it.
    Unread,
}

/// The code of the trouble with a user whom a changed policy was to deny.
pub const DENY_CHANGED: &str = "DenyPolicyChanged";

/// The state of one thing that can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CredentialState {
    /// IAM says that it is denied or inactive.
    Ended,
    /// IAM says that it still works.
    Alive,
    /// It could not be read back.
    Unknown,
}

/// What became of one thing that can be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CredentialEnd {
    /// Which: `user ci-deployer`, `key AKIA…`, `role web`.
    pub id: String,
    /// What it is now.
    pub state: CredentialState,
    /// What its step ran into.
    pub trouble: Option<Trouble>,
}

/// What is recorded in the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevocationOutcome {
    /// The answer in a word.
    pub state: RevocationState,
    /// One by one.
    pub credentials: Vec<CredentialEnd>,
    /// What goes on all the same.
    pub survives: Vec<Survivor>,
    /// Step by step.
    pub steps: Vec<Done>,
    /// What a person should see to.
    pub left_open: Vec<String>,
}

impl RevocationOutcome {
    /// Whether trying again can help: something failed that passes, or IAM does not show yet what it accepted.
    #[must_use]
    pub fn worth_another_try(&self) -> bool {
        let troubles = self.credentials.iter().filter_map(|end| end.trouble.as_ref());
        // Without any trouble it does not show yet: IAM may need longer than we looked.
        self.state == RevocationState::Unverifiable
            || (self.state != RevocationState::Revoked && troubles.into_iter().all(|trouble| trouble.kind.passes()))
    }

    /// Whether the user has no room for one more policy (IAM user guide, "IAM and AWS STS quotas": 10 for a user).
    #[must_use]
    pub fn attachments_full(&self, plan: &Revocation) -> bool {
        self.steps.iter().any(|done| {
            let attach = plan.steps.get(done.step).is_some_and(|step| matches!(step.action, Revoke::AttachDeny { .. }));
            attach && matches!(&done.did, Did::Failed(trouble) if trouble.code == "LimitExceeded")
        })
    }
}

/// Compares what was read back with the plan. `after` is none if it could not be read; `deny` matters for users only.
#[must_use]
pub fn judge_revocation(plan: &Revocation, steps: Vec<Done>, after: Option<&Principal>, deny: &Deny) -> RevocationOutcome {
    let trouble = |wanted: &dyn Fn(&Revoke) -> bool| {
        steps.iter().find_map(|done| match (plan.steps.get(done.step), &done.did) {
            (Some(step), Did::Failed(trouble)) if wanted(&step.action) => Some(trouble.clone()),
            _ => None,
        })
    };
    let state = |ended: Option<bool>| match ended {
        Some(true) => CredentialState::Ended,
        Some(false) => CredentialState::Alive,
        None => CredentialState::Unknown,
    };
    let mut credentials = Vec::new();
    let mut left_open = Vec::new();
    match &plan.before {
        Principal::User(before) => {
            let after = match after {
                Some(Principal::User(user)) => Some(user),
                _ => None,
            };
            credentials.push(CredentialEnd {
                id: format!("user {}", before.name),
                state: state(match deny {
                    Deny::Holds(policy) => after.map(|user| is_denied(user, policy)),
                    Deny::Changed => Some(false),
                    Deny::Unread => None,
                }),
                trouble: match deny {
                    Deny::Changed => Some(Trouble { kind: TroubleKind::Refused, code: DENY_CHANGED.to_owned() }),
                    Deny::Holds(_) | Deny::Unread => {
                        trouble(&|action| matches!(action, Revoke::AttachDeny { .. } | Revoke::BoundByDeny { .. }))
                    }
                },
            });
            let disabled = plan.steps.iter().filter_map(|step| match &step.action {
                Revoke::DisableKey { key, .. } => Some(key),
                _ => None,
            });
            // The leaked one is looked at whether or not it had a step.
            let keys: BTreeSet<_> = disabled.chain(&plan.key).collect();
            for key in keys {
                // One that is gone works no more than one that is inactive.
                let inactive = |user: &User| !user.keys.iter().any(|other| other.id == *key && other.active);
                credentials.push(CredentialEnd {
                    id: format!("key {key}"),
                    state: state(after.map(inactive)),
                    trouble: trouble(&|action| matches!(action, Revoke::DisableKey { key: other, .. } if other == key)),
                });
            }
            let known = |key: &&super::observed::Key| !before.keys.iter().any(|other| other.id == key.id);
            for new in after.iter().flat_map(|user| &user.keys).filter(known).filter(|key| key.active) {
                left_open.push(format!("the key {} has turned up meanwhile: the deny covers it, and it is active", new.id));
            }
        }
        Principal::Role(before) => {
            let planned = plan.steps.iter().find_map(|step| match &step.action {
                Revoke::WriteDenies { denies, .. } => Some(denies),
                _ => None,
            });
            let wanted = planned.unwrap_or(&before.denies);
            let after = match after {
                Some(Principal::Role(role)) => Some(role),
                _ => None,
            };
            let own = wanted.0.get(&plan.case.incident);
            credentials.push(CredentialEnd {
                id: format!("role {}", before.name),
                state: state(after.map(|role| own.is_some() && role.denies.0.get(&plan.case.incident) == own)),
                trouble: trouble(&|action| matches!(action, Revoke::WriteDenies { .. })),
            });
            if let Some(after) = after {
                for (incident, denied) in &wanted.0 {
                    if *incident != plan.case.incident && after.denies.0.get(incident) != Some(denied) {
                        left_open.push(format!("the deny of {incident} on role {} is not in place", before.name));
                    }
                }
                if after.foreign.is_some() {
                    left_open.push(format!("somebody else has written the document under Cordon's name on role {}", before.name));
                }
            }
        }
    }
    let ended = credentials.iter().filter(|end| end.state == CredentialState::Ended).count();
    let state = match (after.is_some(), ended) {
        (false, _) => RevocationState::Unverifiable,
        (true, ended) if ended == credentials.len() => RevocationState::Revoked,
        (true, 0) => RevocationState::NotRevoked,
        (true, _) => RevocationState::Partial,
    };
    RevocationOutcome { state, credentials, survives: plan.survives.clone(), steps, left_open }
}

/// Whether the policy that denies everything is on the user, one way or the other.
pub(crate) fn is_denied(user: &User, deny_policy: &str) -> bool {
    user.attached.contains(deny_policy) || user.boundary.as_deref() == Some(deny_policy)
}
