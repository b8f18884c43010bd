//! What the process is given when it starts.

use std::collections::BTreeSet;

use calls::CallLog;
use docket::Docket;
use evidence_store::{S3, Worm};
use hold::Holds;
use ids::{AccountId, RoleName, Sha256};
use plan::Trouble;
use playbook::LeakPlaybook;
use redact::Redactor;
use responder::{Settings, SettingsError, Variables};
use revocation::{Iam, Members};
use signal::{Credential, Leak};

/// One user: then there is nothing to tell apart, and the session that leaked is the one that ends.
const ROLE_USERS: u32 = 1;

/// Settings, playbook, clients and the recorder: built once, lent to every invocation.
#[derive(Debug)]
pub struct Environment<S> {
    pub(crate) settings: Settings,
    /// `CORDON_DENY_POLICY`: the deployed policy that denies everything, in the function's own account.
    deny_policy: String,
    /// The function's own account, which that policy is of.
    home: AccountId,
    /// `CORDON_ROLE_USERS`: so many users of a role may be hit at once without asking; see `infra/policies/revoke.cedar`.
    pub(crate) role_users: u32,
    /// `CORDON_OWN`: ARNs of Cordon's own roles, protected besides what `CORDON_PROTECTED` names.
    own: BTreeSet<String>,
    pub(crate) playbook: LeakPlaybook,
    iam: Iam,
    /// `CORDON_MEMBER_ROLE`: the role that lets the function into other accounts. None: it works in its own only.
    members: Option<Members>,
    pub(crate) holds: Holds,
    pub(crate) calls: CallLog,
    pub(crate) docket: Docket<S>,
}

impl Environment<S3> {
    /// Reads the settings, builds the clients, makes the session's key and begins to have it endorsed. Fails on a wrong configuration
    /// only: neither KMS nor S3 is waited for.
    ///
    /// # Errors
    /// If the configuration or the shipped playbook is wrong, or the system has no randomness.
    pub fn load(get: impl Fn(&'static str) -> Option<String>) -> Result<Self, lambda_runtime::Error> {
        let settings = Settings::read(&get)?;
        let config = responder::sdk_config(&get)?;
        let calls = CallLog::default();
        let store = S3::new(&config, calls.clone(), settings.bucket.clone());
        Self::new(settings, get, &config, calls, store, docket::code)
    }
}

impl<S: Worm> Environment<S> {
    /// An environment around any store. `code` finds out the hash of the program that is running; it is called beside all else.
    ///
    /// # Errors
    /// If the configuration or the shipped playbook is wrong, or the system has no randomness.
    pub fn new(
        settings: Settings,
        get: impl Fn(&'static str) -> Option<String>,
        config: &responder::SdkConfig,
        calls: CallLog,
        store: S,
        code: fn() -> Option<Sha256>,
    ) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let signs = (settings.function.clone(), settings.signing_key.clone());
        let redactor = Redactor::new(&settings.redact)?;
        let variables = Variables::new(&get);
        let deny_policy = get("CORDON_DENY_POLICY").filter(|arn| arn.contains(":policy/"));
        let deny_policy = deny_policy.ok_or(SettingsError::Missing("CORDON_DENY_POLICY"))?;
        let mut parts = deny_policy.split(':').skip(1);
        let (partition, home) = (parts.next().unwrap_or("aws").to_owned(), parts.nth(2).and_then(|account| account.parse().ok()));
        let wrong = |name, expected| SettingsError::Wrong { name, expected };
        let home = home.ok_or(wrong("CORDON_DENY_POLICY", "a policy of the function's own account"))?;
        let role_users = variables.optional("CORDON_ROLE_USERS").map_or(Ok(ROLE_USERS), |number| number.parse());
        let role_users = role_users.map_err(|_| wrong("CORDON_ROLE_USERS", "a whole number"))?;
        let member = variables.optional("CORDON_MEMBER_ROLE").map(|name| name.parse::<RoleName>()).transpose();
        let member = member.map_err(|_| wrong("CORDON_MEMBER_ROLE", "a role's name, without an account or a path"))?;
        let region =
            variables.optional("AWS_REGION").and_then(|region| region.parse().ok()).ok_or(SettingsError::NoLambda("AWS_REGION"))?;
        Ok(Self {
            playbook: LeakPlaybook::shipped()?,
            iam: Iam::new(config, calls.clone(), &region),
            members: member.map(|role| Members::new(config, calls.clone(), &region, &partition, role)),
            holds: Holds::new(config, calls.clone(), settings.table.clone()),
            docket: Docket::new(config, calls.clone(), store, signs, redactor, code)?,
            deny_policy,
            home,
            role_users,
            own: variables.list("CORDON_OWN").into_iter().collect(),
            settings,
            calls,
        })
    }

