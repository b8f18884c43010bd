#![doc = include_str!("../README.md")]

mod anchor;
mod environment;
mod http;
mod known;
mod position;
mod request;
mod timestamp;
mod witness;

use std::time::Duration;

use evidence::log::{Batch, Entry, Kept, Odd, Orphan, Sealed, batch_key};
use evidence::{Keyring, RINGS, RecordKey, key_named, open};
use evidence_store::{Created, Listed, StoreError};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use ids::{Sha256, Timestamp};
use responder::{Attention, Transient};
use serde::Serialize;
use serde::de::IgnoredAny;

pub use anchor::Anchored;
pub use environment::Environment;
use known::{Fresh, KEYS, is_key};
use position::Position;
use request::Request;

/// What this function is called in records, metrics and roots.
const FUNCTION: &str = "seal";
/// So many records go into one batch; more wait for the next, which follows at once.
const BATCH: usize = 1000;
/// So many records are read at once.
const ABREAST: usize = 16;
/// A record is a few kilobytes; what is larger than this is none.
const LARGEST: u64 = 1 << 20;
/// With no new record, an empty batch is written this long after the last.
const HEARTBEAT: Duration = Duration::from_secs(3600);
/// A pass begins no further batch after this long; the next pass goes on.
const ENOUGH: Duration = Duration::from_secs(30);

/// What became of a pass, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Said {
    /// The log has grown.
    Sealed,
    /// There was nothing new.
    Quiet,
    /// The event was not understood.
    Refused,
}

/// The function's answer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Answer {
    /// In a word.
    pub outcome: Said,
    /// In a sentence.
    pub reason: String,
    /// Whom it concerns.
    pub attention: Attention,
    /// Keys of the batches that this pass wrote, or found unpublished and published.
    pub batches: Vec<String>,
    /// How many records they seal.
    pub records: usize,
    /// How many keys and rings of keys.
    pub keys: usize,
    /// What should not be there.
    pub odd: Vec<Odd>,
    /// Intents whose outcome is overdue.
    pub orphans: Vec<Orphan>,
    /// How many leaves the log has.
    pub size: u64,
    /// What came of the anchors outside, of those that are configured.
    pub anchored: Anchored,
}

impl Answer {
    fn new() -> Self {
        Self {
            outcome: Said::Quiet,
            reason: "nothing new".to_owned(),
            attention: Attention::None,
            batches: Vec::new(),
            records: 0,
            keys: 0,
            odd: Vec::new(),
            orphans: Vec::new(),
            size: 0,
            anchored: Anchored::default(),
        }
    }

    fn add(&mut self, batch: Batch) {
        self.batches.push(batch_key(batch.seal.batch));
        for entry in batch.entries {
            match entry {
                Entry::Record(_) => self.records += 1,
                Entry::Kept(_) => self.keys += 1,
                Entry::Odd(odd) => self.odd.push(odd),
                Entry::Orphan(orphan) => self.orphans.push(orphan),
            }
        }
    }

    fn concluded(mut self, size: u64) -> Self {
        self.size = size;
        if !self.batches.is_empty() {
            self.outcome = Said::Sealed;
            let keys = if self.keys > 0 { format!(" and {} keys", self.keys) } else { String::new() };
            self.reason = format!("{} records{keys} sealed; the log has {size} leaves", self.records);
        }
        if !self.anchored.failed.is_empty() {
            self.reason = format!("{}; {} anchors failed", self.reason, self.anchored.failed.len());
        }
        if !self.orphans.is_empty() {
            self.attention = Attention::Notify;
            self.reason = format!("{}; {} intents have no outcome", self.reason, self.orphans.len());
        }
        if !self.odd.is_empty() {
            self.attention = Attention::Page;
            self.reason = format!("{}; {} objects should not be there", self.reason, self.odd.len());
        }
        self
    }
}

