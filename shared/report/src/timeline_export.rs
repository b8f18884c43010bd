//! A timeline in the forms that responders' tools read.

use std::fmt::Write as _;

use ids::Timestamp;
use serde_json::{Value, json};

use crate::clean::cell;
use crate::timeline::{Row, Timeline};
use crate::words::duration;

/// DFIR-IRIS refuses any other header (dfir-iris/iris-web, `case_timeline_routes.py`).
const IRIS_HEADER: [&str; 10] = [
    "event_date",
    "event_tz",
    "event_title",
    "event_category",
    "event_content",
    "event_raw",
    "event_source",
    "event_assets",
    "event_iocs",
    "event_tags",
];

/// Said beside every list of times.
pub(crate) const CLOCKS: &str = "Times of two clocks differ by what the clocks do (AWS's signature check tolerates 15 minutes), and a store may count in whole \
     seconds: what seems to end before it began is that.";

/// RFC 3339 without its zone, which is UTC.
fn without_zone(time: Timestamp) -> String {
    let text = time.to_string();
    text.strip_suffix('Z').unwrap_or(&text).to_owned()
}

/// `RECORD.ATTEMPT-KIND`: enough of a key to find the record in a list.
fn short(row: &Row) -> String {
    format!("{}.{}-{}", row.record.id, row.record.attempt, row.record.kind.as_str())
}

impl Timeline {
    /// For a terminal. No byte of it is a control character but the line feed.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = self.evidence.text();
        let mut line = |text: String| {
            let _infallible = writeln!(out, "{text}");
        };
        line(String::new());
        line(format!("incident {}: {}", self.incident, self.end_state));
        line(self.summary.clone());
        for said in &self.open {
            line(format!("! {said}"));
        }
        if !self.interfaces.is_empty() {
            line("\ninterfaces".to_owned());
            for end in &self.interfaces {
                let trouble = end.trouble.as_ref().map(|trouble| format!(" ({trouble})")).unwrap_or_default();
                line(format!("  {:<22} {:<9} {} → {}{trouble}", end.id, end.state, end.before, end.after));
            }
        }
        if !self.credentials.is_empty() {
            line("\ncredentials".to_owned());
            for end in &self.credentials {
                let trouble = end.trouble.as_ref().map(|trouble| format!(" ({trouble})")).unwrap_or_default();
                line(format!("  {:<26} {}{trouble}", end.id, end.state));
            }
        }
        if !self.by_hand.is_empty() {
            line("\nto be done by hand".to_owned());
            for step in &self.by_hand {
                line(format!("  - {step}"));
            }
        }
        if !self.durations.is_empty() {
            line("\ndurations".to_owned());
            for took in &self.durations {
                line(format!("  {:<34} {:>14}   clocks: {}, {}", took.what, duration(took.millis), took.from, took.to));
            }
        }
        line("\ntime (UTC)                clock        what".to_owned());
        for row in &self.rows {
            let number = self.records.iter().position(|record| record.key == row.record).map_or(0, |n| n + 1);
            let mark = if row.good == Some(false) { "! " } else { "" };
            let request = row.request_id.as_ref().map(|id| format!(" (request {id})")).unwrap_or_default();
            line(format!("{}  {:<12} {mark}{}{request} [{number}]", row.time, row.clock, row.what));
        }
        line(format!("\n{CLOCKS}"));
        line("\nrecords".to_owned());
        for (n, record) in self.records.iter().enumerate() {
            line(format!("  [{}] {}", n + 1, record.key));
            line(format!("      sha256 {}", record.sha256));
        }
        if let Some(tree) = &self.evidence.tree {
            line(format!("log of {} leaves, root {}", tree.size, tree.root));
        }
        out
    }

    /// Timesketch's JSON lines (google/timesketch, `docs/guides/user/import-from-json-csv.md`). The first is the evidence's standing.
    #[must_use]
    pub fn timesketch(&self) -> Vec<Value> {
        let line = |message: &str, time: Timestamp, description: &str| {
            json!({
                "message": message,
                "datetime": without_zone(time) + "+00:00",
                "timestamp": time.millis().saturating_mul(1000),
                "timestamp_desc": description,
                "incident": self.incident,
                "evidence_standing": self.evidence.standing,
            })
        };
        let mut lines = vec![line(&self.evidence.headline(), self.evidence.checked, "Evidence Checked")];
        for row in &self.rows {
            let mut event = line(&row.what, row.time, description(row.event));
            if let Value::Object(fields) = &mut event {
                fields.insert("clock".to_owned(), json!(row.clock));
                fields.insert("record".to_owned(), json!(row.record));
                fields.insert("sha256".to_owned(), json!(row.sha256));
                fields.insert("function".to_owned(), json!(row.function));
                fields.insert("session".to_owned(), json!(row.session));
                fields.insert("rule".to_owned(), json!(row.rule));
                fields.insert("request_id".to_owned(), json!(row.request_id));
                fields.insert("tag".to_owned(), json!(["cordon", self.subject.nature]));
            }
            lines.push(event);
        }
        lines
    }

    /// DFIR-IRIS's CSV; tags are parted by `|`. Assets and indicators stay empty: IRIS refuses an asset that the case does not have yet.
    ///
    /// # Errors
    /// None that is known; the writer has the type.
    pub fn iris(&self) -> Result<String, csv::Error> {
        let mut writer = csv::WriterBuilder::new().from_writer(Vec::new());
        writer.write_record(IRIS_HEADER)?;
        let standing = self.evidence.headline();
        let first = [
            without_zone(self.evidence.checked),
            "+00:00".to_owned(),
            format!("Evidence: {}", self.evidence.word()),
            "Unspecified".to_owned(),
            cell(&standing),
            String::new(),
            "cordon".to_owned(),
            String::new(),
            String::new(),
            "cordon".to_owned(),
        ];
        writer.write_record(&first)?;
        for row in &self.rows {
            let request = row.request_id.as_ref().map(|id| format!(", request {id}")).unwrap_or_default();
            writer.write_record([
                &without_zone(row.time),
                "+00:00",
                &cell(&row.what),
                category(row.event),
                &cell(&format!("{} (clock: {}, record {}{request})", row.what, row.clock, short(row))),
                &format!("{} sha256:{}", row.record, row.sha256),
                &format!("cordon {}", row.function),
                "",
                "",
                &format!("cordon|{}|{}", row.event, self.incident),
            ])?;
        }
        let bytes = writer.into_inner().map_err(|error| csv::Error::from(error.into_error()))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

/// Timesketch groups events by these.
fn description(event: &str) -> &'static str {
    match event {
        "finding_first_seen" => "Activity First Seen",
        "finding_created" => "Finding Created",
        "finding_last_seen" => "Activity Last Seen",
        "finding_published" => "Finding Published",
        "reported" => "Leak Reported",
        "exposed_since" => "Exposed Since",
        "event" => "Event Delivered",
        "received" => "Finding Received",
        "observed" => "State Observed",
        "intent" => "Intent Signed",
        "intent_durable" => "Intent Durable",
        "change_answered" | "changes_answered" => "Change Answered",
        "read_back" => "State Read Back",
        "outcome" => "Outcome Signed",
        "outcome_due" => "Outcome Due",
        "decision" => "Decision Signed",
        "anomaly" => "Anomaly Found",
        "stored" => "Record Stored",
        "sealed" => "Record Sealed",
        _ => "Recorded",
    }
}

/// IRIS's own event categories (iris-web, `post_init.py`): only two of them fit.
fn category(event: &str) -> &'static str {
    match event {
        "change_answered" | "changes_answered" => "Remediation",
        _ => "Unspecified",
    }
}