    /// Whether the function works in an account at all.
    pub(crate) fn reaches(&self, account: &AccountId) -> bool {
        *account == self.home || self.members.is_some()
    }

    /// IAM in the account of a leak: the function's own, or through the member role.
    ///
    /// # Errors
    /// If the member role cannot be assumed.
    pub(crate) async fn iam(&self, leak: &Leak) -> Result<Iam, Trouble> {
        match &self.members {
            Some(members) if leak.account != self.home => members.iam(&leak.account, &leak.incident, calls::now()).await,
            // Without members nothing of another account comes this far.
            _ => Ok(self.iam.clone()),
        }
    }

    /// Drops the session in the account of a leak. False if there is none to drop: the function's own is Lambda's to renew.
    pub(crate) async fn forget(&self, account: &AccountId) -> bool {
        match &self.members {
            Some(members) if *account != self.home => {
                members.forget(account).await;
                true
            }
            _ => false,
        }
    }

    /// The policy that denies everything, in an account.
    pub(crate) fn deny_policy(&self, account: &AccountId) -> String {
        match &self.members {
            Some(members) if *account != self.home => members.deny_policy(account),
            _ => self.deny_policy.clone(),
        }
    }

    /// The ARN of the role that lets the function into an account, for people.
    pub(crate) fn member_role(&self, account: &AccountId) -> String {
        self.members.as_ref().map(|members| members.role_arn(account)).unwrap_or_default()
    }

    /// Whether the configuration names the principal of a credential, by its ARN, or the instance that has it. Names are unique in an account, whatever the path.
    pub(crate) fn protects(&self, leak: &Leak) -> bool {
        if let Credential::InstanceSession { instance, .. } = &leak.credential
            && self.settings.protected.contains(instance.as_str())
        {
            return true;
        }
        let (kind, name) = match &leak.credential {
            Credential::UserKey { user: Some(user), .. } | Credential::UserSession { user, .. } => ("user", user.as_str()),
            Credential::RoleSession { role, .. } | Credential::InstanceSession { role, .. } | Credential::WholeRole { role } => {
                ("role", role.as_str())
            }
            Credential::UserKey { user: None, .. }
            | Credential::Federated { .. }
            | Credential::Root { .. }
            | Credential::Unnamed { .. } => return false,
        };
        let named = |arn: &String| is_principal(arn, &leak.account, kind, name);
        // The way into an account is Cordon's own in each of them, and at home nobody may be let in by that name.
        let door = |members: &Members| kind == "role" && members.role().as_str().eq_ignore_ascii_case(name);
        self.members.as_ref().is_some_and(door) || self.own.iter().any(named) || self.settings.protected.iter().any(named)
    }
}

/// Whether `arn` is `arn:PARTITION:iam::ACCOUNT:KIND/PATH/NAME`. IAM takes names for the same that differ in case only.
fn is_principal(arn: &str, account: &AccountId, kind: &str, name: &str) -> bool {
    let mut parts = arn.splitn(6, ':').skip(2);
    let (service, _region, owner, resource) = (parts.next(), parts.next(), parts.next(), parts.next().unwrap_or_default());
    let last = resource.rsplit('/').next().unwrap_or_default();
    service == Some("iam")
        && owner == Some(account.as_str())
        && resource.split('/').next() == Some(kind)
        && last.eq_ignore_ascii_case(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_principal_is_known_by_its_name_whatever_its_path_and_case() {
        let account: AccountId = "123456789012".parse().unwrap();
        for (arn, same) in [
            ("arn:aws:iam::123456789012:role/break-glass", true),
            ("arn:aws-cn:iam::123456789012:role/ops/Break-Glass", true),
            ("arn:aws:iam::123456789012:user/break-glass", false),
            ("arn:aws:iam::999988887777:role/break-glass", false),
            ("arn:aws:iam::123456789012:role/break-glass-2", false),
            ("arn:aws:sts::123456789012:role/break-glass", false),
            ("i-0447a53385d345b29", false),
        ] {
            assert_eq!(is_principal(arn, &account, "role", "break-glass"), same, "{arn}");
        }
    }
}
