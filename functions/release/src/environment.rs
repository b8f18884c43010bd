//! What the process is given when it starts.

use std::collections::BTreeSet;
use std::time::Duration;

use calls::CallLog;
use docket::Docket;
use evidence_store::{KmsKey, S3, StoreError, Worm};
use hold::Holds;
use ids::{AccountId, Region, Sha256};
use playbook::ReleasePlaybook;
use redact::Redactor;
use responder::{Settings, SettingsError, Variables};
use revocation::Iam;
use tokio::sync::OnceCell;

/// Settings, playbook, clients and the recorder: built once, lent to every invocation.
#[derive(Debug)]
pub struct Environment<S> {
    /// `CORDON_API`: the id of the API whose events are believed.
    pub(crate) api: String,
    /// `CORDON_DENY_POLICY`: the deployed policy that denies everything.
    pub(crate) deny_policy: String,
    /// `CORDON_PERSON_ACCOUNTS`: accounts whose Identity Center roles are persons. Empty: the function's own.
    pub(crate) person_accounts: BTreeSet<AccountId>,
    /// `CORDON_APPROVERS`: permission sets whose persons may approve. Empty: nobody may.
    pub(crate) approvers: BTreeSet<String>,
    /// `CORDON_RELEASE_SECONDS`: how long a request stays open.
    pub(crate) valid: Duration,
    pub(crate) region: Region,
    pub(crate) playbook: ReleasePlaybook,
    pub(crate) iam: Iam,
    pub(crate) holds: Holds,
    pub(crate) calls: CallLog,
    pub(crate) docket: Docket<S>,
    revoke_key: KmsKey,
    revoke_fingerprint: OnceCell<Sha256>,
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
        Self::new(&settings, get, &config, calls, store, docket::code)
    }
}

impl<S: Worm> Environment<S> {
    /// An environment around any store. `code` finds out the hash of the program that is running; it is called beside all else.
    ///
    /// # Errors
    /// If the configuration or the shipped playbook is wrong, or the system has no randomness.
    pub fn new(
        settings: &Settings,
        get: impl Fn(&'static str) -> Option<String>,
        config: &responder::SdkConfig,
        calls: CallLog,
        store: S,
        code: fn() -> Option<Sha256>,
    ) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let variables = Variables::new(&get);
        let accounts = variables.list("CORDON_PERSON_ACCOUNTS").iter().map(|text| text.parse()).collect::<Result<_, _>>();
        let wrong = |name, expected| SettingsError::Wrong { name, expected };
        let seconds = match variables.optional("CORDON_RELEASE_SECONDS") {
            None => 8 * 3600,
            Some(text) => text
                .parse()
                .ok()
                .filter(|n| (1..=7 * 86_400).contains(n))
                .ok_or(wrong("CORDON_RELEASE_SECONDS", "a number of seconds, up to seven days"))?,
        };
        let region =
            variables.optional("AWS_REGION").and_then(|region| region.parse().ok()).ok_or(SettingsError::NoLambda("AWS_REGION"))?;
        let signs = (settings.function.clone(), settings.signing_key.clone());
        Ok(Self {
            api: variables.required("CORDON_API")?,
            deny_policy: variables
                .optional("CORDON_DENY_POLICY")
                .filter(|arn| arn.contains(":policy/"))
                .ok_or(SettingsError::Missing("CORDON_DENY_POLICY"))?,
            person_accounts: accounts.map_err(|_| wrong("CORDON_PERSON_ACCOUNTS", "12-digit account ids"))?,
            approvers: variables.list("CORDON_APPROVERS").into_iter().collect(),
            valid: Duration::from_secs(seconds),
            playbook: ReleasePlaybook::shipped()?,
            iam: Iam::new(config, calls.clone(), &region),
            region,
            holds: Holds::new(config, calls.clone(), settings.table.clone()),
            revoke_key: KmsKey::new(config, calls.clone(), variables.required("CORDON_REVOKE_SIGNING_KEY")?),
            revoke_fingerprint: OnceCell::new(),
            docket: Docket::new(config, calls.clone(), store, signs, Redactor::new(&settings.redact)?, code)?,
            calls,
        })
    }

    /// The fingerprint of revoke's KMS key: what it vouches for is what revoke recorded.
    pub(crate) async fn revoke_fingerprint(&self) -> Result<Sha256, StoreError> {
        let ask = async || Ok(self.revoke_key.public_key().await?.fingerprint());
        self.revoke_fingerprint.get_or_try_init(ask).await.copied()
    }

    /// Counts one thing: alarms go by it.
    pub(crate) fn count(&self, metric: &str) {
        responder::count(self.docket.function().as_str(), metric, 1, calls::now());
    }
}
