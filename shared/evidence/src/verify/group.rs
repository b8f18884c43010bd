//! What belongs together: the records of one cause lie side by side, and every outcome answers an intent among them.

use std::collections::{BTreeMap, BTreeSet};

use ids::{IncidentId, Sha256, SignalId, Timestamp};

use super::report::FaultKind;
use crate::record::{Header, Kind, Link, RecordKey};

/// A fault in the making: how bad, where, what.
pub(super) type Found = (FaultKind, String, String);

#[derive(Debug)]
struct Seen {
    key: RecordKey,
    sha256: Sha256,
    incident: Option<IncidentId>,
    signal: SignalId,
    time: Timestamp,
    due: Option<Timestamp>,
    answers: Option<Link>,
}

/// The records of one cause.
#[derive(Debug, Default)]
pub(super) struct Group(BTreeMap<String, Seen>);

impl Group {
    /// Whether a record under `key` belongs to another cause than those here.
    pub(super) fn is_over(&self, key: &RecordKey) -> bool {
        self.0.values().next().is_some_and(|seen| !seen.key.is_sibling(key))
    }

    pub(super) fn add(&mut self, record: &Header, sha256: Sha256) {
        let seen = Seen {
            key: record.key.clone(),
            sha256,
            incident: record.incident.clone(),
            signal: record.signal.clone(),
            time: record.time,
            due: record.due,
            answers: record.answers.clone(),
        };
        self.0.insert(record.key.to_string(), seen);
    }

    /// Every outcome has its intent, of the same cause; every intent has an outcome, or still has time.
    pub(super) fn finish(self, now: Timestamp, found: &mut Vec<Found>) {
        let mut answered = BTreeSet::new();
        for seen in self.0.values() {
            let own = || seen.key.to_string();
            let Some(link) = &seen.answers else {
                if seen.key.kind == Kind::Outcome {
                    found.push((FaultKind::Failure, own(), "an outcome that answers no intent".to_owned()));
                }
                continue;
            };
            let wanted = link.key.to_string();
            if !link.key.is_sibling(&seen.key) || link.key.kind != Kind::Intent {
                found.push((FaultKind::Failure, own(), format!("answers {wanted}, which is no intent of the same cause")));
                continue;
            }
            match self.0.get(&wanted) {
                None => {
                    found.push((FaultKind::Failure, wanted.clone(), format!("missing, or unreadable: {} answers it", seen.key)));
                }
                Some(intent) if intent.sha256 != link.sha256 => {
                    found.push((FaultKind::Failure, wanted.clone(), format!("not the object that {} answers", seen.key)));
                }
                Some(intent) if intent.incident != seen.incident || intent.signal != seen.signal => {
                    let reason = format!("answers {wanted}, which is of another incident or signal");
                    found.push((FaultKind::Failure, own(), reason));
                }
                Some(_) => {}
            }
            answered.insert(wanted);
        }
        for (object, seen) in self.0 {
            if seen.key.kind != Kind::Intent || answered.contains(&object) {
                continue;
            }
            let due = seen.due.unwrap_or(seen.time);
            if now > due {
                let reason = format!("no outcome, though one was due by {due}: an orphan, or its outcome is gone");
                found.push((FaultKind::Failure, object, reason));
            } else {
                found.push((FaultKind::Notice, object, format!("no outcome yet; due by {due}")));
            }
        }
    }
}
