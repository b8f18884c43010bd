//! Which controls have evidence.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use evidence::RecordKey;
use ids::Timestamp;
use serde::Serialize;

use crate::clean::{cell, clean};
use crate::entry::Entry;
use crate::period::Period;
use crate::words::count;
use crate::worth::Worth;

/// So many keys are given as samples: the first, the last and those between at even distances.
const SAMPLES: usize = 5;

/// A control and the records that name it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Covered {
    /// The catalogue.
    pub framework: String,
    /// The control in it.
    pub id: String,
    /// How many records name it.
    pub records: usize,
    /// How many of each function and kind, such as `quarantine outcome`.
    pub kinds: BTreeMap<String, usize>,
    /// How many incidents they belong to.
    pub incidents: usize,
    /// When the first was made.
    pub first: Timestamp,
    /// When the last was made.
    pub last: Timestamp,
    /// Some of them.
    pub samples: Vec<RecordKey>,
}

/// Which controls have evidence.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Coverage {
    /// What the evidence is worth.
    pub evidence: Worth,
    /// The period; none for all time.
    pub period: Option<Period>,
    /// By framework and control.
    pub controls: Vec<Covered>,
    /// Records that name no control.
    pub without: usize,
}

/// Which controls the records of `period` (all, if none is given) are evidence for. That is coverage, not effectiveness.
#[must_use]
pub fn controls(entries: &[Entry], period: Option<Period>, worth: &Worth) -> Coverage {
    let mut mine: Vec<&Entry> =
        entries.iter().filter(|entry| period.is_none_or(|period| period.contains(entry.header.time))).collect();
    mine.sort_by_key(|entry| (entry.header.time, entry.key()));
    let covered = by_control(&mine).into_iter().filter_map(|((framework, id), records)| {
        let mut kinds = BTreeMap::new();
        for entry in &records {
            *kinds.entry(format!("{} {}", entry.key().function, entry.key().kind.as_str())).or_default() += 1;
        }
        let mut incidents: Vec<_> = records.iter().filter_map(|entry| entry.incident()).collect();
        incidents.sort();
        incidents.dedup();
        Some(Covered {
            framework,
            id,
            records: records.len(),
            kinds,
            incidents: incidents.len(),
            first: records.first()?.header.time,
            last: records.last()?.header.time,
            samples: samples(&records),
        })
    });
    Coverage {
        evidence: worth.clone(),
        period,
        controls: covered.collect(),
        without: mine.iter().filter(|entry| entry.header.controls.is_empty()).count(),
    }
}

/// The records that name each control, in the order given.
pub(crate) fn by_control<'a>(entries: &[&'a Entry]) -> BTreeMap<(String, String), Vec<&'a Entry>> {
    let mut by_control: BTreeMap<(String, String), Vec<&Entry>> = BTreeMap::new();
    for entry in entries {
        for control in &entry.header.controls {
            by_control.entry((clean(&control.framework), clean(&control.id))).or_default().push(entry);
        }
    }
    by_control
}

fn samples(records: &[&Entry]) -> Vec<RecordKey> {
    let last = records.len().saturating_sub(1);
    let mut places: Vec<usize> = (0..SAMPLES).map(|n| n * last / (SAMPLES - 1)).collect();
    places.dedup();
    places.into_iter().filter_map(|place| Some(records.get(place)?.key().clone())).collect()
}

impl Coverage {
    /// For a terminal.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = self.evidence.text();
        let mut line = |text: String| {
            let _infallible = writeln!(out, "{text}");
        };
        let period = self.period.map(|period| format!(" {period}")).unwrap_or_default();
        line(format!(
            "\n{} with evidence{period}; {} without a control",
            count(self.controls.len(), "control"),
            count(self.without, "record")
        ));
        for control in &self.controls {
            let kinds: Vec<_> = control.kinds.iter().map(|(kind, n)| format!("{n} {kind}")).collect();
            line(format!(
                "\n{} {}: {} of {}",
                control.framework,
                control.id,
                count(control.records, "record"),
                count(control.incidents, "incident")
            ));
            line(format!("  {}; {} … {}", kinds.join(", "), control.first, control.last));
            for key in &control.samples {
                line(format!("  {key}"));
            }
        }
        out
    }

    /// CSV: one control a line, after a first line of names.
    ///
    /// # Errors
    /// None that is known; the writer has the type.
    pub fn csv(&self) -> Result<String, csv::Error> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record([
            "framework",
            "control",
            "records",
            "incidents",
            "kinds",
            "first",
            "last",
            "samples",
            "evidence_standing",
        ])?;
        for control in &self.controls {
            let kinds: Vec<_> = control.kinds.iter().map(|(kind, n)| format!("{n} {kind}")).collect();
            let samples: Vec<_> = control.samples.iter().map(ToString::to_string).collect();
            writer.write_record([
                &cell(&control.framework),
                &cell(&control.id),
                &control.records.to_string(),
                &control.incidents.to_string(),
                &kinds.join("; "),
                &control.first.to_string(),
                &control.last.to_string(),
                &samples.join(" "),
                self.evidence.word(),
            ])?;
        }
        let bytes = writer.into_inner().map_err(|error| csv::Error::from(error.into_error()))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}
