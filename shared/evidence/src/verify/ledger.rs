//! The log as it is read back: batches in order, what they name, and the checkpoints over them.
//!
//! Batches and the records that they name may be read side by side. What is held is what one side has said and the other has not met
//! yet, so that memory depends on how far the two are apart and not on how long the log is.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use ids::{Sha256, Timestamp};

use super::Version;
use super::report::{FaultKind, LogReport};
use crate::endorsement::PublicKey;
use crate::log::{Batch, Checkpoint, CheckpointError, Edge, Entry, batch_key, batch_number, checkpoint_key};

/// A fault in the making: how bad, where, what.
type Found = (FaultKind, String, String);

/// A record may wait this long for its seal (a minute by design) before that is a fault.
const PATIENCE: Duration = Duration::from_secs(10 * 60);
/// A log that works makes a batch at least every hour, with or without records.
const SILENCE: Duration = Duration::from_secs(65 * 60);

/// A version that a batch names and that was not met yet.
#[derive(Debug)]
struct Expected {
    index: u64,
    sha256: Option<Sha256>,
    stored: Timestamp,
    version: String,
}

/// A version that was met and that no batch has named yet.
#[derive(Debug)]
struct Met {
    sha256: Sha256,
    made: Timestamp,
    version: Option<Version>,
}

/// A checkpoint whose signature holds.
#[derive(Debug)]
struct Signed {
    object: String,
    root: Sha256,
    signer: Sha256,
    /// The store's own time for the note, where it has one.
    stored: Option<Timestamp>,
}

/// Says whether the reader trusts a key to sign over a batch of this time, in a note that was stored at this time.
pub(super) type Judge<'a> = &'a dyn Fn(&Sha256, Option<Timestamp>, Option<Timestamp>) -> Result<(), String>;

/// See the module's own words.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    name: Option<String>,
    batches: u64,
    /// The newest batch: its number, digest and time.
    last: Option<(u64, Sha256, Timestamp)>,
    edge: Edge,
    /// Once a batch is missing or wrong, no later root can be told.
    broken: bool,
    /// By size: the root after each batch that no checkpoint here has confirmed yet, and when that batch was made.
    roots: BTreeMap<u64, (Sha256, Timestamp)>,
    ahead: BTreeMap<u64, Vec<Signed>>,
    /// By key and, where there is a choice, version: what the log says must be here.
    expected: HashMap<String, Vec<Expected>>,
    unsealed: HashMap<String, Vec<Met>>,
    keys: BTreeMap<Sha256, PublicKey>,
    checkpoints: u64,
    signed: u64,
}

impl Ledger {
    pub(super) fn is_empty(&self) -> bool {
        self.batches == 0
    }

    /// The time of the newest batch that was read.
    pub(super) fn time(&self) -> Option<Timestamp> {
        self.last.map(|(.., time)| time)
    }

    /// How many leaves the batches read so far come to.
    pub(super) fn size(&self) -> u64 {
        self.edge.size()
    }

    pub(super) fn know(&mut self, key: PublicKey) {
        self.keys.insert(key.fingerprint(), key);
    }

    pub(super) fn batch(&mut self, object: &str, bytes: &[u8], judge: Judge<'_>, found: &mut Vec<Found>) {
        self.follow(object, bytes, found);
        // What was signed over as many leaves, or over fewer, can be compared now; nothing else will come of it.
        let later = self.ahead.split_off(&self.edge.size().saturating_add(1));
        for (size, ahead) in std::mem::replace(&mut self.ahead, later) {
            ahead.iter().for_each(|signed| self.compare(size, signed, false, judge, found));
        }
    }

    fn follow(&mut self, object: &str, bytes: &[u8], found: &mut Vec<Found>) {
        let mut fail = |reason: String| found.push((FaultKind::Failure, object.to_owned(), reason));
        self.batches += 1;
        let Some(number) = batch_number(object) else {
            return fail("not a batch's key: something was put among the evidence".to_owned());
        };
        let wanted = self.last.map_or(1, |(last, ..)| last.saturating_add(1));
        if number != wanted {
            self.broken = true;
            fail(format!("before it, batch {wanted} is missing: what it put into the log cannot be told"));
        }
        let batch = match Batch::parse(bytes) {
            Ok(batch) => batch,
            Err(error) => {
                (self.broken, self.last) = (true, Some((number, Sha256::of(bytes), Timestamp::saturating(0))));
                return fail(error.to_string());
            }
        };
        let previous = self.name.as_deref().zip(self.last.map(|(_, digest, _)| digest));
        if !self.broken
            && let Err(error) = batch.follow(number, previous, &mut self.edge)
        {
            self.broken = true;
            fail(error.to_string());
        }
        if !self.broken {
            self.roots.insert(self.edge.size(), (self.edge.root(), batch.seal.time));
        }
        if let Some((before, _, time)) = self.last {
            let gap = batch.seal.time.millis_since(time);
            if gap < 0 {
                fail(format!("older than batch {before}, which it follows"));
            } else if u128::from(gap.unsigned_abs()) > SILENCE.as_millis() {
                let minutes = gap / 60_000;
                found.push((FaultKind::Notice, object.to_owned(), format!("the log was silent for {minutes} minutes before it")));
            }
        }
        for (index, entry) in (batch.before.saturating_add(1)..).zip(batch.entries) {
            self.expect(object, index, entry, found);
        }
        self.last = Some((number, Sha256::of(bytes), batch.seal.time));
        self.name.get_or_insert(batch.log);
    }

