//! What others say of the log's checkpoints: timestamps, and the witnesses that the reader asked for.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use ids::Timestamp;

use super::SKEW;
use super::group::Found;
use super::ledger::SILENCE;
use super::report::{AnchorReport, Cosigned, FaultKind, LogReport};
use crate::log::{Checkpoint, Opened, Token, TokenError, Witness};

/// See the module's own words.
#[derive(Debug, Default)]
pub(super) struct Anchors {
    asked: Vec<Witness>,
    /// By the asked witness's place: the most leaves it cosigned, and when.
    cosigned: BTreeMap<usize, (u64, Timestamp)>,
    vkeys: BTreeSet<String>,
    timestamped: u64,
    newest_timestamp: Option<Timestamp>,
    /// Where each batch of the last [`SILENCE`] ended, and when it was made.
    tail: VecDeque<(u64, Timestamp)>,
    /// Where the newest batch before those ended.
    settled: u64,
}

impl Anchors {
    pub(super) fn ask(&mut self, witnesses: Vec<Witness>) {
        self.asked = witnesses;
    }

    /// The log has grown to `size` leaves at `time`.
    pub(super) fn grown(&mut self, size: u64, time: Timestamp) {
        let old = |(_, made): &(u64, Timestamp)| u128::from(time.millis_since(*made).max(0).unsigned_abs()) > SILENCE.as_millis();
        while self.tail.front().is_some_and(old) {
            self.settled = self.tail.pop_front().map_or(self.settled, |(size, _)| size);
        }
        self.tail.push_back((size, time));
    }

    /// A note that holds; `found` takes a cosignature on it that does not, if its witness was asked for.
    pub(super) fn opened(&mut self, object: &str, note: &str, opened: Opened, found: &mut Vec<Found>) {
        let size = opened.checkpoint.size;
        self.vkeys.extend(opened.vkeys);
        for (place, witness) in self.asked.iter().enumerate() {
            match Checkpoint::cosigned(note, witness) {
                Ok(None) => {}
                Ok(Some(time)) => {
                    let newest = self.cosigned.entry(place).or_insert((size, time));
                    *newest = (size, time).max(*newest);
                }
                Err(error) => found.push((FaultKind::Failure, object.to_owned(), error.to_string())),
            }
        }
    }

    /// A timestamp beside the checkpoint that the batches come to at its size.
    pub(super) fn timestamp(
        &mut self,
        object: &str,
        token: Result<Token, TokenError>,
        head: Option<Checkpoint>,
        now: Timestamp,
        found: &mut Vec<Found>,
    ) {
        let mut fail = |reason: String| found.push((FaultKind::Failure, object.to_owned(), reason));
        let token = match token {
            Ok(token) => token,
            Err(error) => return fail(error.to_string()),
        };
        match head {
            None => fail("a timestamp where no batch that holds ends: there is nothing it could be over".to_owned()),
            Some(head) if head.digest() != token.imprint => fail(TokenError::Imprint.to_string()),
            Some(_) if token.time > now.plus(SKEW) => fail(format!("a timestamp of {}, which is in the future", token.time)),
            Some(_) => {
                self.timestamped += 1;
                self.newest_timestamp = self.newest_timestamp.max(Some(token.time));
            }
        }
    }

    /// Puts what was seen into the log's report, and says which of the witnesses asked for is missing.
    pub(super) fn finish(self, log: Option<&mut LogReport>, now: Timestamp, found: &mut Vec<Found>) {
        let mut fail = |reason: String| found.push((FaultKind::Failure, "log/".to_owned(), reason));
        let Some(log) = log else {
            return self
                .asked
                .iter()
                .for_each(|witness| fail(format!("there is no log here that {} could have cosigned", witness.name())));
        };
        let mut cosigned = BTreeMap::new();
        for (place, witness) in self.asked.iter().enumerate() {
            let Some((size, time)) = self.cosigned.get(&place).copied() else {
                fail(format!("no checkpoint here carries a cosignature of witness {}", witness.name()));
                continue;
            };
            if time > now.plus(SKEW) {
                fail(format!("witness {} cosigned at {time}, which is in the future", witness.name()));
            }
            if size < self.settled {
                let (name, minutes) = (witness.name(), SILENCE.as_secs() / 60);
                let (all, settled) = (log.size, self.settled);
                fail(format!(
                    "witness {name} cosigned {size} of {all} leaves, at {time}, and {settled} are more than {minutes} minutes older than the newest batch"
                ));
            }
            cosigned.insert(witness.to_string(), Cosigned { size, time });
        }
        let (timestamped, newest_timestamp) = (self.timestamped, self.newest_timestamp);
        log.anchors = AnchorReport { timestamped, newest_timestamp, vkeys: self.vkeys, cosigned };
    }
}
