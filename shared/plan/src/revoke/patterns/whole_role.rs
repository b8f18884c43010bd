//! Every session of a role, because nobody knows which one it is. How many are hit is counted first: services may depend on it.

use signal::Credential;

use super::role_session::{SKEW, chained, write};
use crate::revoke::denies::Denied;
use crate::revoke::observed::Principal;
use crate::revoke::pattern::{Pattern, Procedure};

pub(crate) static PATTERN: Pattern = Pattern {
    id: "whole-role",
    recognised: "a finding about a role that names no session; a person who asks for every session",
    done: "its users are counted first: where they are more than WholeRoleUsers, or not known, only if a person asks for it with their number (cordon revoke --role NAME --every-session --users N). On the role, a deny of every session from before now (aws:TokenIssueTime)",
    shown: "IAM shows the statement on the role",
    survives: "sessions that they made of other roles (an hour each, longer if they renew each other); whoever may assume the role can \
               assume it again",
    matches: |credential| matches!(credential, Credential::WholeRole { .. }),
    principal: None,
    procedure: Some(|rule, _, seen| match seen {
        Principal::Role(role) => {
            let mut procedure = write(rule, role, None, Denied::older(rule.case.now.plus(SKEW)));
            chained(&mut procedure);
            procedure
        }
        Principal::User(_) => Procedure::default(),
    }),
    by_hand: &[
        "find out by CloudTrail which session it was: cordon revoke --role NAME --session NAME ends it alone",
        "or end them all, if what has the role can begin new sessions by itself: cordon revoke --role NAME --every-session (its --dry-run counts who is hit)",
        "find out who assumed the role, and revoke that credential too",
    ],
};
