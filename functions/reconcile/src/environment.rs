//! What the process is given when it starts.

use std::collections::BTreeSet;

use calls::CallLog;
use evidence_store::{S3, Worm};
use ids::{AccountId, Region, Sha256};
use register::{Colleague, Office};
use responder::{Settings, SettingsError, Variables};
use revocation::Iam;

/// Settings, playbook, clients and the recorder: built once, lent to every invocation.
#[derive(Debug)]
pub struct Environment<S> {
    pub(crate) settings: Settings,
    pub(crate) region: Region,
    pub(crate) home: AccountId,
    /// `CORDON_PERSON_ACCOUNTS`: accounts whose Identity Center roles are persons. Empty: the function's own.
    pub(crate) person_accounts: BTreeSet<AccountId>,
    pub(crate) iam: Iam,
    pub(crate) office: Office<S>,
    /// `CORDON_MINT`: makes sessions, and the probes that show their end.
    pub(crate) mint: Colleague,
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
        let variables = Variables::new(&get);
        let region: Region =
            variables.optional("AWS_REGION").and_then(|region| region.parse().ok()).ok_or(SettingsError::NoLambda("AWS_REGION"))?;
        let wrong = |name| SettingsError::Wrong { name, expected: "12-digit account ids" };
        let home: AccountId = variables.required("CORDON_ACCOUNT")?.parse().map_err(|_| wrong("CORDON_ACCOUNT"))?;
        let accounts = variables.list("CORDON_PERSON_ACCOUNTS").iter().map(|text| text.parse()).collect::<Result<BTreeSet<_>, _>>();
        let accounts = accounts.map_err(|_| wrong("CORDON_PERSON_ACCOUNTS"))?;
        Ok(Self {
            person_accounts: if accounts.is_empty() { BTreeSet::from([home.clone()]) } else { accounts },
            home,
            iam: Iam::new(config, calls.clone(), &region),
            mint: Colleague::new(config, calls.clone(), variables.required("CORDON_MINT")?),
            office: Office::new(&settings, &get, config, calls, store, code)?,
            region,
            settings,
        })
    }
}
