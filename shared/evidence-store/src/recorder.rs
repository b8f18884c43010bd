//! Numbers, signs, stores; and finds what an earlier run has stored.

use std::fmt;
use std::pin::{Pin, pin};
use std::time::Duration;

use evidence::{Anomaly, Draft, Endorsement, Link, Predicate, PublicKey, RecordKey, Session, SignError, Signed, dsse, open};
use futures_util::future::{Either, select};
use ids::{SessionId, Sha256, Timestamp};
use plan::Closes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

use crate::worm::{Created, StoreError, Worm};

/// So many places beside a taken one are tried. Whoever takes that many is heard of long before.
const ATTEMPTS: u32 = 32;
/// How long a late write is waited for at the end.
const SETTLE: Duration = Duration::from_secs(5);

/// Something that is recorded. Only a [`Recorder`] makes one.
#[derive(Debug, Clone, PartialEq)]
pub struct Recorded<T> {
    value: T,
    link: Link,
    kept: Kept,
    found: Found,
}

/// Whether a record was durable when it was handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// It was.
    Durable,
    /// Not yet, or not as far as is known.
    Late,
}

/// Whether a record is this run's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// This run wrote it.
    New,
    /// An earlier run of the same cause did, and it holds.
    Earlier,
}

impl<T> Recorded<T> {
    /// What is recorded.
    pub fn value(&self) -> &T {
        &self.value
    }

    /// Where.
    pub fn link(&self) -> &Link {
        &self.link
    }

    /// Whether it was durable when it was handed out.
    pub fn kept(&self) -> Kept {
        self.kept
    }

    /// Whether this run wrote it.
    pub fn found(&self) -> Found {
        self.found
    }
}

/// Why nothing could be recorded.
#[derive(Debug, Error)]
pub enum RecordFailure {
    /// The store would not.
    #[error("the evidence store did not take the record")]
    Store(#[from] StoreError),
    /// It could not be put into JSON.
    #[error("the record could not be made")]
    Sign(#[from] SignError),
    /// Every place was taken.
    #[error("every place for the record is taken by something else")]
    Crowded,
}

impl RecordFailure {
    /// Whether trying again can help.
    #[must_use]
    pub fn passes(&self) -> bool {
        matches!(self, Self::Store(StoreError { passes: true, .. }))
    }
}

type Write = Pin<Box<dyn Future<Output = Result<Created, StoreError>> + Send>>;

/// A write that did not end in time. It goes on whenever it is polled, and is accounted for with [`Recorder::settle`].
#[must_use = "an unsettled write leaves a number unaccounted for"]
pub struct Late {
    signed: Signed,
    write: Option<Write>,
}

impl Late {
    /// The signed intent, to be parked where it can be filed from.
    #[must_use]
    pub fn signed(&self) -> &Signed {
        &self.signed
    }
}

impl fmt::Debug for Late {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Late").field("key", &self.signed.key).finish_non_exhaustive()
    }
}

/// One process's recorder.
#[derive(Debug)]
pub struct Recorder<S> {
    store: S,
    session: Session,
    trusted: Option<Sha256>,
}

impl<S: Worm> Recorder<S> {
    /// A recorder for `session` that stores in `store`.
    pub fn new(store: S, session: Session) -> Self {
        Self { store, session, trusted: None }
    }

    /// The store.
    pub fn store(&self) -> &S {
        &self.store
    }

    /// The session's id.
    pub fn session(&self) -> &SessionId {
        self.session.id()
    }

    /// The session's public key.
    pub fn public_key(&self) -> &PublicKey {
        self.session.public_key()
    }

    /// Whether records carry an endorsement.
    pub fn endorsed(&self) -> bool {
        self.session.endorsed()
    }

    /// Embeds an endorsement into every later record, and trusts earlier records that the same KMS key vouches for.
    pub fn endorse(&mut self, endorsement: dsse::Envelope) {
        self.trusted = Endorsement::open(&endorsement).ok().map(|endorsement| endorsement.endorser.fingerprint());
        self.session.endorse(endorsement);
    }

    /// Leaves a lapsed endorsement out of every later record, which is then *degraded* instead of wrong.
    pub fn lapse(&mut self) {
        self.session.lapse();
    }

    /// Records `draft`, or finds that an earlier run of the same cause has. At a place that something else has taken, an anomaly is
    /// noted and the next attempt is made.
    ///
    /// # Errors
    /// If it is not durable, as far as is known. Nothing may then be done that needs it.
    pub async fn intent<B>(&mut self, draft: Draft<B>) -> Result<Recorded<B>, RecordFailure>
    where
        B: Serialize + DeserializeOwned + Clone,
    {
        self.keep(draft, true).await
    }

    /// Records what there is to say in the end, beside what an earlier run has said.
    ///
    /// # Errors
    /// If it is not durable, as far as is known.
    pub async fn outcome<B>(&mut self, draft: Draft<B>) -> Result<Recorded<B>, RecordFailure>
    where
        B: Serialize + DeserializeOwned + Clone,
    {
        self.keep(draft, false).await
    }

