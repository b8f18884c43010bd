#![doc = include_str!("../README.md")]

mod cause;
mod held;
mod late;
mod unchanged;

use std::time::Duration;

use aws_types::SdkConfig;
use calls::CallLog;
use evidence::{Session, dsse};
use evidence_store::{Endorse, KmsEndorser, Recorder, StoreError, Worm};
use ids::{FunctionName, SessionId, Sha256, Timestamp};
use p256::ecdsa::SigningKey;
use redact::Redactor;
use tokio::sync::{Mutex, MutexGuard};
use tokio::task::JoinHandle;

pub use cause::Cause;
pub use held::{Held, claim_in_turn};
pub use late::Standing;
pub use unchanged::{DecisionBody, RefusalBody};

/// So long KMS is waited for, at the start and at each renewal.
const PATIENCE: Duration = Duration::from_secs(2);
/// Making a first connection takes milliseconds of this one thread. The function says first that it is ready, which is on the wire by then.
const AFTER_THE_POLL: Duration = Duration::from_millis(2);
/// An endorsement with less left than this is renewed beside the next observation.
const RENEW: Duration = Duration::from_secs(3600);

type Vouched = Result<(dsse::Envelope, Timestamp), StoreError>;

/// One process's records: its session's key, who vouches for it, and the recorder.
#[derive(Debug)]
pub struct Docket<S> {
    function: FunctionName,
    recorder: Mutex<Recorder<S>>,
    redactor: Redactor,
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

impl<S: Worm> Docket<S> {
    /// Makes the session's key and begins to have it endorsed by `signing_key`. Neither KMS nor the store is waited for. `code` finds out
    /// the hash of the program that is running; it is called beside all else.
    ///
    /// # Errors
    /// If the system has no randomness.
    pub fn new(
        config: &SdkConfig,
        calls: CallLog,
        store: S,
        (function, signing_key): (FunctionName, String),
        redactor: Redactor,
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
        let endorser = KmsEndorser::new(config, calls, signing_key);
        let endorse = Endorse {
            session: session.id().clone(),
            session_key: session.public_key().clone(),
            function: function.clone(),
            code_sha256: None,
        };
        let running = tokio::spawn(vouch(endorser.clone(), endorse.clone(), code));
        Ok(Self {
            function,
            recorder: Mutex::new(Recorder::new(store, session)),
            redactor,
            endorser,
            endorse,
            code,
            vouching: Mutex::new(Vouching { running: Some(running), until: None }),
        })
    }

    /// Whose records these are.
    #[must_use]
    pub fn function(&self) -> &FunctionName {
        &self.function
    }

    /// What is taken out of records, answers and log lines.
    #[must_use]
    pub fn redactor(&self) -> &Redactor {
        &self.redactor
    }

    /// The recorder, for as long as the guard lives.
    pub async fn recorder(&self) -> MutexGuard<'_, Recorder<S>> {
        self.recorder.lock().await
    }

    /// Says something in the function's log, without what must not be kept: an error may quote what somebody else wrote.
    pub fn log(&self, what: &str) {
        eprintln!("{}", self.redactor.text(what).0);
    }

    /// Sees to it that records carry an endorsement, if KMS can be had within two seconds. Runs beside the observation.
    pub async fn vouch(&self) {
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
            Ok(Ok(Err(error))) => self.unvouched(&mut vouching, &error.to_string()).await,
            Ok(Err(_)) | Err(_) => self.unvouched(&mut vouching, "KMS did not answer in time").await,
        }
    }
}

impl<S: Worm> Docket<S> {
    /// An endorsement that holds goes on being used; one that has run out would make records wrong instead of degraded.
    async fn unvouched(&self, vouching: &mut Vouching, why: &str) {
        self.log(&format!("records are degraded, or soon will be: {why}"));
        if vouching.until.is_some_and(|until| calls::now() >= until) {
            vouching.until = None;
            self.recorder.lock().await.lapse();
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
#[must_use]
pub fn code() -> Option<Sha256> {
    std::fs::File::open("/proc/self/exe").and_then(Sha256::of_reader).ok()
}
