//! The records of one incident, and what they say together.

use std::collections::BTreeMap;

use evidence::{Kind, RecordKey};
use ids::{IncidentId, RuleName, Timestamp};
use serde::Serialize;
use signal::Severity;

use crate::body::{Credential, Finding, Outcome, Signal};
use crate::clean::Words;
use crate::entry::Entry;

/// The function whose outcome, read back as `Released`, closes an incident.
const CLOSES: (&str, &str) = ("release", "Released");
/// The function whose outcome, read back as `Revoked`, ends a credential.
const REVOKES: (&str, &str) = ("revoke", "Revoked");

/// The function that ends credentials, and the one that contains machines.
const OF_CREDENTIALS: &str = REVOKES.0;
const OF_MACHINES: &str = "quarantine";

/// Whether a record is about a credential, as all are that `revoke` writes.
pub(crate) fn is_of_credential(entry: &Entry) -> bool {
    entry.key().function.as_str() == OF_CREDENTIALS
}

/// Whether a record is about the end of an incident, as all are that `release` writes.
pub(crate) fn is_release(entry: &Entry) -> bool {
    entry.key().function.as_str() == CLOSES.0
}

/// Whether a record is of a command that a responder ran.
pub(crate) fn is_run(entry: &Entry) -> bool {
    entry.key().function.as_str() == "run"
}

/// What sort of incident it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Nature {
    /// A finding about what really runs, or nothing says otherwise.
    Production,
    /// A drill, or a finding generated for show.
    Drill,
    /// Work ahead of any incident, such as making sealed groups.
    Preparation,
}

impl Nature {
    /// The nature as reports print it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Production => "production",
            Self::Drill => "drill",
            Self::Preparation => "preparation",
        }
    }
}

/// A moment, and the record that states it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment<'a> {
    pub(crate) time: Timestamp,
    pub(crate) entry: &'a Entry,
    /// False where the record only shows that it was no later.
    pub(crate) exact: bool,
}

impl<'a> Moment<'a> {
    fn earliest(moments: impl Iterator<Item = Self>) -> Option<Self> {
        moments.min_by_key(|moment| moment.time)
    }

    pub(crate) fn key(&self) -> &'a RecordKey {
        self.entry.key()
    }
}

/// An incident's records, oldest first.
#[derive(Debug)]
pub(crate) struct Incident<'a> {
    pub(crate) id: &'a IncidentId,
    pub(crate) entries: Vec<&'a Entry>,
}

/// Groups records by incident; the incident whose first record is the oldest comes first. Records without an incident are left out.
pub(crate) fn incidents(entries: &[Entry]) -> Vec<Incident<'_>> {
    let mut by_id: BTreeMap<&IncidentId, Vec<&Entry>> = BTreeMap::new();
    for entry in entries {
        if let Some(id) = entry.incident() {
            by_id.entry(id).or_default().push(entry);
        }
    }
    let mut incidents: Vec<_> = by_id.into_iter().map(|(id, entries)| Incident { id, entries: in_order(entries) }).collect();
    incidents.sort_by_key(|incident| (incident.first(), incident.id));
    incidents
}

fn in_order(mut entries: Vec<&Entry>) -> Vec<&Entry> {
    entries.sort_by_key(|entry| (entry.header.time, entry.header.session.seq, entry.key()));
    entries
}

impl<'a> Incident<'a> {
    pub(crate) fn of(entries: &'a [Entry], id: &'a IncidentId) -> Option<Self> {
        let own: Vec<_> = entries.iter().filter(|entry| entry.incident() == Some(id)).collect();
        (!own.is_empty()).then(|| Self { id, entries: in_order(own) })
    }

    /// When its first record was made.
    pub(crate) fn first(&self) -> Option<Timestamp> {
        self.entries.first().map(|entry| entry.header.time)
    }

    /// When its last record was made.
    pub(crate) fn last(&self) -> Option<Timestamp> {
        self.entries.last().map(|entry| entry.header.time)
    }

    pub(crate) fn signals(&self) -> impl Iterator<Item = (&'a Entry, &'a Signal)> {
        self.entries.iter().filter_map(|entry| Some((*entry, entry.body.signal.as_ref()?)))
    }

