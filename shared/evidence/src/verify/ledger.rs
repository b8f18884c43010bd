//! The log as it is read back: batches in order, what they name, and the checkpoints over them.
//!
//! Batches and the records that they name may be read side by side. What is held is what one side has said and the other has not met
//! yet, so that memory depends on how far the two are apart and not on how long the log is.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use ids::{Sha256, Timestamp};

use super::report::{AnchorReport, FaultKind, LogReport};
use super::{SKEW, Version};
use crate::log::{
    Batch, Checkpoint, Edge, Entry, LogKey, LogKeys, Opened, batch_key, batch_number, bundle_key, checkpoint_key, checkpoint_size,
};

/// A fault in the making: how bad, where, what.
type Found = (FaultKind, String, String);

/// A record may wait this long for its seal (a minute by design) before that is a fault.
const PATIENCE: Duration = Duration::from_secs(10 * 60);
/// The sealer looks back for a day and more once a day: what is older than that and not in the log was never sealed, whatever its copy
/// says of the store's times.
const A_DAY_AND_MORE: Duration = Duration::from_secs(26 * 3600);
/// A log that works makes a batch at least every hour, with or without records.
pub(super) const SILENCE: Duration = Duration::from_secs(65 * 60);

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

/// A note whose signatures hold.
#[derive(Debug)]
pub(super) struct Note {
    pub(super) object: String,
    pub(super) text: String,
    pub(super) opened: Opened,
    /// The store's own time for it, where it has one.
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
    ahead: BTreeMap<u64, Vec<Note>>,
    /// The size of this store's own checkpoint that was confirmed last.
    confirmed: Option<u64>,
    /// By key and, where there is a choice, version: what the log says must be here.
    expected: HashMap<String, Vec<Expected>>,
    unsealed: HashMap<String, Vec<Met>>,
    keys: LogKeys,
    checkpoints: u64,
    /// The size of the checkpoint that was counted last: one that is cosigned is here more than once.
    counted: Option<u64>,
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

    pub(super) fn know(&mut self, key: LogKey) {
        self.keys.know(key);
    }

    /// Where the log ends so far, and when its newest batch was made; none if that cannot be told.
    pub(super) fn end(&self) -> Option<(u64, Timestamp)> {
        self.last.filter(|_| !self.broken).map(|(.., time)| (self.edge.size(), time))
    }

    /// The checkpoint that the batches come to at `size` leaves; none if no batch that holds ends there.
    pub(super) fn head(&self, size: u64) -> Option<Checkpoint> {
        let (origin, (root, _)) = self.name.clone().zip(self.roots.get(&size).copied())?;
        Some(Checkpoint { origin, size, root })
    }

    /// Takes in the next batch, and gives back the notes that waited for it and fit it.
    pub(super) fn batch(
        &mut self,
        object: &str,
        bytes: &[u8],
        stored: Option<Timestamp>,
        judge: Judge<'_>,
        found: &mut Vec<Found>,
    ) -> Vec<Note> {
        self.follow(object, bytes, stored, found);
        // What was signed over as many leaves, or over fewer, can be compared now; nothing else will come of it.
        let later = self.ahead.split_off(&self.edge.size().saturating_add(1));
        let ahead = std::mem::replace(&mut self.ahead, later).into_values().flatten();
        ahead.filter_map(|note| self.compare(note, judge, found)).collect()
    }

    fn follow(&mut self, object: &str, bytes: &[u8], stored: Option<Timestamp>, found: &mut Vec<Found>) {
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
        // The log's clock decides what is late and what a witness has seen: it may not stand still while the store's goes on.
        let made = batch.seal.time;
        if stored.is_some_and(|stored| stored > made.plus(SKEW)) {
            fail(format!("says that it was made at {made}, long before it was stored"));
        }
        let newer = |entry: &Entry| entry.stored().is_some_and(|stored| stored > made.plus(SKEW));
        if let Some((key, _)) = batch.entries.iter().find(|entry| newer(entry)).and_then(Entry::object) {
            fail(format!("says that it was made at {made}, and names {key}, which was stored later"));
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

    /// Whether `bytes` are the bundle that goes with this store's checkpoint, as a known key signed it.
    pub(super) fn bundle(&self, object: &str, bytes: &[u8]) -> Result<(), &'static str> {
        let size = checkpoint_size(object).filter(|size| bundle_key(*size) == object);
        let head = size
            .and_then(|size| self.head(size))
            .ok_or("a bundle where no batch that holds ends: there is nothing it could be over")?;
        if head.is_bundled(bytes, &self.keys) {
            Ok(())
        } else {
            Err("not this checkpoint, signed by a key that is kept under `keys/`")
        }
    }

    /// Takes in a note from this store (`own`) or from anywhere else, and gives it back if it holds and fits the batches. One over more
    /// leaves than there are waits for the batch that it is over.
    pub(super) fn checkpoint(
        &mut self,
        object: &str,
        note: &str,
        own: bool,
        stored: Option<Timestamp>,
        judge: Judge<'_>,
        found: &mut Vec<Found>,
    ) -> Option<Note> {
        let mut fail = |reason: String| {
            found.push((FaultKind::Failure, object.to_owned(), reason));
            None
        };
        let opened = match Checkpoint::open(note, &self.keys) {
            Ok(opened) => opened,
            Err(error) => return fail(error.to_string()),
        };
        let size = opened.checkpoint.size;
        if self.name.as_ref().is_some_and(|name| *name != opened.checkpoint.origin) {
            return fail(format!("of the log `{}`", opened.checkpoint.origin));
        }
        if own && checkpoint_size(object) != Some(size) {
            return fail(format!("over {size} leaves, which is not what its name says"));
        }
        let note = Note { object: object.to_owned(), text: note.to_owned(), opened, stored };
        if size > self.edge.size() {
            self.ahead.entry(size).or_default().push(note);
            return None;
        }
        self.compare(note, judge, found)
    }

    /// Compares a note with the batches.
    fn compare(&mut self, note: Note, judge: Judge<'_>, found: &mut Vec<Found>) -> Option<Note> {
        let mut fail = |reason: String| {
            found.push((FaultKind::Failure, note.object.clone(), reason));
            None
        };
        let (size, root) = (note.opened.checkpoint.size, note.opened.checkpoint.root);
        let made = self.roots.get(&size).map(|(_, time)| *time);
        let judged: Vec<_> = note.opened.signers.iter().map(|signer| judge(signer, made, note.stored)).collect();
        if let Some(Err(reason)) = judged.iter().find(|judged| judged.is_ok()).or(judged.first()) {
            return fail(reason.clone());
        }
        match self.roots.get(&size) {
            Some((own, _)) if *own == root => {
                if self.counted.replace(size) != Some(size) {
                    self.checkpoints += 1;
                }
                self.signed = self.signed.max(size);
                // What this store has over one size lies together: those before it are done with.
                if note.object == checkpoint_key(size)
                    && let Some(before) = self.confirmed.replace(size).filter(|before| *before < size)
                {
                    self.roots.remove(&before);
                }
                Some(note)
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
                let overdue = match stored {
                    Some(stored) => stored.plus(PATIENCE) < newest,
                    None => made.plus(A_DAY_AND_MORE) < newest,
                };
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
        let anchors = AnchorReport::default();
        Some(LogReport { name: self.name?, batches, size, root, newest, checkpoints, signed, anchors })
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
