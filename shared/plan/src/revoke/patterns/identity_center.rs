//! A session of IAM Identity Center: its roles cannot be written on.

use signal::Credential;

use crate::revoke::pattern::Pattern;

pub(crate) static PATTERN: Pattern = Pattern {
    id: "identity-center-session",
    recognised: "a session of a role that is called AWSReservedSSO_…",
    done: "nothing by Cordon: people are paged with the steps",
    shown: "it does not show here",
    survives: "all of it, for the permission set's session duration (12 hours at most), unless an SCP denies it",
    matches: |credential| matches!(credential, Credential::RoleSession { role, .. } | Credential::WholeRole { role } if role.as_str().starts_with("AWSReservedSSO_")),
    principal: None,
    procedure: None,
    by_hand: &[
        "disable the person in the identity provider, and end the portal sessions (Identity Center: Users, Active sessions)",
        "remove the assignment of the permission set, so that no new session begins",
        "for what lives already: deny it by an SCP on aws:userid (the role's id and the session's name)",
    ],
};