/// Answers one event: seals what is there and not sealed yet.
///
/// # Errors
/// If the store, KMS or the queue do not answer. The next pass begins where this one ended, whatever was done.
pub async fn handle(event: &[u8], environment: &Environment) -> Result<Answer, Transient> {
    let request = match Request::read(event) {
        Ok(request) => request,
        Err(reason) => {
            responder::count(FUNCTION, "Refused", 1, calls::now());
            return Ok(Answer { outcome: Said::Refused, reason: reason.to_owned(), ..Answer::new() });
        }
    };
    let mut kept = environment.position.lock().await;
    let since = request.since(calls::now());
    // Taken out: after an error it is found anew, from what is stored.
    let mut position = match kept.take() {
        Some(position) => position,
        None => Position::find(environment, since).await.map_err(Transient::of)?,
    };
    let answer = Box::pin(pass(since, &mut position, environment)).await.map_err(Transient::of)?;
    *kept = Some(position);
    let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    for (metric, count) in [
        ("Batches", answer.batches.len()),
        ("Sealed", answer.records),
        ("Tampered", answer.odd.len()),
        ("Orphans", answer.orphans.len()),
    ] {
        responder::count(FUNCTION, metric, number(count), calls::now());
    }
    if environment.anchors.any() {
        let Anchored { failed, .. } = &answer.anchored;
        failed.iter().for_each(|reason| eprintln!("not anchored: {reason}"));
        for (metric, count) in [("Anchored", answer.anchored.held()), ("AnchorsFailed", failed.len())] {
            responder::count(FUNCTION, metric, number(count), calls::now());
        }
    }
    Ok(answer)
}

/// observe → plan → create the batch → publish what follows from it; again while there is more.
async fn pass(since: Timestamp, position: &mut Position, environment: &Environment) -> Result<Answer, StoreError> {
    let began = calls::now();
    let mut answer = Answer::new();
    // Once for each batch that is made: what others made meanwhile.
    let mut others = position.catch_up(environment).await?;
    // After a silence, whatever its length: what came meanwhile is nowhere in the log.
    let since = request::after_silence(since, position.last.map(|(.., time)| time), began);
    if since < position.known.since {
        position.know(environment, since).await?;
    } else {
        position.known.forget_before(since);
    }
    loop {
        if !others.is_empty() {
            finish(std::mem::take(&mut others), position, environment, &mut answer).await?;
        }
        let mut listed = list(environment, since).await?;
        // All of them, whatever their time: so a second version of an old one is seen to be one.
        let keys = environment.evidence.versions(KEYS, None).await?;
        position.known.presume(&keys, since);
        listed.extend(keys);
        let fresh = position.known.fresh(listed);
        let more = fresh.len() > BATCH;
        let mut entries = examine(fresh, environment).await?;
        let now = calls::now();
        // What is left of either is for the next batch: readers need not hold more than this of one.
        let orphans = position.known.orphans(now, &entries);
        let more = more || orphans.len() > BATCH;
        entries.extend(orphans.into_iter().take(BATCH).map(Entry::Orphan));
        let idle = position.last.is_none_or(|(.., time)| time.plus(HEARTBEAT) <= now);
        if entries.is_empty() && !idle {
            break;
        }
        let previous = position.last.map(|(number, digest, _)| (number, digest));
        // Another sealer's clock may be ahead of this one's: the log's time never goes back.
        let time = position.last.map_or(now, |(.., last)| last.max(now));
        let made = Batch::next(&environment.log, previous, &position.edge, time, entries);
        let (batch, bytes) = made.and_then(|batch| batch.to_bytes().map(|bytes| (batch, bytes))).map_err(|error| StoreError {
            doing: "make a batch",
            cause: error.to_string(),
            passes: false,
        })?;
        let key = batch_key(batch.seal.batch);
        if environment.evidence.create_once(&key, &bytes, "application/json").await? == Created::Existed {
            // Another sealer was faster, or an answer of ours was lost: its batch is the one. What it left out is still fresh.
            others = position.catch_up(environment).await?;
            continue;
        }
        position.take(&environment.log, &batch, Sha256::of(&bytes))?;
        finish(vec![batch], position, environment, &mut answer).await?;
        if !more || calls::now().millis_since(began) > i64::try_from(ENOUGH.as_millis()).unwrap_or(i64::MAX) {
            break;
        }
        others = position.catch_up(environment).await?;
    }
    Ok(answer.concluded(position.edge.size()))
}

