//! The account's root user, whom nothing in the account can deny anything.

use signal::Credential;

use crate::revoke::pattern::Pattern;

pub(crate) static PATTERN: Pattern = Pattern {
    id: "root",
    recognised: "a finding whose user type is Root",
    done: "nothing by Cordon: people are paged with the steps",
    shown: "it does not show here",
    survives: "all of it: IAM policies do not bind root, and temporary credentials of root cannot be changed",
    matches: |credential| matches!(credential, Credential::Root { .. }),
    principal: None,
    procedure: None,
    by_hand: &[
        "sign in as root from a machine that you trust; change the password and the MFA device, and delete root's access keys",
        "in a member account: have the organisation deny it by an SCP on aws:PrincipalArn arn:aws:iam::*:root",
        "in a member account with centralised root access: delete its root credentials from the management account",
        "open a case with AWS Support as compromised, and look in CloudTrail for what root did",
    ],
};