    async fn keep<B>(&mut self, mut draft: Draft<B>, reuse: bool) -> Result<Recorded<B>, RecordFailure>
    where
        B: Serialize + DeserializeOwned + Clone,
    {
        for _ in 0..ATTEMPTS {
            let signed = self.session.sign(draft.clone())?;
            let created = self.store.create(&signed.key.to_string(), &signed.bytes).await;
            match created {
                Ok(Created::New) => return Ok(self.kept(draft.body, &signed)),
                Ok(Created::Existed) => {
                    let there = match self.store.read(&signed.key.to_string()).await {
                        Ok(there) => there,
                        Err(error) => {
                            self.session.lost(&signed);
                            return Err(error.into());
                        }
                    };
                    if let Some(recorded) = self.existing(&mut draft, &signed, there, reuse) {
                        return Ok(recorded);
                    }
                }
                Err(error) => {
                    self.session.lost(&signed);
                    return Err(error.into());
                }
            }
        }
        Err(RecordFailure::Crowded)
    }

    /// Like [`Recorder::intent`], for plans that only close: after `deadline` the plan is handed out all the same, as [`Kept::Late`],
    /// with the write that goes on.
    ///
    /// # Errors
    /// Only if the record cannot be made at all.
    pub async fn intent_or_degraded<B>(
        &mut self,
        mut draft: Draft<B>,
        deadline: impl Future<Output = ()>,
    ) -> Result<(Recorded<B>, Option<Late>), RecordFailure>
    where
        B: Serialize + DeserializeOwned + Clone + Closes,
    {
        let mut deadline = pin!(deadline);
        let mut attempt = 0;
        loop {
            attempt += 1;
            let signed = self.session.sign(draft.clone())?;
            let link = signed.link();
            let degraded = |value: B, signed: Signed, write: Option<Write>| {
                (Recorded { value, link, kept: Kept::Late, found: Found::New }, Some(Late { signed, write }))
            };
            let write = self.write(&signed);
            let existed = match select(write, &mut deadline).await {
                Either::Left((Ok(Created::New), _)) => return Ok((self.kept(draft.body, &signed), None)),
                Either::Left((Ok(Created::Existed), _)) if attempt < ATTEMPTS => true,
                Either::Left((_, _)) => false,
                Either::Right(((), write)) => return Ok(degraded(draft.body, signed, Some(write))),
            };
            if !existed {
                return Ok(degraded(draft.body, signed, None));
            }
            let key = signed.key.to_string();
            let there = {
                let read = pin!(self.store.read(&key));
                match select(read, &mut deadline).await {
                    Either::Left((Ok(there), _)) => there,
                    Either::Left((Err(_), _)) | Either::Right(_) => return Ok(degraded(draft.body, signed, None)),
                }
            };
            if let Some(recorded) = self.existing(&mut draft, &signed, there, true) {
                return Ok((recorded, None));
            }
        }
    }

    /// Accounts for a late write: waits a little longer, asks once more, and says whether the record is durable now.
    pub async fn settle(&mut self, late: Late) -> Kept {
        let Late { signed, write } = late;
        let write = write.unwrap_or_else(|| self.write(&signed));
        let again = self.write(&signed);
        let key = signed.key.to_string();
        let settled = async {
            if matches!(write.await, Ok(Created::New)) || matches!(again.await, Ok(Created::New)) {
                return true;
            }
            matches!(self.store.read(&key).await, Ok(Some(bytes)) if bytes == signed.bytes)
        };
        if tokio::time::timeout(SETTLE, settled).await.unwrap_or(false) {
            self.session.kept(&signed);
            Kept::Durable
        } else {
            self.session.lost(&signed);
            Kept::Late
        }
    }

    /// What an earlier run recorded at `key`, if our own KMS key vouches for it.
    pub async fn earlier<B: DeserializeOwned>(&self, key: &RecordKey) -> Option<B> {
        let bytes = self.store.read(&key.to_string()).await.ok()??;
        self.vouched(key, &bytes).ok().map(|(predicate, _)| predicate.body)
    }

    /// What this function recorded at `key`, to go by it now: it is durable, and our own KMS key vouches for it. None: nothing is there.
    ///
    /// # Errors
    /// If the store does not answer, or what is there is not ours.
    pub async fn recall<B: DeserializeOwned>(&self, key: &RecordKey) -> Result<Option<(Recorded<B>, Timestamp)>, StoreError> {
        let Some(bytes) = self.store.read(&key.to_string()).await? else { return Ok(None) };
        let (predicate, sha256) = self.vouched(key, &bytes).map_err(believing)?;
        let link = Link { key: key.clone(), sha256 };
        let time = predicate.record.time;
        Ok(Some((Recorded { value: predicate.body, link, kept: Kept::Durable, found: Found::Earlier }, time)))
    }

