#![doc = include_str!("../README.md")]

mod token;

use std::collections::BTreeSet;
use std::fmt;

use ids::{AccountId, PrincipalId, RoleName, SessionName, Timestamp};
use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use token::{NotASubject, Provider, Subject};

/// What Identity Center's roles are called: `AWSReservedSSO_SET_0123456789abcdef`.
const RESERVED: &str = "AWSReservedSSO_";
/// The path that AWS keeps for them (IAM Identity Center user guide, "Referencing permission sets in resource policies").
const RESERVED_PATH: &str = "aws-reserved/sso.amazonaws.com/";

/// What API Gateway says of a caller whose signature it checked: `requestContext.authorizer.iam` (payload format 2.0). The access key, which it
/// says too, is not read.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Iam {
    /// The caller's account.
    pub account_id: String,
    /// `arn:aws:sts::ACCOUNT:assumed-role/ROLE/SESSION`, `arn:aws:iam::ACCOUNT:user/NAME`.
    pub user_arn: String,
    /// `AROA…:SESSION`, `AIDA…`.
    pub user_id: String,
}

/// Something that is no caller as API Gateway describes one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the caller's account, ARN and id do not describe one IAM identity")]
pub struct NotACaller;

/// A caller, before anybody is taken for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// A session of a role.
    Session(Session),
    /// A user, or the root user.
    Standing {
        /// `user/ACCOUNT/NAME`, `root/ACCOUNT`.
        id: String,
    },
}

/// A session of a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// The role's account.
    pub account: AccountId,
    /// The role's name.
    pub role: RoleName,
    /// The role's unique id.
    pub role_id: PrincipalId,
    /// The session's name.
    pub name: SessionName,
}

impl Caller {
    /// The caller that API Gateway describes.
    ///
    /// # Errors
    /// If its parts do not fit together.
    pub fn parse(iam: &Iam) -> Result<Self, NotACaller> {
        let parts: Vec<&str> = iam.user_arn.splitn(6, ':').collect();
        let ["arn", _partition, service, "", account, resource] = parts.as_slice() else { return Err(NotACaller) };
        let account: AccountId = account.parse().map_err(|_| NotACaller)?;
        if account.as_str() != iam.account_id {
            return Err(NotACaller);
        }
        match (*service, resource.split('/').collect::<Vec<_>>().as_slice()) {
            ("sts", ["assumed-role", role, session]) => {
                let (role_id, named) = iam.user_id.split_once(':').ok_or(NotACaller)?;
                if named != *session {
                    return Err(NotACaller);
                }
                Ok(Self::Session(Session {
                    account,
                    role: role.parse().map_err(|_| NotACaller)?,
                    role_id: role_id.parse().map_err(|_| NotACaller)?,
                    name: session.parse().map_err(|_| NotACaller)?,
                }))
            }
            ("iam", ["user", .., name]) => {
                let name: ids::UserName = name.parse().map_err(|_| NotACaller)?;
                Ok(Self::Standing { id: format!("user/{account}/{name}") })
            }
            ("iam", ["root"]) => Ok(Self::Standing { id: format!("root/{account}") }),
            _ => Err(NotACaller),
        }
    }

    /// The session whose role IAM has to be asked about before it can be a person's: none for everyone else.
    #[must_use]
    pub fn claims_a_person(&self) -> Option<&Session> {
        match self {
            Self::Session(session) if session.permission_set().is_some() => Some(session),
            Self::Session(_) | Self::Standing { .. } => None,
        }
    }

    /// Who it is. `shown` is what IAM says of the role, where it could be asked: it is believed about roles of `home` only, and demanded there.
    #[must_use]
    pub fn who(&self, accounts: &BTreeSet<AccountId>, home: &AccountId, shown: Option<&Shown>) -> Who {
        match self {
            Self::Standing { id } => Who::Role { id: id.clone(), session: None },
            Self::Session(session) => {
                let genuine = session.account != *home || shown.is_some_and(|shown| shown.is_of(session));
                match session.permission_set() {
                    Some(set) if accounts.contains(&session.account) && genuine => Who::Person(Person {
                        name: session.name.as_str().to_ascii_lowercase(),
                        permission_set: set.to_owned(),
                        account: session.account.clone(),
                    }),
                    _ => Who::Role {
                        id: format!("role/{}/{}", session.account, session.role),
                        session: Some(session.name.as_str().to_ascii_lowercase()),
                    },
                }
            }
        }
    }
}

impl Session {
    /// The permission set that the role's name gives, if it is called as Identity Center calls its roles.
    #[must_use]
    pub fn permission_set(&self) -> Option<&str> {
        let (set, suffix) = self.role.as_str().strip_prefix(RESERVED)?.rsplit_once('_')?;
        let hex = suffix.len() == 16 && suffix.bytes().all(|byte| byte.is_ascii_hexdigit());
        (hex && !set.is_empty()).then_some(set)
    }
}