/// Publishes what follows from new batches, and hands their orphans on.
async fn finish(
    batches: Vec<Batch>,
    position: &mut Position,
    environment: &Environment,
    answer: &mut Answer,
) -> Result<(), StoreError> {
    let before = answer.orphans.len();
    batches.into_iter().for_each(|batch| answer.add(batch));
    // Before the hint moves on: whoever comes after a crash hands them on again.
    environment.hand_on(answer.orphans.get(before..).unwrap_or_default()).await?;
    // Boxed: all of this in one future is more than a small stack holds.
    answer.anchored.add(Box::pin(position.publish(environment)).await?);
    Ok(())
}

/// Every version of every record since then, of every function.
async fn list(environment: &Environment, since: Timestamp) -> Result<Vec<Listed>, StoreError> {
    let mut listed = Vec::new();
    for folder in environment.evidence.folders("rec/").await? {
        let after = format!("{folder}{}", since.minute_path());
        listed.extend(environment.evidence.versions(&folder, Some(&after)).await?);
    }
    Ok(listed)
}

/// Reads what is new: what does not hold is sealed too, as odd.
async fn examine(fresh: Vec<Fresh>, environment: &Environment) -> Result<Vec<Entry>, StoreError> {
    let looks = stream::iter(fresh.into_iter().take(BATCH)).map(|fresh| look(fresh, environment));
    looks.buffered(ABREAST).try_collect().await
}

async fn look(fresh: Fresh, environment: &Environment) -> Result<Entry, StoreError> {
    let odd = |listed: Listed, sha256, reason: String| {
        Entry::Odd(Odd { key: listed.key, version: listed.version, stored: listed.stored, sha256, reason })
    };
    let listed = match fresh {
        Fresh::First(listed) => listed,
        Fresh::Odd(listed, reason) if listed.marker || listed.size > LARGEST => return Ok(odd(listed, None, reason.to_owned())),
        Fresh::Odd(listed, reason) => {
            let bytes = environment.evidence.record(&listed.key, Some(&listed.version)).await?;
            return Ok(odd(listed, bytes.map(|bytes| Sha256::of(&bytes)), reason.to_owned()));
        }
    };
    if listed.size > LARGEST {
        return Ok(odd(listed, None, "larger than any record can be".to_owned()));
    }
    let Some(bytes) = environment.evidence.record(&listed.key, Some(&listed.version)).await? else {
        return Ok(odd(listed, None, "listed, and then not there".to_owned()));
    };
    let digest = Sha256::of(&bytes);
    if is_key(&listed.key) {
        return Ok(match key_holds(&listed.key, &bytes) {
            Ok(()) => Entry::Kept(Kept { key: listed.key, version: listed.version, sha256: digest, stored: listed.stored }),
            Err(reason) => odd(listed, Some(digest), reason),
        });
    }
    let Ok(key) = listed.key.parse::<RecordKey>() else {
        return Ok(odd(listed, Some(digest), "not a record's key".to_owned()));
    };
    match open::<IgnoredAny>(&key, &bytes) {
        Ok((statement, sha256)) => {
            let record = statement.predicate.record;
            let (version, stored) = (listed.version, listed.stored);
            Ok(Entry::Record(Sealed { kind: key.kind, key, version, sha256, stored, incident: record.incident, due: record.due }))
        }
        Err(error) => Ok(odd(listed, Some(digest), error.to_string())),
    }
}

/// What can be told of a key or a ring by itself. Whom a reader trusts is not for the sealer to say.
fn key_holds(object: &str, bytes: &[u8]) -> Result<(), String> {
    if object.starts_with(RINGS) {
        Keyring::open(object, bytes).map(drop).map_err(|error| error.to_string())
    } else {
        key_named(object, bytes).map(drop).ok_or_else(|| "neither a ring nor the public key that its name says".to_owned())
    }
}
