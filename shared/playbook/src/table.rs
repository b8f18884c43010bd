//! The mitigation table: which finding type calls for what.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use signal::FindingType;
use thiserror::Error;

use crate::{Control, Mitigation, PlaybookError};

/// What is done about a group of finding types.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// Its name, in kebab case.
    pub id: String,
    /// What these findings have in common.
    pub description: String,
    /// Which ones they are.
    pub findings: Vec<Pattern>,
    /// What is done about them.
    pub mitigation: Mitigation,
    /// What doing it is evidence for, beyond what every decision is evidence for.
    pub controls: Vec<Control>,
    /// How it is undone.
    pub reversible_by: String,
    /// Who answers for this row.
    pub owner: String,
}

impl Row {
    /// Whether findings of this type are in it.
    #[must_use]
    pub fn covers(&self, kind: &FindingType) -> bool {
        self.findings.iter().any(|pattern| pattern.matches(kind))
    }
}

/// A finding type, or many: `Purpose:Resource/Rest`, where each of the three parts may end in a `*` for any rest of that part.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pattern(String);

/// Text that is no pattern for finding types.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{0}` is no pattern: expected Purpose:Resource/Rest, where each part may end in a `*`")]
pub struct ParsePatternError(String);

impl Pattern {
    /// The pattern as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `kind` is one of those it stands for.
    #[must_use]
    pub fn matches(&self, kind: &FindingType) -> bool {
        parts(&self.0).zip(parts(kind.as_str())).is_some_and(|(pattern, kind)| fits(pattern, kind))
    }
}

type Parts<'a> = [&'a str; 3];

fn parts(text: &str) -> Option<Parts<'_>> {
    let (purpose, rest) = text.split_once(':')?;
    let (resource, rest) = rest.split_once('/')?;
    Some([purpose, resource, rest])
}

fn fits(pattern: Parts<'_>, kind: Parts<'_>) -> bool {
    pattern.into_iter().zip(kind).all(|(pattern, part)| match pattern.strip_suffix('*') {
        Some(start) => part.starts_with(start),
        None => part == pattern,
    })
}

impl FromStr for Pattern {
    type Err = ParsePatternError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let well_formed = |part: &str| {
            let start = part.strip_suffix('*').unwrap_or(part);
            !part.is_empty() && start.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'!' | b'&' | b'_' | b'-'))
        };
        if parts(text).is_some_and(|parts| parts.into_iter().all(well_formed)) {
            Ok(Self(text.to_owned()))
        } else {
            Err(ParsePatternError(text.to_owned()))
        }
    }
}

impl TryFrom<String> for Pattern {
    type Error = ParsePatternError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> Self {
        pattern.0
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Table {
    /// What every decision is evidence for, whatever it says.
    pub(crate) every_decision: Vec<Control>,
    /// One row for each group of findings.
    pub(crate) rows: Vec<Row>,
}

impl Table {
    pub(crate) fn parse(text: &str) -> Result<Self, PlaybookError> {
        let table: Self = serde_json::from_str(text).map_err(|error| PlaybookError::Table { what: error.to_string() })?;
        table.check()?;
        Ok(table)
    }

    pub(crate) fn row(&self, kind: &FindingType) -> Option<&Row> {
        self.rows.iter().find(|row| row.covers(kind))
    }

    /// Names are unique, no row is silent about what matters, every pattern is of use, and no finding has two answers.
    fn check(&self) -> Result<(), PlaybookError> {
        let known: Vec<FindingType> = FindingType::all().collect();
        let known: Vec<Parts<'_>> = known.iter().filter_map(|kind| parts(kind.as_str())).collect();
        let mut names = BTreeSet::new();
        let mut answered = BTreeMap::new();
        for row in &self.rows {
            let refuse = |what: String| Err(PlaybookError::Row { row: row.id.clone(), what });
            if !is_kebab(&row.id) {
                return refuse("its id is no name: use up to 64 lower-case letters, digits and single dashes".into());
            }
            if !names.insert(&row.id) {
                return refuse("a row before it has the same id: rename one".into());
            }
            for (field, text) in [("description", &row.description), ("reversible_by", &row.reversible_by), ("owner", &row.owner)] {
                if text.trim().is_empty() {
                    return refuse(format!("`{field}` is empty: a responder needs it"));
                }
            }
            if !matches!(row.mitigation, Mitigation::IsolateInstance | Mitigation::None) {
                return refuse("this table isolates instances and does nothing else: use `isolate-instance` or `none`".into());
            }
            for pattern in &row.findings {
                let kinds = parts(&pattern.0).map(|pattern| known.iter().filter(move |kind| fits(pattern, **kind)));
                let mut kinds = kinds.into_iter().flatten().peekable();
                if kinds.peek().is_none() {
                    return refuse(format!("`{pattern}` matches no known finding type: correct or remove it"));
                }
                for kind @ [purpose, resource, rest] in kinds {
                    let other = *answered.entry(kind).or_insert(&row.id);
                    if *other != row.id {
                        return refuse(format!(
                            "`{pattern}` and row `{other}` both answer {purpose}:{resource}/{rest}: narrow one"
                        ));
                    }
                }
            }
        }
        Ok(())
    }
}

/// Lower-case words with single dashes between them, short enough for a rule's name.
pub(crate) fn is_kebab(text: &str) -> bool {
    let word = |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    text.len() <= 64 && text.split('-').all(word)
}
