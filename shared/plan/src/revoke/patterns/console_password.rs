//! The console password of an IAM user. It cannot be read back, so it is never taken away: the user is denied.

use signal::Credential;

use super::user_key::deny;
use crate::revoke::observed::Principal;
use crate::revoke::pattern::{Pattern, Procedure};

pub(crate) static PATTERN: Pattern = Pattern {
    id: "console-password",
    recognised: "a finding about an IAM user without a key, as after a console login; a person who names a user",
    done: "the deny-all policy on the user, which its console sessions inherit; keys made since it was first seen elsewhere inactive. The \
           password stays: it cannot be read back, so that deleting it could not be undone",
    shown: "IAM shows the policy on the user and the keys inactive",
    survives: "the password, with which one can still sign in, to be refused everything while the deny stays; sessions of roles that the \
               user assumed or switched to before, for 12 hours at most",
    matches: |credential| matches!(credential, Credential::UserSession { key: None, .. }),
    principal: None,
    procedure: Some(|rule, _, seen| match seen {
        Principal::User(user) => deny(rule, user, None),
        Principal::Role(_) => Procedure::default(),
    }),
    by_hand: &[
        "before the deny is lifted, set another password (aws iam update-login-profile --password-reset-required), or take it away for good \
         (aws iam delete-login-profile) where nobody needs the console",
        "look at the user's MFA devices (aws iam list-mfa-devices): take off what its owner does not know, and set up new ones",
        "find out by CloudTrail what was done in the console meanwhile: ConsoleLogin, SwitchRole and what follows",
    ],
};
