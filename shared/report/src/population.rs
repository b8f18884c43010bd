//! Every incident of a period, and how one knows that it is every one.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use evidence::log::checkpoint_key;
use evidence::{Kind, Standing};
use ids::{IncidentId, Timestamp};
use serde::Serialize;

use crate::entry::Entry;
use crate::incident::{Nature, incidents};
use crate::period::Period;
use crate::words::count;
use crate::worth::{Tree, Worth};

/// An incident with at least one record in the period.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Member {
    /// Which one.
    pub incident: IncidentId,
    /// Production, drill or preparation.
    pub nature: Nature,
    /// When its first record was made, be that before the period.
    pub first: Timestamp,
    /// When its last record was made, be that after the period.
    pub last: Timestamp,
    /// Whether it began before the period.
    pub began_before: bool,
    /// Its records, in and out of the period.
    pub records: usize,
    /// The end state, as the last outcome read it back.
    pub end_state: String,
    /// The finding's type.
    pub finding_type: Option<String>,
    /// Its severity.
    pub severity: Option<String>,
    /// Who reported it first, as records spell it: `guardduty`, `health`, `hand`, `drill`.
    pub reported_by: Option<String>,
    /// What it is about.
    pub target: Option<String>,
    /// The credential alone, if it is about one.
    pub credential: Option<String>,
    /// The leaves of the log that name its records; what is not sealed yet has none.
    pub leaves: Vec<u64>,
}

/// Every incident of a period.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Population {
    /// What the evidence is worth.
    pub evidence: Worth,
    /// The period.
    pub period: Period,
    /// Whether the count is proved, and by what: `Proved: …` or `Not proved: …`.
    pub completeness: String,
    /// True only if the log is whole and under a signed checkpoint, every record that it names is here, and nothing fails.
    pub complete: bool,
    /// How many incidents.
    pub total: usize,
    /// How many of them have a record under the signed checkpoint. The others rest on what is not sealed yet.
    pub sealed: usize,
    /// How many of each nature.
    pub by_nature: BTreeMap<Nature, usize>,
    /// How many in each end state.
    pub by_end_state: BTreeMap<String, usize>,
    /// Records of the period that belong to no incident: events that were refused.
    pub refusals: usize,
    /// Each incident, the oldest first.
    pub incidents: Vec<Member>,
}

/// Every incident with a record in `period`.
#[must_use]
pub fn population(entries: &[Entry], period: Period, worth: &Worth) -> Population {
    let mut members = Vec::new();
    for incident in incidents(entries) {
        let (Some(first), Some(last)) = (incident.first(), incident.last()) else { continue };
        if !incident.entries.iter().any(|entry| period.contains(entry.header.time)) {
            continue;
        }
        members.push(Member {
            incident: incident.id.clone(),
            nature: incident.nature(),
            first,
            last,
            began_before: first < period.from,
            records: incident.entries.len(),
            end_state: incident.end(),
            finding_type: incident.finding_type().map(ToString::to_string),
            severity: incident.severity().map(|severity| severity.to_string()),
            reported_by: incident.signals().find_map(|(_, signal)| signal.source.as_ref()).map(ToString::to_string),
            target: incident.target(),
            credential: incident.credential(),
            leaves: leaves(&incident.entries),
        });
    }
    let (mut by_nature, mut by_end_state) = (BTreeMap::new(), BTreeMap::new());
    for member in &members {
        *by_nature.entry(member.nature).or_default() += 1;
        *by_end_state.entry(member.end_state.clone()).or_default() += 1;
    }
    let refused = |entry: &&Entry| entry.incident().is_none() && entry.is(Kind::Refusal) && period.contains(entry.header.time);
    let (complete, completeness) = completeness(entries, period, worth);
    let signed = worth.tree.as_ref().map_or(0, |tree| tree.signed);
    Population {
        evidence: worth.clone(),
        period,
        completeness,
        complete,
        total: members.len(),
        sealed: members.iter().filter(|member| member.leaves.first().is_some_and(|leaf| *leaf < signed)).count(),
        by_nature,
        by_end_state,
        refusals: entries.iter().filter(refused).count(),
        incidents: members,
    }
}

/// The leaves that name these records, in ascending order, each once.
fn leaves(entries: &[&Entry]) -> Vec<u64> {
    let mut leaves: Vec<u64> = entries.iter().filter_map(|entry| Some(entry.sealed?.index)).collect();
    leaves.sort_unstable();
    leaves.dedup();
    leaves
}

