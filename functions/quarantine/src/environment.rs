//! What the process is given when it starts.

use calls::CallLog;
use docket::Docket;
use evidence_store::{S3, Worm};
use hold::Holds;
use ids::Sha256;
use isolation::Ec2;
use playbook::Playbook;
use redact::Redactor;
use responder::Settings;

/// Settings, playbook, clients and the recorder: built once, lent to every invocation.
#[derive(Debug)]
pub struct Environment<S> {
    pub(crate) settings: Settings,
    pub(crate) playbook: Playbook,
    pub(crate) ec2: Ec2,
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
        Self::new(settings, &config, calls, store, docket::code)
    }
}

impl<S: Worm> Environment<S> {
    /// An environment around any store. `code` finds out the hash of the program that is running; it is called beside all else.
    ///
    /// # Errors
    /// If the shipped playbook is wrong or the system has no randomness.
    pub fn new(
        settings: Settings,
        config: &responder::SdkConfig,
        calls: CallLog,
        store: S,
        code: fn() -> Option<Sha256>,
    ) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let signs = (settings.function.clone(), settings.signing_key.clone());
        let redactor = Redactor::new(&settings.redact)?;
        Ok(Self {
            playbook: Playbook::shipped()?,
            ec2: Ec2::new(config, calls.clone()),
            holds: Holds::new(config, calls.clone(), settings.table.clone()),
            docket: Docket::new(config, calls.clone(), store, signs, redactor, code)?,
            settings,
            calls,
        })
    }
}
