//! A long-lived key of an IAM user.

use std::time::Duration;

use ids::AccessKeyId;
use signal::Credential;

use crate::revoke::judge::is_denied;
use crate::revoke::observed::{Principal, User};
use crate::revoke::pattern::{Pattern, Procedure, Survivor};
use crate::revoke::steps::{Revoke, Rule};

/// So many managed policies a user may have (IAM user guide, "IAM and AWS STS quotas"), unless the quota was raised.
const ATTACHMENTS: usize = 10;
/// A session that a user makes with `GetSessionToken` or `GetFederationToken` lives so long at most (STS API reference).
const SESSION_OF_A_USER: Duration = Duration::from_secs(36 * 3600);
/// A session of a role that the user assumed lives so long at most.
const SESSION_OF_A_ROLE: Duration = Duration::from_secs(12 * 3600);

pub(crate) static PATTERN: Pattern = Pattern {
    id: "user-key",
    recognised: "an id that begins with AKIA, whose account is read from the id itself; IAM says which user it is",
    done: "the deny-all policy on the user, and the key inactive, and so every key made since it was first seen elsewhere",
    shown: "IAM shows the policy on the user and the keys inactive",
    survives: "sessions of roles that the key assumed before, for 12 hours at most; what the key made elsewhere",
    matches: |credential| matches!(credential, Credential::UserKey { .. }),
    principal: None,
    procedure: Some(|rule, credential, seen| match seen {
        Principal::User(user) => deny(rule, user, credential.key()),
        Principal::Role(_) => Procedure::default(),
    }),
    by_hand: &[
        "find out by CloudTrail what the key did: roles it assumed, users and keys it made, data it read",
        "issue a new credential to whoever needs it: a role, or Cordon's access, rather than a key",
    ],
};

/// Denies everything to a user, and disables the leaked key and those that were made since.
pub(super) fn deny(rule: &Rule, user: &User, leaked: Option<&AccessKeyId>) -> Procedure {
    let mut procedure = Procedure::default();
    let policy = rule.deny_policy.clone();
    if is_denied(user, &policy) {
        procedure.already.push(format!("everything is denied to user {}", user.name));
    } else if user.attached.len() >= ATTACHMENTS || rule.attachments_full {
        let from = user.boundary.clone();
        procedure.remarks.push(format!("user {} has no room for one more policy: its boundary is used instead", user.name));
        procedure.steps.push(Revoke::BoundByDeny { user: user.name.clone(), policy, from });
    } else {
        procedure.steps.push(Revoke::AttachDeny { user: user.name.clone(), policy });
    }
    for key in &user.keys {
        let made_since = rule.since.zip(key.created).is_some_and(|(since, created)| created >= since);
        if Some(&key.id) != leaked && !made_since {
            if key.active {
                procedure.remarks.push(format!("the key {} of user {} is denied too, and stays active", key.id, user.name));
            }
            continue;
        }
        if key.active {
            procedure.steps.push(Revoke::DisableKey { user: user.name.clone(), key: key.id.clone() });
        } else {
            procedure.already.push(format!("the key {} is inactive", key.id));
        }
    }
    if let Some(leaked) = leaked.filter(|key| key.is_long_lived() && !user.keys.iter().any(|other| other.id == **key)) {
        procedure.remarks.push(format!("the key {leaked} is gone; what it made may be there"));
    }
    let now = rule.case.now;
    procedure.survives.push(Survivor {
        what: format!(
            "sessions that user {} made for itself or for others: they are refused for as long as the deny stays",
            user.name
        ),
        until: Some(now.plus(SESSION_OF_A_USER)),
    });
    procedure.survives.push(Survivor {
        what: format!("sessions of roles that user {} assumed before", user.name),
        until: Some(now.plus(SESSION_OF_A_ROLE)),
    });
    procedure
}
