//! From when until when.

use std::time::Duration;

use ids::Timestamp;
use serde::Serialize;
use thiserror::Error;

use crate::entry::Entry;

/// A period: its first moment belongs to it, its last does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Period {
    /// The first moment in it.
    pub from: Timestamp,
    /// The first moment after it.
    pub to: Timestamp,
}

/// A period that ends before it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the period ends at {to}, which is not after its beginning, {from}")]
pub struct PeriodError {
    from: Timestamp,
    to: Timestamp,
}

impl Period {
    /// The period from `from` until `to`.
    ///
    /// # Errors
    /// If it would be empty.
    pub fn new(from: Timestamp, to: Timestamp) -> Result<Self, PeriodError> {
        if from < to { Ok(Self { from, to }) } else { Err(PeriodError { from, to }) }
    }

    /// The shortest period that all of `entries` were made in; none if there are none.
    #[must_use]
    pub fn of(entries: &[Entry]) -> Option<Self> {
        let times = || entries.iter().map(|entry| entry.header.time);
        let (first, last) = (times().min()?, times().max()?);
        Self::new(first, last.plus(Duration::from_millis(1))).ok()
    }

    /// Whether `moment` lies in it.
    #[must_use]
    pub fn contains(&self, moment: Timestamp) -> bool {
        self.from <= moment && moment < self.to
    }
}

impl std::fmt::Display for Period {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "from {} to before {}", self.from, self.to)
    }
}
