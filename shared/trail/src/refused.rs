//! What is no event, and why.

use thiserror::Error;

/// Something in a file of events that is none, and where it is.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{}event {place}: {why}", .id.as_ref().map_or_else(String::new, |id| format!("{id}, ")))]
pub struct Refused {
    /// 1 for the first in its file.
    pub place: u64,
    /// Its event id, where that could be read.
    pub id: Option<String>,
    /// What is wrong with it.
    pub why: Refusal,
}

/// Why something is no event.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refusal {
    /// The text is broken there. What follows it was not read, unless `resumed`.
    #[error("not JSON, or nested too deep, at line {line} of it, column {column}{}", if *resumed { "" } else { "; the rest of the file was not read" })]
    Broken {
        /// The line, from 1, counted from the beginning of the JSON value.
        line: usize,
        /// The column, from 1.
        column: usize,
        /// Whether the next line was read.
        resumed: bool,
    },
    /// More bytes than any event has; the rest of the file was not read.
    #[error("more than {} MiB in one event; the rest of the file was not read", crate::LARGEST_EVENT >> 20)]
    TooLarge,
    /// The file could not be read on (for a compressed one: it is cut off or damaged).
    #[error("the file could not be read on: {0}")]
    Unreadable(String),
    /// JSON that is neither an event nor a list of events.
    #[error("neither an event, nor `Records`, nor `Events`")]
    NoEvent,
    /// A list that is none.
    #[error("`{0}` is not a list of events")]
    NoList(&'static str),
    /// A field that every event has is not there.
    #[error("`{0}` is missing")]
    Missing(&'static str),
    /// A field is not of its documented form.
    #[error("`{0}` is not of the form that CloudTrail documents")]
    Malformed(&'static str),
    /// A form of events that was made after this program ("compare the major version for equality", CloudTrail record contents).
    #[error("events of version {0} are not known here, only 1.x")]
    Version(String),
    /// An Insights event: a statistic about calls, not a call.
    #[error("an Insights event, which is no call")]
    Insight,
    /// `lookup-events` was stopped before its end.
    #[error("the listing was cut off (`NextToken`): list it to its end")]
    GoesOn,
}

impl Refusal {
    /// Whether it means that events which should be there were not read. An Insights event is no call, so nothing is missing with it.
    #[must_use]
    pub fn hides_events(&self) -> bool {
        !matches!(self, Self::Insight)
    }
}