/// A count is proved if every leaf that names a record was read, each under the root that a checkpoint signs. That the leaves are those of
/// that root is the verifier's finding; here they are counted.
fn completeness(entries: &[Entry], period: Period, worth: &Worth) -> (bool, String) {
    let Some(tree) = &worth.tree else {
        return (false, "Not proved: no sealed log is here, so nothing says how many records there should be.".to_owned());
    };
    let Tree { log, size, root, records, signed, newest } = tree;
    let here = leaves(&entries.iter().collect::<Vec<_>>()).into_iter().filter(|leaf| leaf < size).count();
    let here = u64::try_from(here).unwrap_or(u64::MAX);
    let unsealed = entries.iter().filter(|entry| entry.sealed.is_none() && period.contains(entry.header.time)).count();
    let mut beside = String::new();
    if unsealed > 0 {
        let (records, are) = (count(unsealed, "record"), plural(unsealed, "is", "are"));
        beside += &format!(" {records} of the period {are} not in the log yet: what rests on that alone is counted, not proved.");
    }
    if *newest < period.to {
        beside += &format!(" The log ends at {newest}, before the period does: what came later would not be in it.");
    }
    let of_log = format!("the log `{log}` ({size} leaves, root {root})");
    if worth.failed() {
        (false, format!("Not proved: the evidence fails, whatever {of_log} says.{beside}"))
    } else if here != *records {
        (false, format!("Not proved: {of_log} names {records} records, and {here} of them were read.{beside}"))
    } else if signed < size {
        let after = size - signed;
        (
            false,
            format!("Not proved: the last {after} leaves of {of_log} are under no signed checkpoint yet; {signed} are.{beside}"),
        )
    } else {
        let whose = match worth.standing {
            Standing::Verified => "by a key that you named",
            _ => "by a key that nobody named (`--root seal=FINGERPRINT` asks whose it is)",
        };
        let note = checkpoint_key(*signed);
        let said = format!(
            "Proved: every one of the {records} records that {of_log} names was read. That root is signed in {note}, {whose}."
        );
        (true, said + &beside)
    }
}

fn plural<'a>(n: usize, one: &'a str, many: &'a str) -> &'a str {
    if n == 1 { one } else { many }
}

fn list(leaves: &[u64]) -> String {
    leaves.iter().map(u64::to_string).collect::<Vec<_>>().join(" ")
}

impl Population {
    /// For a terminal.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = self.evidence.text();
        let mut line = |text: String| {
            let _infallible = writeln!(out, "{text}");
        };
        let proved = if self.complete { "proved" } else { "NOT PROVED" };
        line(format!("\n{} {}, {proved}", count(self.total, "incident"), self.period));
        line(self.completeness.clone());
        for (nature, n) in &self.by_nature {
            line(format!("  {:<40} {n:>6}", nature.as_str()));
        }
        for (state, n) in &self.by_end_state {
            line(format!("  {state:<40} {n:>6}"));
        }
        line(format!("  {:<40} {:>6}", "events refused, of no incident", self.refusals));
        line(String::new());
        for member in &self.incidents {
            let before = if member.began_before { ", began before the period" } else { "" };
            let severity = member.severity.as_deref().unwrap_or("–");
            line(format!("{}  {} … {}{before}", member.incident, member.first, member.last));
            line(format!(
                "    {}, {}, {}, severity {severity}",
                member.end_state,
                member.nature.as_str(),
                count(member.records, "record")
            ));
            let target = member.target.as_deref().unwrap_or("(target unknown)");
            line(match (&member.finding_type, &member.credential, &member.reported_by) {
                (Some(kind), Some(_), _) => format!("    {kind} with {target}"),
                (Some(kind), None, _) => format!("    {kind} at {target}"),
                (None, Some(_), Some(by)) => format!("    reported by {by}, without a finding: {target}"),
                (None, ..) => format!("    (finding unknown) at {target}"),
            });
            if !member.leaves.is_empty() {
                line(format!("    in the log: {} {}", plural(member.leaves.len(), "leaf", "leaves"), list(&member.leaves)));
            }
        }
        out
    }

    /// CSV: one incident a line, after a first line of names.
    ///
    /// # Errors
    /// None that is known; the writer has the type.
    pub fn csv(&self) -> Result<String, csv::Error> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record([
            "incident",
            "nature",
            "first_record",
            "last_record",
            "began_before",
            "records",
            "end_state",
            "finding_type",
            "severity",
            "target",
            "leaves",
            "evidence_standing",
            "proved",
        ])?;
        for member in &self.incidents {
            let cell = |text: &Option<String>| crate::clean::cell(text.as_deref().unwrap_or_default());
            writer.write_record([
                member.incident.as_str(),
                member.nature.as_str(),
                &member.first.to_string(),
                &member.last.to_string(),
                &member.began_before.to_string(),
                &member.records.to_string(),
                &crate::clean::cell(&member.end_state),
                &cell(&member.finding_type),
                &cell(&member.severity),
                &cell(&member.target),
                &list(&member.leaves),
                self.evidence.word(),
                &self.complete.to_string(),
            ])?;
        }
        let bytes = writer.into_inner().map_err(|error| csv::Error::from(error.into_error()))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}
