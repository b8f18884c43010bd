//! What does not agree.

use std::fmt;

use evidence::RecordKey;
use ids::Timestamp;
use serde::Serialize;
use trail::Event;

use super::{acted_on, service};
use crate::clean::clean;

/// In what way a trail and the evidence do not agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingKind {
    /// A responder's role changed something, or tried to, and nothing announced it.
    Unannounced,
    /// CloudTrail says otherwise than a record: of the caller, the call, its result, its resource, its place or its time.
    Contradicted,
    /// CloudTrail saw a record being written that is not here.
    Missing,
    /// A record tells of a call that the trail does not have, although it covers that time.
    Unseen,
    /// A change was announced, and its outcome never came.
    Unconcluded,
}

impl FindingKind {
    fn word(self) -> &'static str {
        match self {
            Self::Unannounced => "unannounced",
            Self::Contradicted => "contradicted",
            Self::Missing => "missing",
            Self::Unseen => "unseen",
            Self::Unconcluded => "unconcluded",
        }
    }
}

impl fmt::Display for FindingKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// One thing that does not agree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// In what way.
    pub kind: FindingKind,
    /// That in a sentence.
    pub what: String,
    /// What CloudTrail tells.
    pub call: Option<Called>,
    /// The record that it is about.
    pub record: Option<RecordKey>,
    /// The intent that announced it.
    pub intent: Option<RecordKey>,
    /// The request's id.
    pub request_id: Option<String>,
}

impl Finding {
    /// A finding about a call that CloudTrail tells of. No record and no intent is named.
    pub(super) fn about(event: &Event, kind: FindingKind, what: String) -> Self {
        let (call, request_id) = (Some(Called::of(event)), event.request_id.as_deref().map(clean));
        Self { kind, what, call, record: None, intent: None, request_id }
    }
}

/// A call as CloudTrail tells of it, cleaned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Called {
    /// CloudTrail's id for the event.
    pub event: String,
    /// When it was completed, by AWS's clock.
    pub time: Timestamp,
    /// The service, `ec2`.
    pub service: String,
    /// The call, `TerminateInstances`.
    pub operation: String,
    /// Where.
    pub region: String,
    /// The resources that it acted on.
    pub on: String,
    /// Who made it.
    pub caller: String,
    /// From where.
    pub address: Option<String>,
    /// The error that was answered.
    pub error: Option<String>,
}

impl Called {
    pub(super) fn of(event: &Event) -> Self {
        let on = match (&event.bucket, &event.key) {
            (Some(bucket), Some(key)) => format!("{}/{}", clean(bucket), clean(key)),
            (Some(bucket), None) => clean(bucket),
            _ => acted_on(event),
        };
        Self {
            event: clean(&event.id),
            time: event.time,
            service: service(event),
            operation: clean(&event.name),
            region: clean(&event.region),
            on,
            caller: clean(event.caller.words()),
            address: event.address.as_deref().map(clean),
            error: event.error.as_deref().map(clean),
        }
    }
}

impl fmt::Display for Called {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {} on {} in {}", self.time, self.service, self.operation, self.on, self.region)?;
        if let Some(error) = &self.error {
            write!(f, ", refused ({error})")?;
        }
        write!(f, ", by {}", self.caller)?;
        if let Some(address) = &self.address {
            write!(f, " from {address}")?;
        }
        write!(f, " (event {})", self.event)
    }
}