    fn expect(&mut self, batch: &str, index: u64, entry: Entry, found: &mut Vec<Found>) {
        let (key, expected) = match entry {
            Entry::Record(record) => {
                let expected = Expected { index, sha256: Some(record.sha256), stored: record.stored, version: record.version };
                (record.key.to_string(), expected)
            }
            Entry::Odd(odd) => {
                found.push((
                    FaultKind::Failure,
                    odd.key.clone(),
                    format!("the log says of version {}: {}", odd.version, odd.reason),
                ));
                (odd.key, Expected { index, sha256: odd.sha256, stored: odd.stored, version: odd.version })
            }
            Entry::Kept(kept) => {
                let expected = Expected { index, sha256: Some(kept.sha256), stored: kept.stored, version: kept.version };
                (kept.key, expected)
            }
            // That it has no outcome shows by itself, and that one came late is good news.
            Entry::Orphan(orphan) => {
                let reason = format!("had no outcome when one was due ({}), says the log", orphan.due);
                return found.push((FaultKind::Notice, orphan.intent.to_string(), reason));
            }
        };
        if let Some(met) = self.take_met(&key, &expected.version) {
            return agree(&key, &expected, met.sha256, met.version.as_ref(), found);
        }
        let versions = self.expected.entry(key.clone()).or_default();
        if let Some(other) = versions.iter().find(|other| other.version == expected.version) {
            let reason = format!("names {key} a second time; it is at index {} already", other.index);
            found.push((FaultKind::Failure, batch.to_owned(), reason));
        }
        versions.push(expected);
    }

    /// What was met at `key` as this version, taken out.
    fn take_met(&mut self, key: &str, version: &str) -> Option<Met> {
        let met = self.unsealed.get_mut(key)?;
        let at = met.iter().position(|met| met.version.as_ref().is_none_or(|met| met.id == version))?;
        let taken = met.swap_remove(at);
        if met.is_empty() {
            self.unsealed.remove(key);
        }
        Some(taken)
    }

    /// A note from this store (`own`) or from anywhere else.
    pub(super) fn checkpoint(
        &mut self,
        object: &str,
        note: &[u8],
        own: bool,
        stored: Option<Timestamp>,
        judge: Judge<'_>,
        found: &mut Vec<Found>,
    ) {
        let mut fail = |reason: String| found.push((FaultKind::Failure, object.to_owned(), reason));
        let Ok(note) = std::str::from_utf8(note) else { return fail(CheckpointError::Form.to_string()) };
        let known = self.keys.values().map(|key| (key.fingerprint(), Checkpoint::verify(note, key)));
        let by_one_of_them = known.into_iter().find(|(_, read)| !matches!(read, Err(CheckpointError::NoSignature(_))));
        let (signer, checkpoint) = match by_one_of_them {
            Some((signer, Ok(checkpoint))) => (signer, checkpoint),
            Some((_, Err(error))) => return fail(error.to_string()),
            None => return fail("not signed by any key that is kept under `keys/`".to_owned()),
        };
        if self.name.as_ref().is_some_and(|name| *name != checkpoint.origin) {
            return fail(format!("of the log `{}`", checkpoint.origin));
        }
        if own && object != checkpoint_key(checkpoint.size) {
            return fail(format!("over {} leaves, which is not what its name says", checkpoint.size));
        }
        let signed = Signed { object: object.to_owned(), root: checkpoint.root, signer, stored };
        if checkpoint.size > self.edge.size() {
            self.ahead.entry(checkpoint.size).or_default().push(signed);
            return;
        }
        self.compare(checkpoint.size, &signed, own, judge, found);
    }

    /// Compares a checkpoint over `size` leaves with the batches. Of the store's own (`last`) there is one over each size.
    fn compare(&mut self, size: u64, signed: &Signed, last: bool, judge: Judge<'_>, found: &mut Vec<Found>) {
        let mut fail = |reason: String| found.push((FaultKind::Failure, signed.object.clone(), reason));
        if let Err(reason) = judge(&signed.signer, self.roots.get(&size).map(|(_, time)| *time), signed.stored) {
            return fail(reason);
        }
        match self.roots.get(&size) {
            Some((own, _)) if *own == signed.root => {
                self.checkpoints += 1;
                self.signed = self.signed.max(size);
                if last {
                    self.roots.remove(&size);
                }
            }
            Some(_) => fail(format!("its root over {size} leaves is not the batches': the log was forked")),
            None if self.broken => fail("cannot be compared: the batches under it do not hold".to_owned()),
            None => fail(format!("signed over {size} leaves, where no batch ends")),
        }
    }

