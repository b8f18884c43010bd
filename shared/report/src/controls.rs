//! Which controls have evidence.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use evidence::RecordKey;
use ids::Timestamp;
use serde::Serialize;

use crate::catalogue::{KNOWN, known};
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
    /// Its name, if this program knows it.
    pub title: Option<&'static str>,
    /// The statement in OSCAL's catalogue that the records bear on, if this program knows it.
    pub statement: Option<&'static str>,
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
    /// Controls that Cordon's records can name, and none here does.
    pub uncovered: Vec<Uncovered>,
    /// Records that name no control.
    pub without: usize,
}

/// A control that Cordon's records can name, and none of the period does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Uncovered {
    /// The catalogue.
    pub framework: &'static str,
    /// The control in it.
    pub id: &'static str,
    /// Its name.
    pub title: &'static str,
}

/// Which controls the records of `period` (all, if none is given) are evidence for. That is coverage, not effectiveness.
#[must_use]
pub fn controls(entries: &[Entry], period: Option<Period>, worth: &Worth) -> Coverage {
    let mut mine: Vec<&Entry> =
        entries.iter().filter(|entry| period.is_none_or(|period| period.contains(entry.header.time))).collect();
    mine.sort_by_key(|entry| (entry.header.time, entry.key()));
    let by_control = by_control(&mine);
    let named = |framework: &str, id: &str| by_control.keys().any(|(f, i)| f == framework && i == id);
    let uncovered = KNOWN.iter().filter(|known| !named(known.framework, known.id));
    let uncovered: Vec<_> =
        uncovered.map(|known| Uncovered { framework: known.framework, id: known.id, title: known.title }).collect();
    let covered = by_control.into_iter().filter_map(|((framework, id), records)| {
        let known = known(&framework, &id);
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
            title: known.map(|known| known.title),
            statement: known.and_then(|known| known.statement),
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
        uncovered,
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
            let title = control.title.unwrap_or("not a control that this program knows");
            let statement = control.statement.map(|statement| format!(" [{statement}]")).unwrap_or_default();
            line(format!("\n{} {}, {title}{statement}", control.framework, control.id));
            line(format!("  {} of {}", count(control.records, "record"), count(control.incidents, "incident")));
            line(format!("  {}; {} … {}", kinds.join(", "), control.first, control.last));
            for key in &control.samples {
                line(format!("  {key}"));
            }
        }
        if !self.uncovered.is_empty() {
            line("\nno record here names".to_owned());
        }
        for control in &self.uncovered {
            line(format!("  {} {}, {}", control.framework, control.id, control.title));
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
            "title",
            "statement",
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
                control.title.unwrap_or_default(),
                control.statement.unwrap_or_default(),
                &control.records.to_string(),
                &control.incidents.to_string(),
                &kinds.join("; "),
                &control.first.to_string(),
                &control.last.to_string(),
                &samples.join(" "),
                self.evidence.word(),
            ])?;
        }
        // An auditor who filters by framework sees what is not covered, too.
        for control in &self.uncovered {
            let (framework, id, title, standing) = (control.framework, control.id, control.title, self.evidence.word());
            writer.write_record([framework, id, title, "", "0", "0", "", "", "", "", standing])?;
        }
        let bytes = writer.into_inner().map_err(|error| csv::Error::from(error.into_error()))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}
