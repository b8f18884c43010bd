//! What puts checkpoints outside their owner's reach: a second signature that the world's witnesses understand, a timestamping
//! authority, witnesses, a copy in another account. All of them are optional, and none of them stops or fails the sealing: what does not
//! come within seconds is counted, told, and tried again with the next checkpoint, which covers this one too.

use std::collections::BTreeSet;
use std::time::Duration;

use calls::CallLog;
use evidence::log::{Checkpoint, Ed25519Key, Edge, copy_key, sealing_key};
use evidence_store::{KmsKey, S3};
use futures_util::future::{join_all, join3};
use outside::{Address, Http};
use responder::{SdkConfig, SettingsError, Variables};
use serde::Serialize;
use tokio::sync::OnceCell;

use crate::timestamp::timestamp;
use crate::witness::Watcher;

/// How long a checkpoint waits for any of them, all at once.
const WAIT: Duration = Duration::from_secs(5);

/// What came of the anchors that are configured.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Anchored {
    /// Timestamps that were kept.
    pub timestamps: usize,
    /// Cosignatures that were kept.
    pub cosignatures: usize,
    /// Copies in the other account.
    pub copies: usize,
    /// What failed, and why, in a sentence each.
    pub failed: Vec<String>,
}

impl Anchored {
    pub(crate) fn add(&mut self, other: Self) {
        self.timestamps += other.timestamps;
        self.cosignatures += other.cosignatures;
        self.copies += other.copies;
        self.failed.extend(other.failed);
    }

    /// How many held.
    pub(crate) fn held(&self) -> usize {
        self.timestamps + self.cosignatures + self.copies
    }
}

/// The log's second key.
#[derive(Debug)]
pub(crate) struct SecondKey {
    kms: KmsKey,
    public: OnceCell<Ed25519Key>,
}

impl SecondKey {
    /// `note` with a second signature, and the key that made it.
    async fn sign(&self, checkpoint: &Checkpoint, note: &str, evidence: &S3) -> Result<String, String> {
        let key = self.public.get_or_try_init(async || {
            let key = self.kms.public_ed25519().await.map_err(|error| error.to_string())?;
            let name = sealing_key(&key.fingerprint());
            evidence.create_once(&name, key.der(), "application/octet-stream").await.map_err(|error| error.to_string())?;
            Ok::<_, String>(key)
        });
        let key = key.await?;
        let signature = self.kms.sign_ed25519("sign the log's head a second time", &checkpoint.to_string()).await;
        let signature = signature.map_err(|error| error.to_string())?;
        checkpoint.add_ed25519(note, &signature, key).map_err(|error| error.to_string())
    }
}

/// What is configured.
#[derive(Debug)]
pub(crate) struct Anchors {
    second: Option<SecondKey>,
    http: Option<Http>,
    authority: Option<Address>,
    watchers: Vec<Watcher>,
    copy: Option<S3>,
}

