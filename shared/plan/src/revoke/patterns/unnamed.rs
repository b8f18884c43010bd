//! What a report does not name: somebody has to look which credential it is.

use signal::Credential;

use crate::revoke::pattern::Pattern;

pub(crate) static PATTERN: Pattern = Pattern {
    id: "unnamed",
    recognised: "a webhook that names no key id: GitHub's and GitGuardian's alerts, Falco's, a canary token that somebody used",
    done: "nothing by Cordon: people are paged with the steps",
    shown: "it does not show here",
    survives: "all of it, until somebody knows which credential it is",
    matches: |credential| matches!(credential, Credential::Unnamed { .. }),
    principal: None,
    procedure: None,
    by_hand: &[
        "open the report where it came from, and find out which credential it is",
        "a key of AWS: cordon revoke AKIA…; a session of a role: cordon revoke --role ROLE --session SESSION",
        "a token of GitHub or Slack: cordon revoke-tokens github, or cordon revoke-tokens slack",
        "a canary token: somebody has been where it lay; end whatever else lies there",
    ],
};
