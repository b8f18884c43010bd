//! Who read, wrote, listed or tried to delete one record, by CloudTrail's account of the evidence bucket.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use evidence::RecordKey;
use ids::Timestamp;
use serde::Serialize;
use trail::{Event, Kind};

use crate::clean::clean;
use crate::completeness::{Coverage, Left, REFUSALS_TOLD, Responder, TrailReader};
use crate::words::count;

/// So many are told one by one; the rest is counted.
const TOLD: usize = 10_000;

/// What someone did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AccessKind {
    /// Its content, or what the store says of it.
    Read,
    /// It was copied to somewhere else.
    Copied,
    /// It was put there.
    Wrote,
    /// Its retention, legal hold, tags or access list.
    Changed,
    /// It was deleted, or hidden under a delete marker.
    Deleted,
    /// A list of keys was made that it is in.
    Listed,
}

/// One access.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Access {
    /// When, by AWS's clock.
    pub time: Timestamp,
    /// What was done.
    pub kind: AccessKind,
    /// The call: `GetObject`.
    pub operation: String,
    /// Who did it.
    pub caller: String,
    /// From where.
    pub address: Option<String>,
    /// With what.
    pub agent: Option<String>,
    /// The error that was answered; none if it was done.
    pub refused: Option<String>,
    /// The bucket.
    pub bucket: String,
    /// The version that was asked for.
    pub version: Option<String>,
    /// CloudTrail's id for the event.
    pub event: String,
}

/// All of them, and what should not have been.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Accesses {
    /// In order of time; no more than 10,000.
    pub accesses: Vec<Access>,
    /// How many there are.
    pub total: u64,
    /// What should not have happened.
    pub findings: Vec<String>,
    /// What a person should know.
    pub notices: Vec<String>,
    /// What the answer rests on.
    pub coverage: Coverage,
}

/// A trail that is searched for one record, event by event.
#[derive(Debug)]
pub struct Watch {
    key: RecordKey,
    name: String,
    bucket: Option<String>,
    responders: Vec<Responder>,
    seen: BTreeSet<String>,
    accesses: Vec<(Access, bool)>,
    total: u64,
    coverage: Coverage,
    data_events: bool,
}

impl Watch {
    /// A search for the record at `key`, in `bucket` if that is known. `responders` are the roles that may write it.
    #[must_use]
    pub fn new(key: RecordKey, bucket: Option<String>, responders: Vec<Responder>) -> Self {
        let responders: Vec<_> = responders.into_iter().filter(|responder| responder.is_of(&key.function)).collect();
        let coverage = Coverage::new(responders.iter().map(|responder| responder.role.clone()));
        let name = key.to_string();
        let (seen, accesses) = Default::default();
        Self { key, name, bucket, responders, seen, accesses, total: 0, coverage, data_events: false }
    }

    /// What an event does to the record, and in which bucket.
    fn access(&self, event: &Event) -> Option<(AccessKind, String)> {
        if event.source != "s3.amazonaws.com" {
            return None;
        }
        let of_bucket = |bucket: &str| self.bucket.as_ref().is_none_or(|own| own == bucket);
        let copied = event.copied.as_deref().map(|source| source.trim_start_matches('/'));
        let copied = copied.and_then(|source| source.split('?').next()?.split_once('/'));
        if let Some((bucket, key)) = copied
            && decoded(key) == self.name
            && of_bucket(bucket)
        {
            return Some((AccessKind::Copied, bucket.to_owned()));
        }
        let bucket = event.bucket.clone().filter(|bucket| of_bucket(bucket))?;
        let kind = match (event.name.as_str(), &event.key) {
            (name, None) if name.starts_with("ListObject") => {
                self.name.starts_with(event.prefix.as_deref().unwrap_or_default()).then_some(AccessKind::Listed)?
            }
            (name, Some(key)) if *key == self.name => {
                if name.starts_with("Delete") && name != "DeleteObjectTagging" {
                    AccessKind::Deleted
                } else if !event.acts() {
                    AccessKind::Read
                } else if ["PutObject", "CopyObject", "CompleteMultipartUpload"].contains(&name) {
                    AccessKind::Wrote
                } else {
                    AccessKind::Changed
                }
            }
            _ => return None,
        };
        Some((kind, bucket))
    }

