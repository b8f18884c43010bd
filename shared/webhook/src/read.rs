//! What is read of a body.

use std::fmt;

use ids::Timestamp;
use signal::{Excerpt, Remote, Severity};

use crate::github::Alert;
use crate::{Door, LONGEST};

/// Why a request goes no further. Nothing of the request is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such door, or it is closed: nobody learns which.
    NoSuchDoor,
    /// There is a query: whatever is in it would lie in the logs of every proxy on the way.
    Query,
    /// The body is longer than [`LONGEST`].
    TooLarge,
    /// The body is no JSON, by what its headers say.
    ContentType,
    /// The sender does not prove who it is. This says what is missing.
    NoProof(&'static str),
    /// The body cannot be read. This says where it ends to be what it should be.
    Unreadable(String),
}

impl Refusal {
    /// The refusal in a word, for whoever counts.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoSuchDoor => "no_such_door",
            Self::Query => "query",
            Self::TooLarge => "too_large",
            Self::ContentType => "content_type",
            Self::NoProof(_) => "no_proof",
            Self::Unreadable(_) => "unreadable",
        }
    }

    /// Its status in HTTP (RFC 9110, section 15.5).
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::NoSuchDoor => 404,
            Self::Query | Self::Unreadable(_) => 400,
            Self::TooLarge => 413,
            Self::ContentType => 415,
            Self::NoProof(_) => 401,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchDoor => f.write_str("nothing is here"),
            Self::Query => f.write_str("there is a query: send nothing but a body, and change whatever secret was in the query"),
            Self::TooLarge => write!(f, "the body is longer than {LONGEST} bytes"),
            Self::ContentType => f.write_str("the body must be application/json, and not compressed"),
            Self::NoProof(missing) => write!(f, "nothing shows who sent this: {missing}"),
            Self::Unreadable(problem) => write!(f, "the body cannot be read: {problem}"),
        }
    }
}

/// What a body says.
pub(crate) enum Read {
    Nothing(&'static str),
    Said(Box<Said>),
}

/// A report, as a door reads it.
pub(crate) struct Said {
    /// What tells it from the sender's other reports.
    pub(crate) about: String,
    pub(crate) name: Excerpt,
    /// What the sender itself is unsure of.
    pub(crate) suspected: bool,
    pub(crate) closed: bool,
    pub(crate) rated: Option<Severity>,
    pub(crate) at: Timestamp,
    pub(crate) remote: Vec<Remote>,
    pub(crate) what: Excerpt,
    pub(crate) place: Excerpt,
    pub(crate) alert: Option<Alert>,
    /// Whether ids of keys anywhere in the body are looked at.
    pub(crate) mentions: bool,
}

impl Said {
    pub(crate) fn new(about: String, name: Excerpt, at: Timestamp) -> Self {
        let place = name.clone();
        let what = Excerpt::default();
        Self {
            about,
            name,
            suspected: false,
            closed: false,
            rated: None,
            at,
            remote: Vec::new(),
            what,
            place,
            alert: None,
            mentions: true,
        }
    }

    /// What an admitted sender says that cannot be read.
    pub(crate) fn unread(door: &Door, problem: &str, now: Timestamp) -> Self {
        let mut said = Self::new(format!("unread/{now}"), Excerpt::of("a report that cannot be read"), now);
        said.rated = rated(500);
        said.what = Excerpt::of("a report that Cordon cannot read");
        said.place = Excerpt::of(&format!("{}: {problem}", door.id));
        said
    }
}

/// What serde has against a body, without a word of the body: where, and of which kind.
pub(crate) fn problem(error: &serde_json::Error) -> String {
    use serde_json::error::Category;
    let (line, column) = (error.line(), error.column());
    match error.classify() {
        Category::Io | Category::Syntax => format!("not JSON at line {line}, column {column}"),
        Category::Eof => format!("it ends at line {line}, column {column}, in the middle"),
        Category::Data => format!("a field is missing, or not of its type, before line {line}, column {column}"),
    }
}

pub(crate) fn rated(hundredths: u16) -> Option<Severity> {
    Severity::from_hundredths(hundredths).ok()
}
