//! What the process is given when it starts.

use std::collections::BTreeSet;

use calls::CallLog;
use evidence_store::{S3, Worm};
use ids::{AccountId, Region, Sha256};
use people::Provider;
use register::{Colleague, Office};
use responder::{Settings, SettingsError, Variables};
use revocation::Iam;

/// Settings, playbook, clients and the recorder: built once, lent to every invocation.
#[derive(Debug)]
pub struct Environment<S> {
    /// `CORDON_API`: the id of the API whose events are believed.
    pub(crate) api: String,
    /// `CORDON_PERSON_ACCOUNTS`: accounts whose Identity Center roles are persons. Empty: the function's own.
    pub(crate) person_accounts: BTreeSet<AccountId>,
    /// `CORDON_LIVE_GRANTS`: how many live grants somebody may have at a time.
    pub(crate) live_grants: usize,
    /// `CORDON_ISSUER`, `CORDON_NAME_CLAIM`, `CORDON_GROUPS_CLAIM`: the identity provider whose tokens API Gateway checks for us, if there is one.
    pub(crate) provider: Option<Provider>,
    pub(crate) iam: Iam,
    pub(crate) office: Office<S>,
    /// `CORDON_MINT`: makes sessions.
    pub(crate) mint: Colleague,
    /// `CORDON_RECONCILE`: ends them.
    pub(crate) reconcile: Colleague,
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
        let wrong = |name, expected| SettingsError::Wrong { name, expected };
        let accounts = variables.list("CORDON_PERSON_ACCOUNTS").iter().map(|text| text.parse()).collect::<Result<_, _>>();
        let live = match variables.optional("CORDON_LIVE_GRANTS") {
            None => 10,
            Some(text) => {
                text.parse().ok().filter(|n| (1..=100).contains(n)).ok_or(wrong("CORDON_LIVE_GRANTS", "a number from 1 to 100"))?
            }
        };
        let region: Region =
            variables.optional("AWS_REGION").and_then(|region| region.parse().ok()).ok_or(SettingsError::NoLambda("AWS_REGION"))?;
        Ok(Self {
            api: variables.required("CORDON_API")?,
            person_accounts: accounts.map_err(|_| wrong("CORDON_PERSON_ACCOUNTS", "12-digit account ids"))?,
            live_grants: live,
            provider: variables.optional("CORDON_ISSUER").map(|issuer| Provider {
                issuer,
                name_claim: variables.optional("CORDON_NAME_CLAIM").unwrap_or_else(|| "email".to_owned()),
                groups_claim: variables.optional("CORDON_GROUPS_CLAIM"),
            }),
            iam: Iam::new(config, calls.clone(), &region),
            mint: Colleague::new(config, calls.clone(), variables.required("CORDON_MINT")?),
            reconcile: Colleague::new(config, calls.clone(), variables.required("CORDON_RECONCILE")?),
            office: Office::new(settings, &get, config, calls, store, code)?,
        })
    }
}
