//! Sessions of an IAM user: of the console, or from `GetSessionToken`. They are the user's, so the user is denied.

use signal::Credential;

use super::user_key::deny;
use crate::revoke::observed::Principal;
use crate::revoke::pattern::{Pattern, Procedure};

pub(crate) static PATTERN: Pattern = Pattern {
    id: "user-session",
    recognised: "a finding about an IAM user without a key, as after a console login, or with a key that begins with ASIA",
    done: "the deny-all policy on the user, which its sessions inherit; keys made since it was first seen elsewhere inactive",
    shown: "IAM shows the policy on the user and the keys inactive",
    survives: "sessions of roles that the user assumed before, for 12 hours at most; the console password, which nothing accepts while \
               the deny stays",
    matches: |credential| matches!(credential, Credential::UserSession { .. }),
    procedure: Some(|rule, _, seen| match seen {
        Principal::User(user) => deny(rule, user, None),
        Principal::Role(_) => Procedure::default(),
    }),
    by_hand: &[
        "set a new console password and new MFA devices before the deny is lifted: what they were cannot be read back",
        "find out by CloudTrail what the user did meanwhile",
    ],
};
