//! What the process is given when it starts.

use calls::CallLog;
use evidence_store::{S3, Worm};
use ids::{AccountId, Region, Sha256};
use register::Office;
use responder::{Settings, SettingsError, Variables};
use revocation::Iam;

use crate::sessions::Sessions;

/// Settings, playbook, clients and the recorder: built once, lent to every invocation.
#[derive(Debug)]
pub struct Environment<S> {
    pub(crate) region: Region,
    /// The account of the roles that are granted.
    pub(crate) home: AccountId,
    pub(crate) iam: Iam,
    pub(crate) sessions: Sessions,
    pub(crate) office: Office<S>,
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
        let region: Region =
            variables.optional("AWS_REGION").and_then(|region| region.parse().ok()).ok_or(SettingsError::NoLambda("AWS_REGION"))?;
        let wrong = SettingsError::Wrong { name: "CORDON_ACCOUNT", expected: "a 12-digit account id" };
        Ok(Self {
            home: variables.required("CORDON_ACCOUNT")?.parse().map_err(|_| wrong)?,
            iam: Iam::new(config, calls.clone(), &region),
            sessions: Sessions::new(config, calls.clone(), &region),
            office: Office::new(settings, &get, config, calls, store, code)?,
            region,
        })
    }
}
