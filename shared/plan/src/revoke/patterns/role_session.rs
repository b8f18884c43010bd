//! One session of a role.

use std::time::Duration;

use ids::PrincipalId;
use signal::Credential;

use crate::revoke::denies::{Denied, denies_policy};
use crate::revoke::observed::{Principal, Role};
use crate::revoke::pattern::{Pattern, Procedure, Survivor};
use crate::revoke::steps::{Revoke, Rule};

/// STS's clock and ours may differ by so much.
pub(super) const SKEW: Duration = Duration::from_secs(2);

pub(crate) static PATTERN: Pattern = Pattern {
    id: "role-session",
    recognised: "a finding whose principal is AROA…:SESSION; a key that begins with ASIA does not say whose it is",
    done: "on the role, a deny of sessions of that name from before now: aws:userid and aws:TokenIssueTime",
    shown: "IAM shows the statement on the role",
    survives: "sessions that it made of other roles (an hour each, longer if they renew each other); whoever assumed the role can assume \
               it again",
    matches: |credential| matches!(credential, Credential::RoleSession { .. }),
    principal: None,
    procedure: Some(|rule, credential, seen| match (credential, seen) {
        (Credential::RoleSession { role_id, session, .. }, Principal::Role(role)) => {
            let userid = format!("{}:{session}", role.id);
            let mut procedure = write(rule, role, role_id.as_ref(), Denied::session(userid, rule.case.now.plus(SKEW)));
            chained(&mut procedure);
            procedure.remarks.push(format!(
                "whatever runs as {session} itself, such as a Lambda function or a task, is refused too until it gets newer credentials"
            ));
            procedure
        }
        _ => Procedure::default(),
    }),
    by_hand: &[
        "find out by CloudTrail who assumed the role for this session, and revoke that credential too",
        "find sessions that it made of other roles: sourceIdentity and the chain of AssumeRole events",
        "if it was a Lambda function's or a task's: set its concurrency to 0 or stop the task, it goes on being handed credentials",
    ],
};

/// Writes what is to be denied on a role, beside what other incidents need.
pub(super) fn write(rule: &Rule, role: &Role, claimed: Option<&PrincipalId>, denied: Denied) -> Procedure {
    let mut procedure = Procedure::default();
    let now = rule.case.now;
    if let Some(claimed) = claimed.filter(|claimed| **claimed != role.id) {
        let what = format!("role {} was made anew since: {claimed} is gone, and with it its sessions", role.name);
        procedure.remarks.push(what);
    }
    if role.foreign.is_some() {
        let what = format!("the document {} on role {} was not Cordon's: it is replaced", denies_policy(&rule.region), role.name);
        procedure.remarks.push(what);
    }
    let mut denies = role.denies.clone().and(rule.standing.clone()).live(now);
    let known = role.denies.0.get(&rule.case.incident);
    // Another source's report of the same is no reason to end sessions that began since.
    if role.foreign.is_none() && denies == role.denies && known.is_some_and(|known| known.covers(&denied, rule.reported)) {
        procedure.already.push(format!("it is denied on role {}", role.name));
        return procedure;
    }
    denies.0.insert(rule.case.incident.clone(), denied);
    let policy = denies_policy(&rule.region);
    procedure.steps.push(Revoke::WriteDenies { role: role.name.clone(), policy, denies });
    procedure
}

/// What a session of a role leaves behind.
///
/// A session of a session lives an hour at most (IAM user guide, "Roles terms and concepts": role chaining), but roles whose trust lets
/// them assume each other can go on renewing.
pub(super) fn chained(procedure: &mut Procedure) {
    let what =
        "sessions that it made of other roles: an hour each, and on for as long as those roles' trust lets them renew each other";
    procedure.survives.push(Survivor { what: what.to_owned(), until: None });
    procedure.survives.push(Survivor { what: "whoever assumed the role can assume it again".to_owned(), until: None });
}