    /// Compares an object that was read with what the log says of it.
    pub(super) fn meet(
        &mut self,
        object: &str,
        sha256: Sha256,
        made: Timestamp,
        version: Option<&Version>,
        found: &mut Vec<Found>,
    ) {
        if self.is_empty() {
            return;
        }
        let mut versions = self.expected.remove(object).unwrap_or_default();
        let same = |expected: &Expected| version.is_none_or(|version| version.id == expected.version);
        let at = versions.iter().position(same).map(|at| versions.swap_remove(at));
        if !versions.is_empty() {
            self.expected.insert(object.to_owned(), versions);
        }
        if let Some(expected) = at {
            return agree(object, &expected, sha256, version, found);
        }
        self.unsealed.entry(object.to_owned()).or_default().push(Met { sha256, made, version: version.cloned() });
    }

    /// Compares an object under `keys/`, or a delete marker on one, with what the log says of it. Logs did not always say anything:
    /// only of a ring is that worth a word.
    pub(super) fn kept(
        &mut self,
        object: &str,
        sha256: Option<Sha256>,
        version: Option<&Version>,
        is_ring: bool,
        found: &mut Vec<Found>,
    ) {
        let same = |expected: &Expected| version.is_none_or(|version| version.id == expected.version);
        if self.expected.get(object).is_some_and(|versions| versions.iter().any(same)) {
            let made = version.map_or(Timestamp::saturating(0), |version| version.stored);
            self.meet(object, sha256.unwrap_or_else(|| Sha256::of(b"")), made, version, found);
        } else if is_ring && sha256.is_some() && !self.is_empty() {
            found.push((FaultKind::Notice, object.to_owned(), "not in the log (yet): nothing would miss it".to_owned()));
        }
    }

    pub(super) fn finish(self, now: Timestamp, found: &mut Vec<Found>) -> Option<LogReport> {
        let here = self.edge.size();
        for (size, ahead) in &self.ahead {
            let reason = if self.broken {
                "cannot be compared: the batches under it do not hold".to_owned()
            } else {
                format!("signed over {size} leaves, and only {here} are here: the log's end was cut off")
            };
            found.extend(ahead.iter().map(|ahead| (FaultKind::Failure, ahead.object.clone(), reason.clone())));
        }
        for (object, met) in &self.unsealed {
            for Met { made, version, .. } in met {
                // A copy without the store's times cannot tell a record that was filed late from one that was slipped in.
                let stored = version.as_ref().map(|version| version.stored);
                let newest = self.last.map_or(*made, |(.., time)| time);
                let overdue = stored.is_some_and(|stored| stored.plus(PATIENCE) < newest);
                let kind = if overdue { FaultKind::Failure } else { FaultKind::Notice };
                let reason = if overdue { "never sealed into the log" } else { "not in the log yet" };
                found.push((kind, object.clone(), reason.to_owned()));
            }
        }
        let mut missing: Vec<_> = self.expected.iter().flat_map(|(key, left)| left.iter().map(move |one| (key, one))).collect();
        missing.sort_by_key(|(_, expected)| expected.index);
        for (key, Expected { index, version, .. }) in missing {
            found.push((
                FaultKind::Failure,
                key.clone(),
                format!("in the log at index {index} (version {version}), and not here, or named twice"),
            ));
        }
        let (number, _, newest) = self.last?;
        let (last, size, root) = (batch_key(number), self.edge.size(), self.edge.root());
        if self.signed < size && !self.broken {
            // A sealer that died between the two leaves this for a minute.
            let kind = if now > newest.plus(PATIENCE) { FaultKind::Failure } else { FaultKind::Notice };
            found.push((kind, last.clone(), format!("no checkpoint over its {size} leaves; the newest is over {}", self.signed)));
        }
        if now > newest.plus(SILENCE) {
            let reason = format!("the log ends here, at {newest}: what came later, if anything did, was not looked at");
            found.push((FaultKind::Notice, last, reason));
        }
        let (batches, checkpoints, signed) = (self.batches, self.checkpoints, self.signed);
        Some(LogReport { name: self.name?, batches, size, root, newest, checkpoints, signed })
    }
}

/// Compares a version with what a batch says of it.
fn agree(object: &str, expected: &Expected, sha256: Sha256, version: Option<&Version>, found: &mut Vec<Found>) {
    let mut fail = |reason: String| found.push((FaultKind::Failure, object.to_owned(), reason));
    if expected.sha256.is_some_and(|digest| digest != sha256) {
        fail(format!("not the object that the log has at index {}", expected.index));
    } else if version.is_some_and(|version| version.stored != expected.stored) {
        fail(format!("the log has it stored at {}: its listed time was changed", expected.stored));
    }
}
