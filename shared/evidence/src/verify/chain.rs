//! The order within each session: numbers run from 1, a missing one is declared, each record names the digest of the one before.
//!
//! The records of a function come in the order of the minutes in their keys, so a session that has been silent for long is over and can
//! be forgotten. Were one to come back, what it lacks would be named: a false alarm at worst, never a silence.

use std::collections::BTreeMap;
use std::time::Duration;

use ids::{FunctionName, SessionId, Sha256, Timestamp};

use crate::endorsement::PublicKey;
use crate::record::{RecordKey, SessionPart};

/// A fault and the object it was found at.
pub(super) type Found = (String, String);

/// Lambda ends an environment after some hours, busy or not (AWS Lambda developer guide, "Lambda execution environment lifecycle"), and an
/// endorsement holds for twelve: after two days without a record none will come.
const OVER: Duration = Duration::from_secs(48 * 3600);
/// Looking for finished sessions is worth it once so many are remembered.
const MANY: usize = 1024;

#[derive(Debug)]
struct Numbered {
    key: RecordKey,
    sha256: Sha256,
    prev: Option<Sha256>,
    lost: Vec<u64>,
}

/// One session, as far as it has been read. What follows on without a gap is forgotten but for its end.
#[derive(Debug)]
struct Chain {
    key: PublicKey,
    function: FunctionName,
    end: Option<(u64, Sha256)>,
    waiting: BTreeMap<u64, Numbered>,
    /// The minute of the newest of its records so far.
    seen: Option<Timestamp>,
}

/// Every session that may go on.
#[derive(Debug)]
pub(super) struct Sessions {
    open: BTreeMap<SessionId, Chain>,
    finished: usize,
    look_at: usize,
}

impl Default for Sessions {
    fn default() -> Self {
        Self { open: BTreeMap::new(), finished: 0, look_at: MANY }
    }
}

impl Sessions {
    pub(super) fn add(&mut self, key: &RecordKey, sha256: Sha256, part: SessionPart, found: &mut Vec<Found>) {
        let minute = key.first_claimed();
        if self.open.len() >= self.look_at
            && let Some(minute) = minute
        {
            self.forget(&key.function, minute, found);
        }
        let chain = self.open.entry(part.id.clone()).or_insert_with(|| Chain {
            key: part.key.clone(),
            function: key.function.clone(),
            end: None,
            waiting: BTreeMap::new(),
            seen: minute,
        });
        chain.seen = chain.seen.max(minute);
        if chain.key != part.key || chain.function != key.function {
            found.push((key.to_string(), format!("session {} has another key or function elsewhere", part.id)));
        }
        let numbered = Numbered { key: key.clone(), sha256, prev: part.prev, lost: part.lost };
        if chain.end.is_some_and(|(end, _)| part.seq <= end) || part.seq == 0 {
            found.push((key.to_string(), format!("number {} of session {} was taken before: a fork", part.seq, part.id)));
        } else if let Some(other) = chain.waiting.insert(part.seq, numbered) {
            let reason = format!("number {} of session {} is also at {}: a fork", part.seq, part.id, other.key);
            found.push((key.to_string(), reason));
        }
        chain.advance(&part.id, found);
    }

    /// What is wrong with the sessions, now that all of them have been read.
    pub(super) fn finish(mut self, found: &mut Vec<Found>) -> usize {
        for (id, chain) in &mut self.open {
            chain.jump(id, found);
        }
        self.finished + self.open.len()
    }

    /// Says what is wrong with the sessions of `function` that were over long before `minute`, and forgets them.
    fn forget(&mut self, function: &FunctionName, minute: Timestamp, found: &mut Vec<Found>) {
        let before = self.open.len();
        self.open.retain(|id, chain| {
            let over = chain.function == *function && chain.seen.is_some_and(|seen| seen.plus(OVER) < minute);
            if over {
                chain.jump(id, found);
            }
            !over
        });
        self.finished += before - self.open.len();
        self.look_at = MANY.max(self.open.len().saturating_mul(2));
    }
}

impl Chain {
    /// Goes on over what follows without a gap.
    fn advance(&mut self, id: &SessionId, found: &mut Vec<Found>) {
        while let Some(record) = self.waiting.remove(&self.next()) {
            self.step(self.next(), &record, id, found);
        }
    }

    fn next(&self) -> u64 {
        self.end.map_or(1, |(end, _)| end.saturating_add(1))
    }

    fn step(&mut self, seq: u64, record: &Numbered, id: &SessionId, found: &mut Vec<Found>) {
        // A number declared lost may have been stored after all; then the chain goes past it.
        let late = self.end.is_some_and(|(end, _)| record.lost.contains(&end));
        if !late && record.prev != self.end.map(|(_, digest)| digest) {
            found.push((record.key.to_string(), format!("it does not chain to the record before it in session {id}")));
        }
        self.end = Some((seq, record.sha256));
    }

    /// Goes on over the gaps, each of which must be declared by the record after it.
    fn jump(&mut self, id: &SessionId, found: &mut Vec<Found>) {
        while let Some((seq, record)) = self.waiting.pop_first() {
            let missing: Vec<String> =
                (self.next()..seq).take(1000).filter(|n| !record.lost.contains(n)).map(|n| n.to_string()).collect();
            if missing.is_empty() {
                self.step(seq, &record, id, found);
            } else {
                let reason = format!("before it, session {id} lacks number {}: a record was taken away", missing.join(", "));
                found.push((record.key.to_string(), reason));
                self.end = Some((seq, record.sha256));
            }
        }
    }
}