    /// What another function recorded at `key`, if the KMS key of this fingerprint vouches for it.
    ///
    /// # Errors
    /// If the store does not answer, or what is there is not that function's.
    pub async fn testimony<B: DeserializeOwned>(
        &self,
        key: &RecordKey,
        by: Sha256,
    ) -> Result<Option<(Predicate<B>, Sha256)>, StoreError> {
        let Some(bytes) = self.store.read(&key.to_string()).await? else { return Ok(None) };
        vouched_by(key, &bytes, Some(by)).map(Some).map_err(believing)
    }

    /// A record that an earlier run signed and could not store, if our own KMS key vouches for it. It is still late.
    #[must_use]
    pub fn parked<B: DeserializeOwned>(&self, key: &RecordKey, bytes: &[u8]) -> Option<Recorded<B>> {
        let (predicate, sha256) = self.vouched(key, bytes).ok()?;
        Some(Recorded { value: predicate.body, link: Link { key: key.clone(), sha256 }, kept: Kept::Late, found: Found::Earlier })
    }

    /// Files a record that an earlier run signed and could not store. True if it is durable.
    pub async fn file(&self, key: &RecordKey, bytes: &[u8]) -> bool {
        match self.store.create(&key.to_string(), bytes).await {
            Ok(Created::New) => true,
            Ok(Created::Existed) => matches!(self.store.read(&key.to_string()).await, Ok(Some(there)) if there == bytes),
            Err(_) => false,
        }
    }

    fn write(&self, signed: &Signed) -> Write {
        let (store, key, bytes) = (self.store.clone(), signed.key.to_string(), signed.bytes.clone());
        Box::pin(async move { store.create(&key, &bytes).await })
    }

    fn kept<B>(&mut self, value: B, signed: &Signed) -> Recorded<B> {
        self.session.kept(signed);
        Recorded { value, link: signed.link(), kept: Kept::Durable, found: Found::New }
    }

    /// What to make of an object that is already where `signed` should be. None: go on with the next attempt, which `draft` now is.
    fn existing<B>(&mut self, draft: &mut Draft<B>, signed: &Signed, there: Option<Vec<u8>>, reuse: bool) -> Option<Recorded<B>>
    where
        B: DeserializeOwned + Clone,
    {
        let there = there.unwrap_or_default();
        if there == signed.bytes {
            // Our own write, whose answer was lost.
            return Some(self.kept(draft.body.clone(), signed));
        }
        self.session.lost(signed);
        match self.same_cause(draft, &there) {
            Ok(recorded) if reuse => return Some(recorded),
            Ok(_) => {}
            Err(reason) => {
                let sha256 = (!there.is_empty()).then(|| Sha256::of(&there));
                draft.anomalies.push(Anomaly { key: signed.key.to_string(), sha256, reason });
            }
        }
        draft.key = draft.key.sibling(draft.key.attempt.saturating_add(1), draft.key.kind);
        None
    }

    /// Whether the object at `draft`'s place is one of ours, endorsed by our own KMS key, about the same cause.
    fn same_cause<B: DeserializeOwned>(&self, draft: &Draft<B>, bytes: &[u8]) -> Result<Recorded<B>, String> {
        let (predicate, sha256) = self.vouched::<B>(&draft.key, bytes)?;
        let record = predicate.record;
        if record.signal != draft.signal || record.incident != draft.incident {
            return Err("a record of another cause, in our place".to_owned());
        }
        let kept = Kept::Durable;
        Ok(Recorded { value: predicate.body, link: Link { key: draft.key.clone(), sha256 }, kept, found: Found::Earlier })
    }

    /// Opens a record that our own KMS key vouches for.
    fn vouched<B: DeserializeOwned>(&self, key: &RecordKey, bytes: &[u8]) -> Result<(Predicate<B>, Sha256), String> {
        vouched_by(key, bytes, self.trusted)
    }
}

/// Opens a record that the KMS key of this fingerprint vouches for.
fn vouched_by<B: DeserializeOwned>(key: &RecordKey, bytes: &[u8], by: Option<Sha256>) -> Result<(Predicate<B>, Sha256), String> {
    let (statement, sha256) = open::<B>(key, bytes).map_err(|error| format!("a squatted place: {error}"))?;
    let predicate = statement.predicate;
    let envelope = predicate.endorsement.as_ref().ok_or("a record that nobody vouches for, in our place")?;
    let endorsement = Endorsement::open(envelope).map_err(|error| format!("a squatted place: {error}"))?;
    let record = &predicate.record;
    let ours = Some(endorsement.endorser.fingerprint()) == by
        && endorsement.session == record.session.id
        && endorsement.session_key == record.session.key
        && endorsement.function == key.function
        && record.time <= endorsement.not_after;
    if ours { Ok((predicate, sha256)) } else { Err("a record that our own key does not vouch for, in our place".to_owned()) }
}

/// A record that is there and cannot be believed.
fn believing(cause: String) -> StoreError {
    StoreError { doing: "believe a record", cause, passes: false }
}
