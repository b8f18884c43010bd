//! Every incident of a period, and how one knows that it is every one.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use evidence::Kind;
use ids::{IncidentId, Timestamp};
use serde::Serialize;

use crate::entry::Entry;
use crate::incident::{Nature, incidents};
use crate::period::Period;
use crate::words::count;
use crate::worth::Worth;

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
    /// What it is about.
    pub target: Option<String>,
}

/// Every incident of a period.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Population {
    /// What the evidence is worth.
    pub evidence: Worth,
    /// The period.
    pub period: Period,
    /// Whether the list is complete, and over what.
    pub completeness: String,
    /// True only if every leaf of the sealed log is here and nothing fails.
    pub complete: bool,
    /// How many incidents.
    pub total: usize,
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
            target: incident.target(),
        });
    }
    let (mut by_nature, mut by_end_state) = (BTreeMap::new(), BTreeMap::new());
    for member in &members {
        *by_nature.entry(member.nature).or_default() += 1;
        *by_end_state.entry(member.end_state.clone()).or_default() += 1;
    }
    let refused = |entry: &&Entry| entry.incident().is_none() && entry.is(Kind::Refusal) && period.contains(entry.header.time);
    let (complete, completeness) = completeness(entries, worth);
    Population {
        evidence: worth.clone(),
        period,
        completeness,
        complete,
        total: members.len(),
        by_nature,
        by_end_state,
        refusals: entries.iter().filter(refused).count(),
        incidents: members,
    }
}

/// A list is complete over a tree if every one of its leaves is here: each index once, from 0.
fn completeness(entries: &[Entry], worth: &Worth) -> (bool, String) {
    let Some(tree) = &worth.tree else {
        return (
            false,
            "Not shown to be complete: no sealed log was given, so nothing says how many records there should be.".to_owned(),
        );
    };
    let mut leaves: Vec<u64> =
        entries.iter().filter_map(|entry| Some(entry.sealed?.index)).filter(|leaf| *leaf < tree.size).collect();
    leaves.sort_unstable();
    leaves.dedup();
    let (size, root) = (tree.size, tree.root);
    let here = u64::try_from(leaves.len()).unwrap_or(u64::MAX);
    let unsealed = entries.iter().filter(|entry| entry.sealed.is_none()).count();
    let beside = if unsealed > 0 { format!(" {} not sealed yet.", count(unsealed, "record")) } else { String::new() };
    if worth.failed() {
        (false, format!("Not complete: the evidence fails, whatever the log of {size} leaves with root {root} says.{beside}"))
    } else if here == size {
        (true, format!("Complete over the sealed log of {size} leaves with root {root}: each leaf was read.{beside}"))
    } else {
        (false, format!("Not complete: the sealed log has {size} leaves (root {root}), and {here} of them were read.{beside}"))
    }
}

impl Population {
    /// For a terminal.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = self.evidence.text();
        let mut line = |text: String| {
            let _infallible = writeln!(out, "{text}");
        };
        line(format!("\n{} {}", count(self.total, "incident"), self.period));
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
            let kind = member.finding_type.as_deref().unwrap_or("(finding unknown)");
            let severity = member.severity.as_deref().unwrap_or("–");
            line(format!("{}  {} … {}{before}", member.incident, member.first, member.last));
            line(format!(
                "    {}, {}, {}, severity {severity}",
                member.end_state,
                member.nature.as_str(),
                count(member.records, "record")
            ));
            line(format!("    {kind} at {}", member.target.as_deref().unwrap_or("(target unknown)")));
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
            "evidence_standing",
            "complete",
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
                self.evidence.word(),
                &self.complete.to_string(),
            ])?;
        }
        let bytes = writer.into_inner().map_err(|error| csv::Error::from(error.into_error()))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}