    pub(crate) fn findings(&self) -> impl Iterator<Item = (&'a Entry, &'a Finding)> {
        self.signals().filter_map(|(entry, signal)| Some((entry, signal.finding.as_ref()?)))
    }

    pub(crate) fn outcomes(&self) -> impl Iterator<Item = (&'a Entry, &'a Outcome)> {
        let outcomes = self.entries.iter().filter(|entry| entry.is(Kind::Outcome));
        outcomes.filter_map(|entry| Some((*entry, entry.body.outcome.as_ref()?)))
    }

    pub(crate) fn nature(&self) -> Nature {
        let drill = self.signals().any(|(_, signal)| signal.source.as_ref().is_some_and(|source| source.as_str() == "drill"));
        let sample = self.findings().any(|(_, finding)| finding.sample == Some(true));
        let prepared = |entry: &&Entry| {
            entry.body.ready.is_some() || entry.header.rule.as_ref().is_some_and(|rule| rule.as_str() == "prepared-by-hand")
        };
        if drill || sample {
            Nature::Drill
        } else if self.entries.iter().any(prepared) {
            Nature::Preparation
        } else {
            Nature::Production
        }
    }

    /// Whether it is about a credential and about no machine.
    pub(crate) fn is_of_credential(&self) -> bool {
        let of_machine = |entry: &&Entry| entry.key().function.as_str() == OF_MACHINES;
        self.entries.iter().any(|entry| is_of_credential(entry)) && !self.entries.iter().any(of_machine)
    }

    /// The credential in words, if it is about one and a record says which.
    pub(crate) fn credential(&self) -> Option<String> {
        self.signals().find_map(|(_, signal)| signal.credential.as_ref()).map(Credential::words)
    }

    /// The machine, its account and its Region, or the credential and its account, as far as a record says.
    pub(crate) fn target(&self) -> Option<String> {
        let (_, signal) = self.signals().next()?;
        let mut target = signal.about()?;
        if let Some(account) = &signal.account {
            target += &format!(" in account {account}");
        }
        if let Some(region) = &signal.region {
            target += &format!(", {region}");
        }
        Some(target)
    }

