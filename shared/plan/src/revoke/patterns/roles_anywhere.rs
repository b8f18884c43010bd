//! A session that IAM Roles Anywhere made for a certificate.

use std::time::Duration;

use signal::Credential;

use super::role_session::{SKEW, chained, write};
use crate::revoke::denies::Denied;
use crate::revoke::observed::Principal;
use crate::revoke::pattern::{Pattern, Procedure, Survivor};

/// Whom a role's trust policy names if certificates may assume it (IAM Roles Anywhere user guide, "Trust policy").
const SERVICE: &str = "rolesanywhere.amazonaws.com";
/// A serial number has 20 octets at most (RFC 5280, 4.1.2.2). Shorter than 8 digits is rather a name.
const DIGITS: std::ops::RangeInclusive<usize> = 8..=40;
/// A session of a certificate lives so long at most, whatever comes of the certificate.
const SESSION: Duration = Duration::from_secs(12 * 3600);

fn is_serial(session: &str) -> bool {
    DIGITS.contains(&session.len()) && session.bytes().all(|byte| byte.is_ascii_hexdigit())
}

pub(crate) static PATTERN: Pattern = Pattern {
    id: "roles-anywhere-session",
    recognised: "a session of a role whose trust policy names rolesanywhere.amazonaws.com, called like a certificate's serial number: 8 to \
                 40 hex digits",
    done: "on the role, a deny of sessions of that name from before now: aws:userid and aws:TokenIssueTime. Other certificates go on",
    shown: "IAM shows the statement on the role",
    survives: "the certificate: whoever has its key begins a new session at once, until it is on the revocation list or its profile or trust \
               anchor is off; sessions of other roles (an hour each, longer if they renew each other)",
    matches: |credential| matches!(credential, Credential::RoleSession { session, .. } if is_serial(session.as_str())),
    principal: Some(|principal| matches!(principal, Principal::Role(role) if role.services.contains(SERVICE))),
    procedure: Some(|rule, credential, seen| match (credential, seen) {
        (Credential::RoleSession { role_id, session, .. }, Principal::Role(role)) => {
            let userid = format!("{}:{session}", role.id);
            let mut procedure = write(rule, role, role_id.as_ref(), Denied::session(userid, rule.case.now.plus(SKEW)));
            chained(&mut procedure);
            let what = format!(
                "the certificate with serial number {session}: it begins new sessions of this and of other roles until it is revoked"
            );
            procedure.survives.insert(0, Survivor { what, until: None });
            let before = rule.case.now.plus(SESSION);
            procedure.remarks.push(format!("what it began before on other roles of its profile ends by {before} at the latest"));
            procedure
        }
        _ => Procedure::default(),
    }),
    by_hand: &[
        "revoke the certificate: have its authority put the serial number on its list, and give that to Roles Anywhere (aws rolesanywhere \
         import-crl, or update-crl). That stops new sessions only: then run this again",
        "until then, if nothing else needs them: aws rolesanywhere disable-profile, or disable-trust-anchor, which stops every certificate of it",
        "find the machine that has the certificate's key: CreateSession in CloudTrail has its subject and its address",
    ],
};
