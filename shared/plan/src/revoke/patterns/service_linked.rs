//! A session of a service-linked role: only AWS can change those.

use signal::Credential;

use crate::revoke::pattern::Pattern;

pub(crate) static PATTERN: Pattern = Pattern {
    id: "service-linked-role",
    recognised: "a session of a role that is called AWSServiceRoleFor…",
    done: "nothing by Cordon: people are paged with the steps",
    shown: "it does not show here",
    survives: "all of it: the role cannot be changed, and the service goes on using it",
    matches: |credential| matches!(credential, Credential::RoleSession { role, .. } | Credential::WholeRole { role } if role.as_str().starts_with("AWSServiceRoleFor")),
    principal: None,
    procedure: None,
    by_hand: &[
        "contain whoever made the service act: CloudTrail's invokedBy and the calls before it say who",
        "if the service itself was misused, remove what it was told to do, then ask AWS Support",
    ],
};
