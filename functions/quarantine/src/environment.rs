//! What the process is given when it starts.

use std::time::Duration;

use calls::CallLog;
use evidence::{Session, dsse};
use evidence_store::{Endorse, KmsEndorser, Recorder, S3, StoreError, Worm};
use hold::Holds;
use ids::{SessionId, Sha256, Timestamp};
use isolation::Ec2;
use p256::ecdsa::SigningKey;
use playbook::Playbook;
use redact::Redactor;
use responder::Settings;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

/// So long KMS is waited for, at the start and at each renewal.
const PATIENCE: Duration = Duration::from_secs(2);
/// Making a first connection takes milliseconds of this one thread. The function says first that it is ready, which is on the wire by then.
const AFTER_THE_POLL: Duration = Duration::from_millis(2);
/// An endorsement with less left than this is renewed beside the next observation.
const RENEW: Duration = Duration::from_secs(3600);

type Vouched = Result<(dsse::Envelope, Timestamp), StoreError>;

/// Settings, playbook, clients and the recorder: built once, lent to every invocation.
#[derive(Debug)]
pub struct Environment<S> {
    pub(crate) settings: Settings,
    pub(crate) playbook: Playbook,
    pub(crate) ec2: Ec2,
    pub(crate) holds: Holds,
    pub(crate) calls: CallLog,
    pub(crate) redactor: Redactor,
    pub(crate) recorder: Mutex<Recorder<S>>,
    endorser: KmsEndorser,
    endorse: Endorse,
    code: fn() -> Option<Sha256>,
    vouching: Mutex<Vouching>,
}

#[derive(Debug, Default)]
struct Vouching {
    running: Option<JoinHandle<Vouched>>,
    until: Option<Timestamp>,
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
        Self::new(settings, &config, calls, store, code)
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
        let mut id = [0; 16];
        getrandom::fill(&mut id)?;
        // A draw outside the curve's order is refused and repeated; it has a chance of 2^-32.
        let key = loop {
            let mut secret = [0; 32];
            getrandom::fill(&mut secret)?;
            if let Ok(key) = SigningKey::from_slice(&secret) {
                break key;
            }
        };
        let session = Session::new(SessionId::from_random(id), key)?;
        let endorser = KmsEndorser::new(config, calls.clone(), settings.signing_key.clone());
        let endorse = Endorse {
            session: session.id().clone(),
            session_key: session.public_key().clone(),
            function: settings.function.clone(),
            code_sha256: None,
        };
        let running = tokio::spawn(vouch(endorser.clone(), endorse.clone(), code));
        Ok(Self {
            playbook: Playbook::shipped()?,
            ec2: Ec2::new(config, calls.clone()),
            holds: Holds::new(config, calls.clone(), settings.table.clone()),
            recorder: Mutex::new(Recorder::new(store, session)),
            vouching: Mutex::new(Vouching { running: Some(running), until: None }),
            redactor: Redactor::new(&settings.redact)?,
            settings,
            calls,
            endorser,
            endorse,
            code,
        })
    }

    /// Says something in the function's log, without what must not be kept: an error may quote what somebody else wrote.
    pub(crate) fn log(&self, what: &str) {
        eprintln!("{}", self.redactor.text(what).0);
    }

    /// Sees to it that records carry an endorsement, if KMS can be had within two seconds. Runs beside the observation.
    pub(crate) async fn vouch(&self) {
        let mut vouching = self.vouching.lock().await;
        let running = match vouching.running.take() {
            Some(running) => running,
            None if vouching.until.is_some_and(|until| calls::now().plus(RENEW) < until) => return,
            None => tokio::spawn(vouch(self.endorser.clone(), self.endorse.clone(), self.code)),
        };
        match tokio::time::timeout(PATIENCE, running).await {
            Ok(Ok(Ok((envelope, until)))) => {
                self.recorder.lock().await.endorse(envelope);
                vouching.until = Some(until);
            }
            Ok(Ok(Err(error))) => self.log(&format!("records are degraded: {error}")),
            Ok(Err(_)) | Err(_) => self.log("records are degraded: KMS did not answer in time"),
        }
    }
}

async fn vouch(endorser: KmsEndorser, endorse: Endorse, code: fn() -> Option<Sha256>) -> Vouched {
    let code = tokio::task::spawn_blocking(code);
    tokio::time::sleep(AFTER_THE_POLL).await;
    let what = async { Endorse { code_sha256: code.await.ok().flatten(), ..endorse } };
    endorser.endorse_when(what, calls::now()).await
}

/// The hash of the program that is running.
fn code() -> Option<Sha256> {
    std::fs::File::open("/proc/self/exe").and_then(Sha256::of_reader).ok()
}
