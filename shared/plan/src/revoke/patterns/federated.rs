//! A session that an IAM user made for someone else.

use signal::Credential;

use crate::revoke::pattern::Pattern;

pub(crate) static PATTERN: Pattern = Pattern {
    id: "federated",
    recognised: "a finding whose user type is FederatedUser; it does not name the user who made it",
    done: "nothing by Cordon: people are paged with the steps",
    shown: "it does not show here",
    survives: "all of it, for 36 hours at most, until the user who made it is denied",
    matches: |credential| matches!(credential, Credential::Federated { .. }),
    principal: None,
    procedure: None,
    by_hand: &[
        "find the GetFederationToken event in CloudTrail: its userIdentity is the user who made the session",
        "revoke that user (cordon revoke --user NAME): its sessions inherit the deny",
    ],
};