    /// What it came to, once every event was seen.
    #[must_use]
    pub fn finish(mut self) -> Accesses {
        self.accesses.sort_by(|(a, _), (b, _)| (a.time, &a.event).cmp(&(b.time, &b.event)));
        let (mut findings, mut notices) = (Vec::new(), Vec::new());
        let mut written = 0_usize;
        for (access, by_its_function) in &self.accesses {
            let Access { time, operation, caller, refused, event, .. } = access;
            let done = refused.is_none();
            let refused = refused.as_ref().map_or_else(String::new, |error| format!(", and was refused ({error})"));
            match access.kind {
                AccessKind::Wrote => {
                    written = written.saturating_add(usize::from(done));
                    if !by_its_function && !self.responders.is_empty() {
                        let verb = if done { "wrote it" } else { "tried to write it" };
                        findings.push(format!(
                            "{caller}, which is not the role of `{}`, {verb} at {time}{refused} (event {event})",
                            self.key.function
                        ));
                    }
                }
                AccessKind::Deleted if done => {
                    findings.push(format!("{caller} deleted it, or hid it under a delete marker, at {time} (event {event})"));
                }
                AccessKind::Deleted => notices.push(format!("{caller} tried to delete it at {time}{refused} (event {event})")),
                AccessKind::Changed if done => {
                    notices.push(format!("{caller} changed what is kept beside it, at {time}: {operation} (event {event})"));
                }
                AccessKind::Changed | AccessKind::Read | AccessKind::Copied | AccessKind::Listed => {}
            }
        }
        if written > 1 {
            findings.push(format!("it was written {written} times, and a record is written once"));
        }
        if self.responders.is_empty() {
            notices.push(format!("whose role may write it was not asked: give --role {}=ARN", self.key.function));
        }
        if !self.data_events {
            notices.push("the trail has no S3 data events of this bucket: that nothing is listed here says nothing".to_owned());
        }
        let accesses = self.accesses.into_iter().map(|(access, _)| access).collect();
        Accesses { accesses, total: self.total, findings, notices, coverage: self.coverage }
    }
}

impl TrailReader for Watch {
    fn coverage(&mut self) -> &mut Coverage {
        &mut self.coverage
    }

    /// Looks whether an event is about the record.
    fn see(&mut self, event: &Event) {
        self.coverage.note(event);
        let by = self.responders.iter().find(|responder| event.caller.is_role(&responder.role));
        if let Some(responder) = by {
            self.coverage.note_role(&responder.role, event);
        }
        let by = by.is_some();
        let here = self.bucket.as_ref().is_none_or(|bucket| event.bucket.as_ref() == Some(bucket));
        self.data_events |= event.source == "s3.amazonaws.com" && event.kind == Kind::Data && here;
        let Some((kind, bucket)) = self.access(event) else { return };
        // One event may be in two files. It is one access; copies of it in other accounts have the same shared id.
        if !self.seen.insert(event.shared_id.clone().unwrap_or_else(|| event.id.clone())) {
            return self.coverage.leave_out(Left::SeenBefore);
        }
        self.total = self.total.saturating_add(1);
        if self.accesses.len() >= TOLD {
            return;
        }
        let text = |text: &Option<String>| text.as_deref().map(clean);
        let access = Access {
            time: event.time,
            kind,
            operation: clean(&event.name),
            caller: clean(event.caller.words()),
            address: text(&event.address),
            agent: text(&event.agent),
            refused: text(&event.error),
            bucket: clean(&bucket),
            version: text(&event.version),
            event: clean(&event.id),
        };
        self.accesses.push((access, by));
    }
}

/// Percent-encoded text, decoded; text that is no UTF-8 afterwards is no key of ours.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        let hex = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        match (first, tail) {
            (b'%', [high, low, after @ ..]) => match (hex(high), hex(low)) {
                (Some(high), Some(low)) => {
                    bytes.push((high << 4) | low);
                    rest = after;
                }
                _ => bytes.push(*first),
            },
            _ => bytes.push(*first),
        }
    }
    String::from_utf8(bytes).unwrap_or_default()
}

impl Accesses {
    /// For a terminal.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = String::new();
        let mut line = |text: &str| {
            let _infallible = writeln!(out, "{}", text.trim_end());
        };
        line("");
        let total = usize::try_from(self.total).unwrap_or(usize::MAX);
        match self.coverage.events {
            Some(span) => {
                let many = if total == 1 { "1 access".to_owned() } else { format!("{total} accesses") };
                let files = count(usize::try_from(self.coverage.files).unwrap_or(usize::MAX), "file");
                line(&format!(
                    "by CloudTrail: {many} among {} in {files}, from {} to {}",
                    count(usize::try_from(span.events).unwrap_or(usize::MAX), "event"),
                    span.first,
                    span.last
                ));
            }
            None => line("by CloudTrail: no event"),
        }
        for finding in &self.findings {
            line(&format!("FINDING: {finding}"));
        }
        for notice in &self.notices {
            line(&format!("notice: {notice}"));
        }
        for access in &self.accesses {
            let Access { time, operation, caller, address, refused, bucket, version, event, .. } = access;
            let from = address.as_ref().map_or_else(String::new, |address| format!(" from {address}"));
            let refused = refused.as_ref().map_or_else(String::new, |error| format!(", refused ({error})"));
            let version = version.as_ref().map_or_else(String::new, |version| format!(", version {version}"));
            line(&format!("  {time}  {operation} by {caller}{from}{refused}, in {bucket}{version} (event {event})"));
        }
        if total > self.accesses.len() {
            line(&format!("  and {} more", total.saturating_sub(self.accesses.len())));
        }
        for (why, count) in self.coverage.left_out.iter().filter(|(why, _)| **why != Left::SeenBefore) {
            line(&format!("  left out, {why}: {count}"));
        }
        for refusal in self.coverage.refusals.iter().take(REFUSALS_TOLD) {
            line(&format!("  not read: {refusal}"));
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copys_source_is_read_as_it_was_sent() {
        assert_eq!(decoded("rec%2Fa/b"), "rec/a/b");
        assert_eq!(decoded("100%"), "100%");
        assert_eq!(decoded("%zz%2"), "%zz%2");
        assert_eq!(decoded("%ff"), "");
    }
}