impl Anchors {
    /// Reads the settings. Asks nobody.
    pub(crate) fn read(
        get: impl Fn(&'static str) -> Option<String>,
        config: &SdkConfig,
        calls: &CallLog,
    ) -> Result<Self, SettingsError> {
        let variables = Variables::new(get);
        let (name, expected) = ("CORDON_TIMESTAMP_URL", "an https URL");
        let authority =
            variables.optional(name).map(|url| url.parse().map_err(|()| SettingsError::Wrong { name, expected })).transpose()?;
        let (name, expected) = ("CORDON_WITNESSES", "`VKEY URL`, separated by commas: NAME+ID+KEY of type 4, and an https URL");
        let watchers: Option<Vec<Watcher>> = variables.list(name).iter().map(|item| Watcher::read(item)).collect();
        let watchers = watchers.ok_or(SettingsError::Wrong { name, expected })?;
        // Where a witness's cosignature is kept is told by its key's id.
        if watchers.iter().map(|watcher| watcher.witness.id()).collect::<BTreeSet<_>>().len() < watchers.len() {
            return Err(SettingsError::Wrong { name, expected: "a list that names each witness once" });
        }
        let second = variables
            .optional("CORDON_ED25519_KEY")
            .map(|key| SecondKey { kms: KmsKey::new(config, calls.clone(), key), public: OnceCell::new() });
        if second.is_none() && !watchers.is_empty() {
            let expected = "empty without `CORDON_ED25519_KEY`: a witness knows a log by its Ed25519 signature";
            return Err(SettingsError::Wrong { name, expected });
        }
        let http = (authority.is_some() || !watchers.is_empty()).then(Http::without_connections);
        let copy = variables.optional("CORDON_COPY_BUCKET").map(|bucket| S3::new(config, calls.clone(), bucket));
        Ok(Self { second, http, authority, watchers, copy })
    }

    /// Whether any is configured.
    pub(crate) fn any(&self) -> bool {
        self.second.is_some() || self.authority.is_some() || !self.watchers.is_empty() || self.copy.is_some()
    }

    /// `note` with the second signature, if there is to be one and it came in time.
    pub(crate) async fn sign(&self, checkpoint: &Checkpoint, note: String, evidence: &S3, said: &mut Anchored) -> String {
        let Some(second) = &self.second else { return note };
        match within(second.sign(checkpoint, &note, evidence)).await {
            Ok(signed) => signed,
            Err(reason) => {
                said.failed.push(format!("the Ed25519 signature over {} leaves: {reason}", checkpoint.size));
                note
            }
        }
    }

    /// Takes a new checkpoint to everyone at once. Answers with the note, and the cosignatures that came.
    pub(crate) async fn cast(
        &self,
        checkpoint: &Checkpoint,
        note: String,
        edge: &Edge,
        (evidence, tiles): (&S3, &S3),
        said: &mut Anchored,
    ) -> String {
        let stamp = async {
            let (http, authority) = self.http.as_ref().zip(self.authority.as_ref())?;
            Some((authority, within(timestamp(http, authority, checkpoint, evidence)).await))
        };
        let asked = self.http.iter().flat_map(|http| self.watchers.iter().map(move |watcher| (http, watcher)));
        let cosign = join_all(
            asked.map(async |(http, watcher)| (watcher, within(watcher.cosign(http, &note, edge, tiles, evidence)).await)),
        );
        let copy = async {
            let copy = self.copy.as_ref()?;
            let name = copy_key(&checkpoint.origin, checkpoint.size);
            let put = async || copy.create_once(&name, note.as_bytes(), "text/plain; charset=utf-8").await;
            Some(within(async { put().await.map(drop).map_err(|error| error.to_string()) }).await)
        };
        let (stamped, cosigned, copied) = join3(Box::pin(stamp), Box::pin(cosign), Box::pin(copy)).await;
        let size = checkpoint.size;
        match stamped {
            Some((_, Ok(()))) => said.timestamps += 1,
            Some((authority, Err(reason))) => said.failed.push(format!("the timestamp of {size} leaves by {authority}: {reason}")),
            None => {}
        }
        match copied {
            Some(Ok(())) => said.copies += 1,
            Some(Err(reason)) => said.failed.push(format!("the copy of the checkpoint of {size} leaves: {reason}")),
            None => {}
        }
        let mut whole = note.clone();
        for (watcher, cosigned) in cosigned {
            let name = watcher.witness.name();
            match cosigned {
                Ok(one) => {
                    said.cosignatures += 1;
                    whole.push_str(one.strip_prefix(&note).unwrap_or_default());
                }
                Err(reason) => said.failed.push(format!("the cosignature of {size} leaves by {name}: {reason}")),
            }
        }
        whole
    }
}

/// What `anchor` comes to, if it comes in time.
async fn within<T>(anchor: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    let late = || format!("it did not answer within {} seconds", WAIT.as_secs());
    tokio::time::timeout(WAIT, anchor).await.unwrap_or_else(|_| Err(late()))
}