/// A role as IAM shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// Its ARN, path included.
    pub arn: String,
    /// Its unique id.
    pub id: PrincipalId,
}

impl Shown {
    /// Whether it is the role of `session`, and Identity Center's.
    fn is_of(&self, session: &Session) -> bool {
        let resource = self.arn.splitn(6, ':').nth(5).and_then(|resource| resource.strip_prefix("role/"));
        let reserved = resource.is_some_and(|path| {
            path.starts_with(RESERVED_PATH) && path.rsplit('/').next().is_some_and(|name| name == session.role.as_str())
        });
        reserved && self.id == session.role_id
    }
}

/// Who somebody is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Who {
    /// A person of Identity Center.
    Person(Person),
    /// A person of an identity provider whose token was checked.
    Subject(Subject),
    /// A role or a user, whoever may be behind it.
    Role {
        /// `role/ACCOUNT/NAME`, `user/ACCOUNT/NAME`.
        id: String,
        /// What the session calls itself, in small letters. It proves nothing, and can only count against someone.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        session: Option<String>,
    },
}

/// A person of Identity Center.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Person {
    /// The user's name there, in small letters: it is the person, whatever the permission set and the account.
    pub name: String,
    /// The permission set that they came with.
    pub permission_set: String,
    /// The account that they came through.
    pub account: AccountId,
}

impl Who {
    /// The one name by which two of them are compared: `person/alice@example.com`, `role/123456789012/ci`,
    /// `subject/https://idp.example/00u1`.
    #[must_use]
    pub fn id(&self) -> String {
        match self {
            Self::Person(person) => format!("person/{}", person.name),
            Self::Subject(subject) => format!("subject/{}", subject.id()),
            Self::Role { id, .. } => id.clone(),
        }
    }

    /// Whether it is a person, whoever vouches for them.
    #[must_use]
    pub fn is_person(&self) -> bool {
        match self {
            Self::Person(_) | Self::Subject(_) => true,
            Self::Role { .. } => false,
        }
    }

    /// The person of Identity Center, if it is one.
    #[must_use]
    pub fn person(&self) -> Option<&Person> {
        match self {
            Self::Person(person) => Some(person),
            Self::Subject(_) | Self::Role { .. } => None,
        }
    }

    /// What a role's session or a provider's subject calls itself, as a person's id: `person/alice@example.com`.
    #[must_use]
    pub fn calls_itself(&self) -> Option<String> {
        let name = match self {
            Self::Person(_) => None,
            Self::Subject(subject) => subject.name.as_ref(),
            Self::Role { session, .. } => session.as_ref(),
        };
        name.map(|name| format!("person/{name}"))
    }

