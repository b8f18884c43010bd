//! The log as it is read back: batches in order, what they name, and the checkpoints over them.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use ids::{Sha256, Timestamp};

use super::Version;
use super::report::{AnchorReport, FaultKind, LogReport};
use crate::log::{Batch, Checkpoint, Edge, Entry, LogKey, LogKeys, Opened, batch_key, batch_number};

/// A fault in the making: how bad, where, what.
type Found = (FaultKind, String, String);

/// A record may wait this long for its seal (a minute by design) before that is a fault.
const PATIENCE: Duration = Duration::from_secs(10 * 60);
/// A log that works makes a batch at least every hour, with or without records.
pub(super) const SILENCE: Duration = Duration::from_secs(65 * 60);

#[derive(Debug)]
struct Expected {
    index: u64,
    sha256: Option<Sha256>,
    stored: Timestamp,
    version: String,
}

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
    roots: BTreeMap<u64, Sha256>,
    /// By key and, where there is a choice, version: what the log says must be here.
    expected: HashMap<String, Vec<Expected>>,
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

    pub(super) fn know(&mut self, key: LogKey) {
        self.keys.know(key);
    }

    /// Where the log ends so far, and when its newest batch was made; none if that cannot be told.
    pub(super) fn end(&self) -> Option<(u64, Timestamp)> {
        self.last.filter(|_| !self.broken).map(|(.., time)| (self.edge.size(), time))
    }

    /// The checkpoint that the batches come to at `size` leaves; none if no batch that holds ends there.
    pub(super) fn head(&self, size: u64) -> Option<Checkpoint> {
        let (origin, root) = self.name.clone().zip(self.roots.get(&size).copied())?;
        Some(Checkpoint { origin, size, root })
    }

    pub(super) fn batch(&mut self, object: &str, bytes: &[u8], found: &mut Vec<Found>) {
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
            self.roots.insert(self.edge.size(), self.edge.root());
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
            // That it has no outcome shows by itself, and that one came late is good news.
            Entry::Orphan(orphan) => {
                let reason = format!("had no outcome when one was due ({}), says the log", orphan.due);
                return found.push((FaultKind::Notice, orphan.intent.to_string(), reason));
            }
        };
        let versions = self.expected.entry(key.clone()).or_default();
        if let Some(other) = versions.iter().find(|other| other.version == expected.version) {
            let reason = format!("names {key} a second time; it is at index {} already", other.index);
            found.push((FaultKind::Failure, batch.to_owned(), reason));
        }
        versions.push(expected);
    }

    /// A note from this store or from anywhere else; what it says, if it holds and fits the batches. `trusted` says whether the reader
    /// trusts a key to speak for the log.
    pub(super) fn checkpoint(
        &mut self,
        object: &str,
        note: &str,
        trusted: impl Fn(&Sha256) -> bool,
        found: &mut Vec<Found>,
    ) -> Option<Opened> {
        let mut fail = |reason: String| {
            found.push((FaultKind::Failure, object.to_owned(), reason));
            None
        };
        let opened = match Checkpoint::open(note, &self.keys) {
            Ok(opened) => opened,
            Err(error) => return fail(error.to_string()),
        };
        let checkpoint = &opened.checkpoint;
        if !opened.signers.iter().any(trusted) {
            let signer = opened.signers.first().map_or_else(String::new, ToString::to_string);
            return fail(format!("signed by key {signer}, which is not a trusted root for `seal`"));
        }
        if self.name.as_ref().is_some_and(|name| *name != checkpoint.origin) {
            return fail(format!("of the log `{}`", checkpoint.origin));
        }
        match self.roots.get(&checkpoint.size) {
            Some(root) if *root == checkpoint.root => {
                if self.counted.replace(checkpoint.size) != Some(checkpoint.size) {
                    self.checkpoints += 1;
                }
                self.signed = self.signed.max(checkpoint.size);
                Some(opened)
            }
            Some(_) => fail(format!("its root over {} leaves is not the batches': the log was forked", checkpoint.size)),
            None if self.broken => fail("cannot be compared: the batches under it do not hold".to_owned()),
            None if checkpoint.size > self.edge.size() => {
                let here = self.edge.size();
                fail(format!("signed over {} leaves, and only {here} are here: the log's end was cut off", checkpoint.size))
            }
            None => fail(format!("signed over {} leaves, where no batch ends", checkpoint.size)),
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
        match at {
            Some(expected) if expected.sha256.is_some_and(|digest| digest != sha256) => {
                let reason = format!("not the object that the log has at index {}", expected.index);
                found.push((FaultKind::Failure, object.to_owned(), reason));
            }
            Some(expected) if version.is_some_and(|version| version.stored != expected.stored) => {
                let reason = format!("the log has it stored at {}: its listed time was changed", expected.stored);
                found.push((FaultKind::Failure, object.to_owned(), reason));
            }
            Some(_) => {}
            None => {
                // A copy without the store's times cannot tell a record that was filed late from one that was slipped in.
                let stored = version.map(|version| version.stored);
                let newest = self.last.map_or(made, |(.., time)| time);
                let overdue = stored.is_some_and(|stored| stored.plus(PATIENCE) < newest);
                let kind = if overdue { FaultKind::Failure } else { FaultKind::Notice };
                let reason = if overdue { "never sealed into the log" } else { "not in the log yet" };
                found.push((kind, object.to_owned(), reason.to_owned()));
            }
        }
    }

    pub(super) fn finish(self, now: Timestamp, found: &mut Vec<Found>) -> Option<LogReport> {
        let mut missing: Vec<_> = self.expected.iter().flat_map(|(key, left)| left.iter().map(move |one| (key, one))).collect();
        missing.sort_by_key(|(_, expected)| expected.index);
        for (key, Expected { index, version, .. }) in missing {
            found.push((FaultKind::Failure, key.clone(), format!("in the log at index {index} (version {version}), and not here")));
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
