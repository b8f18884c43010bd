//! How bad GuardDuty says it is.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::loose::decimal;

/// A finding's severity, in hundredths: from 0 to 10, printed as `8.50`.
///
/// Digits beyond the second are cut off, which never changes the [`Level`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Severity(u16);

/// A value that is no severity.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("not a severity: expected a number from 0 to 10")]
pub struct ParseSeverityError;

/// The bands of AWS's page "Severity levels of GuardDuty findings": 1.0–3.9, 4.0–6.9, 7.0–8.9, 9.0–10.0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Below 4: suspicious, and stopped before it did harm.
    Low,
    /// From 4: deviates from what is normal.
    Medium,
    /// From 7: a resource is compromised and in use.
    High,
    /// From 9: an attack sequence may be in progress.
    Critical,
}

impl Severity {
    /// The severity of `hundredths`.
    ///
    /// # Errors
    /// If that is more than 10.00.
    pub fn from_hundredths(hundredths: u16) -> Result<Self, ParseSeverityError> {
        if hundredths <= 1000 { Ok(Self(hundredths)) } else { Err(ParseSeverityError) }
    }

    /// The severity times a hundred.
    #[must_use]
    pub fn hundredths(self) -> u16 {
        self.0
    }

    /// The band it falls into.
    #[must_use]
    pub fn level(self) -> Level {
        match self.0 {
            ..400 => Level::Low,
            400..700 => Level::Medium,
            700..900 => Level::High,
            900.. => Level::Critical,
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}.{:02}", self.0 / 100, self.0 % 100))
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        })
    }
}

impl FromStr for Severity {
    type Err = ParseSeverityError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let hundredths = decimal(text, 2).and_then(|n| u16::try_from(n).ok()).ok_or(ParseSeverityError)?;
        Self::from_hundredths(hundredths)
    }
}

impl TryFrom<String> for Severity {
    type Error = ParseSeverityError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Severity> for String {
    fn from(severity: Severity) -> Self {
        severity.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_band_begins_exactly_at_its_number() {
        for (text, shown, level) in [
            ("0", "0.00", Level::Low),
            ("3.999", "3.99", Level::Low),
            ("4", "4.00", Level::Medium),
            ("6.9", "6.90", Level::Medium),
            ("7.0", "7.00", Level::High),
            ("8.9999999999999", "8.99", Level::High),
            ("9", "9.00", Level::Critical),
            ("10.0", "10.00", Level::Critical),
        ] {
            let severity: Severity = text.parse().unwrap();
            assert_eq!((severity.to_string().as_str(), severity.level()), (shown, level), "{text}");
        }
        for bad in ["", "-1", "10.01", "high", "NaN", "1e1", "99999999999999999999"] {
            assert!(bad.parse::<Severity>().is_err(), "{bad}");
        }
    }
}
