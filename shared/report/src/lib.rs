#![doc = include_str!("../README.md")]

mod accesses;
mod body;
mod catalogue;
mod chart;
mod clean;
mod completeness;
mod controls;
mod custody;
mod entry;
mod incident;
mod ocsf;
mod oscal;
mod page;
mod period;
mod population;
mod ran;
mod slo;
mod slo_page;
mod timeline;
mod timeline_export;
mod timeline_page;
mod words;
mod worth;

pub use accesses::{Access, AccessKind, Accesses, Watch};
pub use completeness::{
    Called, Compared, Completeness, Coverage as TrailCoverage, Finding, FindingKind, Left, OwnWrites, ParseResponderError, Places,
    Question, Reconciliation, Responder, Seen as SeenOfRole, Span as SeenBetween, TrailReader,
};
pub use controls::{Coverage, Covered, Uncovered, controls};
pub use custody::{Custody, Naming, Neighbour, custody};
pub use entry::{Entry, Sealed, Vouched};
pub use incident::Nature;
pub use ocsf::ocsf;
pub use oscal::{Oscal, PLAN_FILE, oscal};
pub use period::{Period, PeriodError};
pub use population::{Member, Population, population};
pub use slo::{Excluded, Figures, Group, Measure, Metric, ParseTargetError, Percent, Sample, Slo, Target, Targets, Verdict, slo};
pub use timeline::{Call, Clock, Duration, Interface, RecordRow, Row, Subject, Timeline, timeline};
pub use worth::{Tree, Worth};

/// JSON for programs: indented, fields in the order they are documented, with a line feed at its end.
///
/// # Errors
/// None that is known; `serde_json` has the type.
pub fn to_json(value: &impl serde::Serialize) -> Result<String, serde_json::Error> {
    serde_json::to_string_pretty(value).map(|text| text + "\n")
}

/// JSON lines: one value a line.
///
/// # Errors
/// None that is known; `serde_json` has the type.
pub fn to_json_lines(values: &[serde_json::Value]) -> Result<String, serde_json::Error> {
    values.iter().map(|value| serde_json::to_string(value).map(|line| line + "\n")).collect()
}