    /// Seconds since they showed more than one factor. None where nobody says so: IAM says nothing of it.
    #[must_use]
    pub fn mfa_seconds(&self, now: Timestamp) -> Option<u64> {
        let Self::Subject(Subject { mfa_at: Some(at), .. }) = self else { return None };
        // A provider's clock may be a little ahead of ours.
        Some(u64::try_from(now.millis_since(*at) / 1000).unwrap_or(0))
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Person(person) => write!(f, "{} ({})", person.name, person.permission_set),
            Self::Subject(Subject { name: Some(name), subject, issuer, .. }) => write!(f, "{name} ({subject} of {issuer})"),
            Self::Subject(Subject { name: None, subject, issuer, .. }) => write!(f, "{subject} of {issuer}"),
            Self::Role { id, session: Some(session) } => write!(f, "{id} (a session that calls itself {session})"),
            Self::Role { id, session: None } => f.write_str(id),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const HOME: &str = "123456789012";

    fn iam(account: &str, role: &str, session: &str) -> Iam {
        Iam {
            account_id: account.to_owned(),
            user_arn: format!("arn:aws:sts::{account}:assumed-role/{role}/{session}"),
            user_id: format!("AROAEXAMPLEROLEID1234:{session}"),
        }
    }

    fn shown(path: &str, role: &str, id: &str) -> Shown {
        Shown { arn: format!("arn:aws:iam::{HOME}:role/{path}{role}"), id: id.parse().unwrap() }
    }

    fn who(iam: &Iam, shown: Option<&Shown>) -> Who {
        let accounts = BTreeSet::from([HOME.parse().unwrap(), "210987654321".parse().unwrap()]);
        Caller::parse(iam).unwrap().who(&accounts, &HOME.parse().unwrap(), shown)
    }

    const ALICE: &str = "AWSReservedSSO_Security_Approver_0123456789abcdef";
    const PATH: &str = "aws-reserved/sso.amazonaws.com/eu-central-1/";

    #[test]
    fn a_session_of_identity_center_is_a_person_whatever_the_set_and_the_spelling() {
        let own = shown(PATH, ALICE, "AROAEXAMPLEROLEID1234");
        let one = who(&iam(HOME, ALICE, "Alice@Example.com"), Some(&own));
        assert_eq!(one.id(), "person/alice@example.com");
        assert_eq!(one.person().unwrap().permission_set, "Security_Approver");
        let reader = "AWSReservedSSO_Read_fedcba9876543210";
        let other = who(&iam(HOME, reader, "alice@example.com"), Some(&shown(PATH, reader, "AROAEXAMPLEROLEID1234")));
        assert_eq!(one.id(), other.id());
        // Another account that is configured cannot be asked about from here: its administrator is trusted with it.
        assert_eq!(who(&iam("210987654321", ALICE, "alice@example.com"), None).id(), one.id());
        assert!(who(&iam("999988887777", ALICE, "alice@example.com"), None).person().is_none());
    }

    /// Whoever may create roles can call one so, and its sessions as they like.
    #[test]
    fn a_role_that_only_looks_like_identity_centers_is_a_role() {
        for shown in [
            None,
            Some(shown("", ALICE, "AROAEXAMPLEROLEID1234")),
            Some(shown("sso.amazonaws.com/", ALICE, "AROAEXAMPLEROLEID1234")),
            Some(shown(PATH, ALICE, "AROAANOTHERROLEID9999")),
            Some(shown(PATH, "AWSReservedSSO_Other_0123456789abcdef", "AROAEXAMPLEROLEID1234")),
        ] {
            let seen = who(&iam(HOME, ALICE, "alice@example.com"), shown.as_ref());
            assert_eq!(seen.id(), format!("role/{HOME}/{ALICE}"), "{shown:?}");
            assert_eq!(seen.calls_itself().as_deref(), Some("person/alice@example.com"));
        }
        for role in
            ["AWSReservedSSO_", "AWSReservedSSO_Set", "AWSReservedSSO_Set_0123", "AWSReservedSSO__0123456789abcdef", "Admin"]
        {
            assert!(Caller::parse(&iam(HOME, role, "alice")).unwrap().claims_a_person().is_none(), "{role}");
        }
    }

    #[test]
    fn what_does_not_fit_together_is_no_caller() {
        let good = json!({
            "accessKey": "ASIAEXAMPLEEXAMPLE12", "accountId": HOME, "callerId": "AROAEXAMPLEROLEID1234:alice", "cognitoIdentity": null,
            "principalOrgId": "o-1", "userArn": format!("arn:aws:sts::{HOME}:assumed-role/Admin/alice"), "userId": "AROAEXAMPLEROLEID1234:alice",
        });
        let read = |field: &str, value: &str| {
            let mut changed = good.clone();
            if let Some(field) = changed.get_mut(field) {
                *field = json!(value);
            }
            Caller::parse(&serde_json::from_value(changed).unwrap())
        };
        assert!(matches!(read("", "").unwrap(), Caller::Session(_)));
        assert_eq!(
            read("userArn", &format!("arn:aws:iam::{HOME}:user/ops/bob")),
            Ok(Caller::Standing { id: format!("user/{HOME}/bob") })
        );
        assert_eq!(read("userArn", &format!("arn:aws:iam::{HOME}:root")), Ok(Caller::Standing { id: format!("root/{HOME}") }));
        for (field, value) in [
            ("accountId", "999988887777"),
            ("userId", "AROAEXAMPLEROLEID1234:bob"),
            ("userId", "AROAEXAMPLEROLEID1234"),
            ("userArn", ""),
            ("userArn", "arn:aws:sts::123456789012:assumed-role/Admin/alice/x"),
            ("userArn", "arn:aws:sts::123456789012:federated-user/alice"),
            ("userArn", "arn:aws:sts::999988887777:assumed-role/Admin/alice"),
        ] {
            assert_eq!(read(field, value), Err(NotACaller), "{field} {value}");
        }
    }

    proptest! {
        /// Whatever API Gateway might say one day: nothing panics, and without IAM's word nobody of this account is a person.
        #[test]
        fn nobody_is_a_person_without_iams_word(account in "[0-9]{0,13}", arn in ".{0,80}", id in ".{0,40}", session in "[a-z@.]{1,20}") {
            let _any = Caller::parse(&Iam { account_id: account, user_arn: arn, user_id: id });
            prop_assert!(who(&iam(HOME, ALICE, &session), None).person().is_none());
        }
    }
}
