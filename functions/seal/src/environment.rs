//! What the process is given when it starts.

use aws_sdk_sqs::Client as Sqs;
use aws_sdk_sqs::error::DisplayErrorContext;
use calls::CallLog;
use evidence::log::Orphan;
use evidence_store::{KmsKey, S3, StoreError};
use futures_util::future::try_join_all;
use responder::SettingsError;
use tokio::sync::Mutex;

use crate::anchor::Anchors;
use crate::position::Position;

/// Settings and clients, built once, and where the log stood when this process last looked.
#[derive(Debug)]
pub struct Environment {
    /// The log's name: the origin line of its checkpoints.
    pub(crate) log: String,
    pub(crate) evidence: S3,
    pub(crate) tiles: S3,
    pub(crate) key: KmsKey,
    pub(crate) anchors: Anchors,
    queue: Sqs,
    orphans: String,
    pub(crate) position: Mutex<Option<Position>>,
}

impl Environment {
    /// Reads the settings and builds the clients. Asks nobody.
    ///
    /// # Errors
    /// If a setting is missing or wrong.
    pub fn load(get: impl Fn(&'static str) -> Option<String>) -> Result<Self, SettingsError> {
        let config = responder::sdk_config(&get)?;
        Self::new(get, &config, &CallLog::default())
    }

    /// The same with another configuration of the SDK.
    ///
    /// # Errors
    /// If a setting is missing or wrong.
    pub fn new(
        get: impl Fn(&'static str) -> Option<String>,
        config: &responder::SdkConfig,
        calls: &CallLog,
    ) -> Result<Self, SettingsError> {
        let required = |name| get(name).filter(|value| !value.trim().is_empty()).ok_or(SettingsError::Missing(name));
        let log = required("CORDON_LOG")?;
        // What C2SP's signed-note demands of a key's name, which is the log's.
        if log.chars().any(|c| c.is_whitespace() || c.is_control() || c == '+') {
            return Err(SettingsError::Wrong { name: "CORDON_LOG", expected: "a name without spaces or `+`" });
        }
        let queue = aws_sdk_sqs::config::Builder::from(config).interceptor(calls.clone()).build();
        Ok(Self {
            log,
            evidence: S3::new(config, calls.clone(), required("CORDON_EVIDENCE_BUCKET")?),
            tiles: S3::new(config, calls.clone(), required("CORDON_TILE_BUCKET")?),
            key: KmsKey::new(config, calls.clone(), required("CORDON_SIGNING_KEY")?),
            queue: Sqs::from_conf(queue),
            orphans: required("CORDON_ORPHANS")?,
            anchors: Anchors::read(&get, config, calls)?,
            position: Mutex::new(None),
        })
    }

    /// Hands orphans on, at least once each.
    pub(crate) async fn hand_on(&self, orphans: &[Orphan]) -> Result<(), StoreError> {
        let doing = "hand an orphan on";
        let sent = orphans.iter().map(async |orphan| {
            let body =
                serde_json::to_string(orphan).map_err(|error| StoreError { doing, cause: error.to_string(), passes: false })?;
            let call = self.queue.send_message().queue_url(&self.orphans).message_body(body);
            let answer = call.send().await;
            answer.map(drop).map_err(|error| StoreError { doing, cause: DisplayErrorContext(&error).to_string(), passes: true })
        });
        try_join_all(sent).await.map(drop)
    }
}
