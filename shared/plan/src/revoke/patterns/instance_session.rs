//! What an instance gets from its profile.

use signal::Credential;

use super::role_session::{chained, write};
use crate::revoke::denies::Denied;
use crate::revoke::observed::Principal;
use crate::revoke::pattern::{Pattern, Procedure};
use crate::revoke::steps::instance_arn;

pub(crate) static PATTERN: Pattern = Pattern {
    id: "instance-session",
    recognised: "a finding whose principal is AROA…:i-…: the session of an instance profile is called like the instance",
    done: "on the role, a deny of that instance: aws:userid and ec2:SourceInstanceARN. Other instances of the role go on",
    shown: "IAM shows both statements on the role",
    survives: "nothing of this instance's, which cannot use the role itself either; sessions that it made of other roles (an hour each, \
               longer if they renew each other)",
    matches: |credential| matches!(credential, Credential::InstanceSession { .. }),
    principal: None,
    procedure: Some(|rule, credential, seen| match (credential, seen) {
        (Credential::InstanceSession { role_id, instance, .. }, Principal::Role(role)) => {
            let userid = format!("{}:{instance}", role.id);
            let arn = instance_arn(&role.arn, &rule.region, &rule.case.account, instance);
            let mut procedure = write(rule, role, role_id.as_ref(), Denied::Instance { userid, arn });
            chained(&mut procedure);
            procedure.remarks.push(format!("{instance} itself can no longer use role {}, whatever it runs", role.name));
            procedure
        }
        _ => Procedure::default(),
    }),
    by_hand: &[
        "contain the instance: it is where the credentials were read",
        "find sessions that it made of other roles: the chain of AssumeRole events",
    ],
};
