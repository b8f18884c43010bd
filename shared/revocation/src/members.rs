//! Other accounts: one session of the member role in each, for as long as it lasts.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_sts::Client;
use aws_types::SdkConfig;
use calls::{CallLog, incomplete, trouble};
use ids::{AccountId, IncidentId, Region, RoleName, Timestamp};
use plan::{Trouble, TroubleKind};

use crate::Iam;

/// A session with less left than this is not begun anything with: an invocation takes half a minute at most, and clocks differ.
const RENEW: Duration = Duration::from_secs(300);
/// What the code of a trouble begins with if the member role could not be assumed; what STS said follows.
const ASSUME_ROLE: &str = "AssumeRole.";

/// The accounts that the function works in besides its own.
#[derive(Debug)]
pub struct Members {
    client: Client,
    config: SdkConfig,
    calls: CallLog,
    region: Region,
    partition: String,
    role: RoleName,
    sessions: Mutex<BTreeMap<AccountId, Arc<tokio::sync::Mutex<Option<Session>>>>>,
}

#[derive(Debug)]
struct Session {
    iam: Iam,
    until: Timestamp,
}

impl Members {
    /// The accounts that `role` lets the function in `region` into. `config` is the function's own.
    #[must_use]
    pub fn new(config: &SdkConfig, calls: CallLog, region: &Region, partition: &str, role: RoleName) -> Self {
        Self {
            client: Client::from_conf(aws_sdk_sts::config::Builder::from(config).interceptor(calls.clone()).build()),
            config: config.clone(),
            calls,
            region: region.clone(),
            partition: partition.to_owned(),
            role,
            sessions: Mutex::default(),
        }
    }

    /// The name of the role, which is the same in every account.
    #[must_use]
    pub fn role(&self) -> &RoleName {
        &self.role
    }

    /// The role's ARN in an account.
    #[must_use]
    pub fn role_arn(&self, account: &AccountId) -> String {
        format!("arn:{}:iam::{account}:role/{}", self.partition, self.role)
    }

    /// The policy that denies everything, as `infra/member.yaml` names it in each account.
    #[must_use]
    pub fn deny_policy(&self, account: &AccountId) -> String {
        format!("arn:{}:iam::{account}:policy/cordon-DenyEverything-{}", self.partition, self.role)
    }

    /// IAM in a member account. A session that lasts long enough is used again; `incident` names a new one, for CloudTrail there.
    ///
    /// # Errors
    /// If the role cannot be assumed; see [`no_entry`].
    pub async fn iam(&self, account: &AccountId, incident: &IncidentId, now: Timestamp) -> Result<Iam, Trouble> {
        let kept = {
            let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(sessions.entry(account.clone()).or_default())
        };
        // Whoever comes while the role is being assumed waits for that session instead of asking for another one.
        let mut kept = kept.lock().await;
        if let Some(session) = kept.as_ref().filter(|session| session.until > now.plus(RENEW)) {
            return Ok(session.iam.clone());
        }
        let session = self.assume(account, incident).await?;
        let iam = session.iam.clone();
        *kept = Some(session);
        Ok(iam)
    }

    /// Drops what is kept of an account, because AWS says that it has lapsed, whatever our clock says.
    pub async fn forget(&self, account: &AccountId) {
        let kept = self.sessions.lock().unwrap_or_else(PoisonError::into_inner).get(account).map(Arc::clone);
        if let Some(kept) = kept {
            *kept.lock().await = None;
        }
    }

    async fn assume(&self, account: &AccountId, incident: &IncidentId) -> Result<Session, Trouble> {
        let call =
            self.client.assume_role().role_arn(self.role_arn(account)).role_session_name(format!("cordon-revoke-{incident}"));
        let refused = |trouble: Trouble| Trouble { code: format!("{ASSUME_ROLE}{}", trouble.code), ..trouble };
        let answer = call.send().await.map_err(|error| refused(trouble(&error)))?;
        let given = answer.credentials().ok_or_else(|| refused(incomplete("Credentials")))?;
        let until = given.expiration().to_millis().map_err(|_| refused(incomplete("Expiration")))?;
        let expires = SystemTime::try_from(*given.expiration()).map_err(|_| refused(incomplete("Expiration")))?;
        let (id, secret, token) = (given.access_key_id(), given.secret_access_key(), given.session_token());
        let credentials = Credentials::new(id, secret, Some(token.to_owned()), Some(expires), "AssumeRole");
        let config = self.config.clone().into_builder().credentials_provider(SharedCredentialsProvider::new(credentials)).build();
        Ok(Session { iam: Iam::new(&config, self.calls.clone(), &self.region), until: Timestamp::saturating(until) })
    }
}

/// What STS said, if the trouble is that the member role is refused to us. One that passes, such as throttling, is none.
#[must_use]
pub fn no_entry(trouble: &Trouble) -> Option<&str> {
    trouble.code.strip_prefix(ASSUME_ROLE).filter(|_| !trouble.kind.passes())
}

/// Whether AWS says that the session itself has lapsed: another one may do.
#[must_use]
pub fn has_lapsed(trouble: &Trouble) -> bool {
    trouble.kind == TroubleKind::Refused
        && ["ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId"].contains(&trouble.code.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_that_is_refused_is_told_from_one_that_is_throttled_and_from_iam_itself() {
        let trouble = |kind, code: &str| Trouble { kind, code: code.to_owned() };
        assert_eq!(no_entry(&trouble(TroubleKind::Denied, "AssumeRole.AccessDenied")), Some("AccessDenied"));
        assert_eq!(no_entry(&trouble(TroubleKind::Refused, "AssumeRole.RegionDisabledException")), Some("RegionDisabledException"));
        assert_eq!(no_entry(&trouble(TroubleKind::Throttled, "AssumeRole.Throttling")), None);
        assert_eq!(no_entry(&trouble(TroubleKind::Denied, "AccessDenied")), None);
        assert!(has_lapsed(&trouble(TroubleKind::Refused, "ExpiredToken")));
        assert!(!has_lapsed(&trouble(TroubleKind::Denied, "AccessDenied")));
    }
}