    pub(crate) fn finding_type(&self) -> Option<&'a Words> {
        self.findings().find_map(|(_, finding)| finding.kind.as_ref())
    }

    pub(crate) fn severity(&self) -> Option<Severity> {
        self.findings().filter_map(|(_, finding)| finding.severity).max()
    }

    pub(crate) fn rule(&self) -> Option<&'a RuleName> {
        self.entries.iter().rev().find_map(|entry| entry.header.rule.as_ref())
    }

    /// When the activity was first seen, by the finding.
    pub(crate) fn first_seen(&self) -> Option<Moment<'a>> {
        let seen = |(entry, finding): (&'a Entry, &'a Finding)| Some(Moment { time: finding.first_seen?, entry, exact: true });
        Moment::earliest(self.findings().filter_map(seen))
    }

    /// When the finding was published as it first came here: its earliest `updatedAt`.
    pub(crate) fn published(&self) -> Option<Moment<'a>> {
        let updated = |(entry, finding): (&'a Entry, &'a Finding)| Some(Moment { time: finding.updated_at?, entry, exact: true });
        Moment::earliest(self.findings().filter_map(updated))
    }

    /// When it was first reported, and by what: by a finding, when that was published; else when its source said so.
    pub(crate) fn reported(&self) -> Option<(Moment<'a>, &'a Signal)> {
        let reported = |(entry, signal): (&'a Entry, &'a Signal)| {
            let time = signal.finding.as_ref().map_or(signal.at, |finding| finding.updated_at)?;
            Some((Moment { time, entry, exact: true }, signal))
        };
        self.signals().filter_map(reported).min_by_key(|(moment, _)| moment.time)
    }

    /// What people have to do, as the last record that says any of it has it.
    pub(crate) fn by_hand(&self) -> Vec<String> {
        let said = self.entries.iter().rev().map(|entry| &entry.body.by_hand).find(|said| !said.is_empty());
        said.map(|said| said.iter().map(ToString::to_string).collect()).unwrap_or_default()
    }

    /// When the finding reached Cordon. Without a record of that moment: when the first record was made, which was no earlier.
    pub(crate) fn received(&self) -> Option<Moment<'a>> {
        let stated = |entry: &&'a Entry| Some(Moment { time: entry.body.timings?.received?, entry, exact: true });
        let bound = |entry: &&'a Entry| Moment { time: entry.header.time, entry, exact: false };
        Moment::earliest(self.entries.iter().filter_map(stated)).or_else(|| self.entries.first().map(bound))
    }

    /// When the last interface was sealed, in the first outcome that read everything back as sealed.
    pub(crate) fn contained(&self) -> Option<Moment<'a>> {
        let contained = |(entry, outcome): (&'a Entry, &'a Outcome)| {
            let sealed = entry.body.timings.and_then(|timings| timings.sealed());
            outcome.is("Contained").then(|| Moment { time: sealed.unwrap_or(entry.header.time), entry, exact: sealed.is_some() })
        };
        Moment::earliest(self.outcomes().filter_map(contained))
    }

    /// When the incident was closed: everything was put back, with a second person's consent.
    pub(crate) fn closed(&self) -> Option<Moment<'a>> {
        self.read_back_as(CLOSES).last()
    }

    /// When a credential was first shown to be dead.
    pub(crate) fn revoked(&self) -> Option<Moment<'a>> {
        Moment::earliest(self.read_back_as(REVOKES))
    }

    fn read_back_as(&self, (function, state): (&'static str, &'static str)) -> impl Iterator<Item = Moment<'a>> {
        let outcomes =
            self.outcomes().filter(move |(entry, outcome)| entry.key().function.as_str() == function && outcome.is(state));
        outcomes.map(|(entry, _)| {
            let read_back = entry.body.timings.and_then(|timings| timings.read_back());
            Moment { time: read_back.unwrap_or(entry.header.time), entry, exact: read_back.is_some() }
        })
    }

    /// The outcome that tells the end state: the last one that states any.
    pub(crate) fn last_outcome(&self) -> Option<(&'a Entry, &'a Outcome)> {
        self.outcomes().filter(|(_, outcome)| outcome.state.is_some()).last()
    }

    /// The end state in a word. A later decision to change nothing does not undo what an outcome read back.
    pub(crate) fn end(&self) -> String {
        if let Some((_, outcome)) = self.last_outcome() {
            return outcome.state.as_ref().map(ToString::to_string).unwrap_or_default();
        }
        let prepared = self.entries.iter().rev().find(|entry| entry.body.ready.is_some());
        if let Some(entry) = prepared {
            let whole = entry.body.not_ready.as_ref().is_some_and(Vec::is_empty);
            return if whole { "Prepared" } else { "NotPrepared" }.to_owned();
        }
        if self.entries.iter().any(|entry| entry.is(Kind::Outcome)) {
            return "(unknown)".to_owned();
        }
        let decided = self.entries.iter().rev().find(|entry| entry.is(Kind::Decision));
        match decided.map(|entry| entry.body.decision.as_ref().and_then(|decision| decision.verdict.as_ref())) {
            Some(Some(verdict)) => match verdict.as_str() {
                "ask-human" => "NoChange: a person was asked".to_owned(),
                "notify-only" => "NoChange: people were told".to_owned(),
                "do" => "NoChange: there was nothing to do, or it could not be done".to_owned(),
                other => format!("NoChange: {other}"),
            },
            Some(None) => "NoChange".to_owned(),
            None if self.entries.iter().any(|entry| entry.is(Kind::Intent)) => "NoOutcome".to_owned(),
            None => "(unknown)".to_owned(),
        }
    }

    /// Intents that no outcome here answers.
    pub(crate) fn unanswered(&self) -> Vec<&'a Entry> {
        let answered = |intent: &Entry| {
            let links = self.entries.iter().filter_map(|entry| entry.header.answers.as_ref());
            links.into_iter().any(|link| link.key == intent.header.key)
        };
        self.entries.iter().copied().filter(|entry| entry.is(Kind::Intent) && !answered(entry)).collect()
    }
}
