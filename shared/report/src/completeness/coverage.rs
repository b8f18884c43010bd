//! What an answer rests on.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use ids::Timestamp;
use serde::Serialize;
use trail::{Event, Kind, Refused};

use super::{OwnWrites, Places, REFUSALS_TOLD};
use crate::clean::clean;

/// So many accounts and Regions are told apart: more than there are Regions, times a large organisation.
const SPANS: usize = 100_000;

/// Why something in a trail was not compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Left {
    /// An event of someone who is no responder, in a responder's account.
    AnotherPrincipal,
    /// An event of an account where no responder's role is.
    AnotherAccount,
    /// An event of an AWS service acting for itself.
    AwsService,
    /// A responder's call that only reads, and that no record names.
    OnlyReads,
    /// A responder's call outside the period.
    OutsideThePeriod,
    /// An event that was there already: in another file, another trail or another account.
    SeenBefore,
    /// A digest file, which is about log files (`aws cloudtrail validate-logs` reads it).
    DigestFile,
    /// A file of Insights events, which are statistics.
    InsightFile,
    /// A file whose name is not that of events (`.json`, `.jsonl`, or either with `.gz`).
    OtherFile,
}

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::AnotherPrincipal => "events of other principals",
            Self::AnotherAccount => "events of other accounts",
            Self::AwsService => "events of AWS services",
            Self::OnlyReads => "calls that only read",
            Self::OutsideThePeriod => "calls outside the period",
            Self::SeenBefore => "copies of events that were there already",
            Self::DigestFile => "digest files",
            Self::InsightFile => "files of Insights events",
            Self::OtherFile => "files of other names",
        })
    }
}

/// From which event until which.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Span {
    /// Events.
    pub events: u64,
    /// The time of the first.
    pub first: Timestamp,
    /// The time of the last.
    pub last: Timestamp,
}

impl Span {
    fn note(span: Option<Self>, time: Timestamp) -> Self {
        match span {
            None => Self { events: 1, first: time, last: time },
            Some(Self { events, first, last }) => {
                Self { events: events.saturating_add(1), first: first.min(time), last: last.max(time) }
            }
        }
    }
}

/// What was seen of one role.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Seen {
    /// Events, copies not counted.
    pub events: u64,
    /// The time of the first.
    pub first: Option<Timestamp>,
    /// The time of the last.
    pub last: Option<Timestamp>,
    /// Whether there were data events among them.
    pub data_events: bool,
}

/// What an answer rests on: which events were seen, and what no events can show.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Coverage {
    /// Files read.
    pub files: u64,
    /// Events read, of anybody.
    pub events: Option<Span>,
    /// The same by account and Region, as `ACCOUNT REGION`.
    pub places: BTreeMap<String, Span>,
    /// By role.
    pub roles: BTreeMap<String, Seen>,
    /// What was not compared, and why.
    pub left_out: BTreeMap<Left, u64>,
    /// What was no event.
    pub refused: u64,
    /// Those of `refused` that hide events.
    pub unread: u64,
    /// The first of them, each with its file.
    pub refusals: Vec<String>,
    /// What this trail cannot show.
    pub cannot_see: Vec<String>,
}

/// Is handed what a trail has, file by file and event by event.
pub trait TrailReader {
    /// What the answer rests on so far.
    fn coverage(&mut self) -> &mut Coverage;

    /// Takes in one event. The order of events does not matter.
    fn see(&mut self, event: &Event);

    /// Notes that a file is read.
    fn file(&mut self) {
        let files = &mut self.coverage().files;
        *files = files.saturating_add(1);
    }

    /// Notes a file that holds no events, and why it was left out.
    fn left_out(&mut self, why: Left) {
        self.coverage().leave_out(why);
    }

    /// Notes what could not be read, in `file`.
    fn refused(&mut self, file: &str, refused: &Refused) {
        self.coverage().refuse(file, refused);
    }
}

impl Coverage {
    pub(crate) fn new(roles: impl Iterator<Item = String>) -> Self {
        Self {
            files: 0,
            events: None,
            places: BTreeMap::new(),
            roles: roles.map(|role| (role, Seen::default())).collect(),
            left_out: BTreeMap::new(),
            refused: 0,
            unread: 0,
            refusals: Vec::new(),
            cannot_see: Vec::new(),
        }
    }

    pub(crate) fn leave_out(&mut self, why: Left) {
        super::add(self.left_out.entry(why).or_default());
    }

    pub(crate) fn refuse(&mut self, file: &str, refused: &Refused) {
        super::add(&mut self.refused);
        if refused.why.hides_events() {
            super::add(&mut self.unread);
        }
        if self.refusals.len() < REFUSALS_TOLD {
            self.refusals.push(format!("{}: {}", clean(file), clean(&refused.to_string())));
        }
    }

    pub(crate) fn note(&mut self, event: &Event) {
        self.events = Some(Span::note(self.events, event.time));
        let account = event.account.as_ref().map_or("(unknown)", ids::AccountId::as_str);
        let place = format!("{account} {}", clean(&event.region));
        if let Some(span) = self.places.get_mut(&place) {
            *span = Span::note(Some(*span), event.time);
        } else if self.places.len() < SPANS {
            self.places.insert(place, Span::note(None, event.time));
        }
    }

    pub(crate) fn note_role(&mut self, role: &str, event: &Event) {
        let Some(seen) = self.roles.get_mut(role) else { return };
        super::add(&mut seen.events);
        seen.first = Some(seen.first.map_or(event.time, |first| first.min(event.time)));
        seen.last = Some(seen.last.map_or(event.time, |last| last.max(event.time)));
        seen.data_events |= event.kind == Kind::Data;
    }

    /// Whether an event of that moment would be here: there are events before it, and events after it that are later by `delay`.
    pub(super) fn reaches(&self, account: &str, region: Option<&str>, moment: Timestamp, delay: Duration) -> bool {
        self.places.iter().any(|(place, span)| {
            let Some((of, at)) = place.split_once(' ') else { return false };
            let here = of == account && region.is_none_or(|region| region == at);
            here && span.first <= moment && moment.plus(delay) <= span.last
        })
    }

    pub(super) fn say_what_it_cannot_see(&mut self, own: &BTreeMap<String, OwnWrites>, places: &Places) {
        let mut say = |text: String| self.cannot_see.push(text);
        say("Whether these files are what CloudTrail wrote: `aws cloudtrail validate-logs` compares them with its digest files."
            .to_owned());
        say("What happened while no trail was logging. A gap between events looks like a quiet time; only where a record tells of a call in it is the call missed.".to_owned());
        if own.values().all(|writes| writes.put == 0) {
            say("Who wrote records, and whether one that was written is missing: the trail has no S3 data events of these roles."
                .to_owned());
        } else {
            for (known, option, what) in
                [(&places.evidence, "--evidence-bucket", "records and batches"), (&places.tiles, "--tile-bucket", "tiles")]
            {
                if known.is_none() {
                    say(format!("Whether objects with the names of {what} went to the right bucket: give {option}."));
                }
            }
        }
        say("Calls on rows, messages and objects in other buckets, unless their data events were switched on.".to_owned());
    }
}
