//! Time: milliseconds since the epoch in UTC inside, RFC 3339 outside.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A moment, in whole milliseconds since 1970-01-01T00:00:00Z. Prints and parses as RFC 3339 in UTC.
///
/// Always between the years 1 and 9999: what lies outside is refused when it is made.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Timestamp(i64);

/// Text or a number that is no moment.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("not a time: expected RFC 3339 such as 2026-11-23T02:00:00Z")]
pub struct ParseTimestampError;

const FIRST: i64 = -62_135_596_800_000;
const LAST: i64 = 253_402_300_799_999;

impl Timestamp {
    /// The moment `millis` milliseconds after the epoch.
    ///
    /// # Errors
    /// If that lies outside the years 1 to 9999.
    pub fn from_millis(millis: i64) -> Result<Self, ParseTimestampError> {
        if (FIRST..=LAST).contains(&millis) { Ok(Self(millis)) } else { Err(ParseTimestampError) }
    }

    /// The moment `millis` milliseconds after the epoch, or the nearest one there is: for clocks, which cannot be refused.
    #[must_use]
    pub fn saturating(millis: i64) -> Self {
        Self(millis.clamp(FIRST, LAST))
    }

    /// Milliseconds since the epoch.
    #[must_use]
    pub fn millis(self) -> i64 {
        self.0
    }

    /// `self` moved by `by`; a result past the year 9999 stays at its end.
    #[must_use]
    pub fn plus(self, by: Duration) -> Self {
        let by = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(by).min(LAST))
    }

    /// Milliseconds from `earlier` to `self`; negative if `self` is before it.
    #[must_use]
    pub fn millis_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// `YYYY/MM/DD/HH/mm`: the part of a record's key that its time decides.
    #[must_use]
    pub fn minute_path(self) -> String {
        self.civil().strftime("%Y/%m/%d/%H/%M").to_string()
    }

    /// `HH:MM:SS.mmm`, for people who already know the day.
    #[must_use]
    pub fn clock(self) -> String {
        self.civil().strftime("%H:%M:%S%.3f").to_string()
    }

    fn civil(self) -> jiff::Zoned {
        // INVARIANT: every constructor keeps the value within jiff's own range, which is wider.
        jiff::Timestamp::from_millisecond(self.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH).to_zoned(jiff::tz::TimeZone::UTC)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.civil().strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string())
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Timestamp {
    type Err = ParseTimestampError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let moment: jiff::Timestamp = text.parse().map_err(|_| ParseTimestampError)?;
        Self::from_millis(moment.as_millisecond())
    }
}

impl TryFrom<String> for Timestamp {
    type Error = ParseTimestampError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Timestamp> for String {
    fn from(moment: Timestamp) -> Self {
        moment.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_numbers_meet() {
        let moment: Timestamp = "2026-11-23T02:00:00.250Z".parse().unwrap();
        assert_eq!(moment.to_string(), "2026-11-23T02:00:00.250Z");
        assert_eq!(Timestamp::from_millis(moment.millis()), Ok(moment));
        assert_eq!(moment.minute_path(), "2026/11/23/02/00");
        assert_eq!("2026-11-23T03:00:00.250+01:00".parse(), Ok(moment));
        assert!("yesterday".parse::<Timestamp>().is_err());
        assert!(Timestamp::from_millis(i64::MAX).is_err());
    }
}
