//! Sessions of an IAM user that it made itself, with `GetSessionToken`. They are the user's, so the user is denied.

use signal::Credential;

use super::user_key::deny;
use crate::revoke::observed::Principal;
use crate::revoke::pattern::{Pattern, Procedure};

pub(crate) static PATTERN: Pattern = Pattern {
    id: "user-session",
    recognised: "a finding about an IAM user with a key that begins with ASIA, as from GetSessionToken",
    done: "the deny-all policy on the user, which its sessions inherit; keys made since it was first seen elsewhere inactive",
    shown: "IAM shows the policy on the user and the keys inactive",
    survives: "sessions of roles that the user assumed before, for 12 hours at most",
    matches: |credential| matches!(credential, Credential::UserSession { .. }),
    principal: None,
    procedure: Some(|rule, _, seen| match seen {
        Principal::User(user) => deny(rule, user, None),
        Principal::Role(_) => Procedure::default(),
    }),
    by_hand: &[
        "find out with what the session was made: the user's own key or password has leaked too, unless the session was read somewhere",
        "find out by CloudTrail what the user did meanwhile",
    ],
};
