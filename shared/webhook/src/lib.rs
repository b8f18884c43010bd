#![doc = include_str!("../README.md")]

mod canary;
mod door;
mod falco;
mod gitguardian;
mod github;
mod keys;
mod mentions;
mod proof;
mod read;

use std::collections::BTreeMap;

use ids::{AccountId, Hasher, Sha256, Timestamp};
use redact::Redactor;
use signal::{Credential, Leak, LeakSource, Report};

pub use door::{DOORS, Door};
pub use github::{Alert, Named, keys_of_alert};
pub use keys::{Keys, SHORTEST, Wrong};
pub use read::Refusal;
use read::{Read, Said};

/// A body may be so long. GitHub's alerts have some 20 kB, and API Gateway takes 10 MB.
pub const LONGEST: usize = 1024 * 1024;
/// So many keys of one report become leaks.
const MOST_KEYS: usize = 16;

/// A request as it came in.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The first part of the path: which door.
    pub door: &'a str,
    /// What of the path follows, if anything. It may be a secret.
    pub ticket: Option<&'a str>,
    /// Whether there is a query.
    pub query: bool,
    /// Headers, as API Gateway hands them over: names in lower case, repeated ones joined by commas.
    pub headers: &'a BTreeMap<String, String>,
    /// The body, byte for byte.
    pub body: &'a [u8],
}

impl<'a> Request<'a> {
    pub(crate) fn header(&self, name: &str) -> Option<&'a str> {
        self.headers.get(name).map(String::as_str)
    }
}

/// What an admitted request amounts to.
#[derive(Debug, Clone, PartialEq)]
pub enum Admitted {
    /// The sender tries whether anybody is there, or says something that changes nothing.
    Nothing {
        /// Why nothing is done.
        reason: &'static str,
    },
    /// Leaks to pass on.
    Leaks {
        /// The same for the same body at the same door: to know a replay by.
        nonce: Sha256,
        /// One at least.
        leaks: Vec<Leak>,
        /// Where the sender may be asked which key it is, and what it then is a report of.
        alert: Option<(Alert, Box<Report>)>,
    },
}

/// What a request is checked against.
#[derive(Debug, Clone, Copy)]
pub struct Surroundings<'a> {
    /// The doors' keys.
    pub keys: &'a Keys,
    /// Takes secrets and configured personal data out of texts.
    pub redactor: &'a Redactor,
    /// The account that a report without one is about: the function's.
    pub home: &'a AccountId,
    /// The time.
    pub now: Timestamp,
}

/// Checks who sent a request, and reads what it reports.
///
/// # Errors
/// If the door is closed, the sender does not prove who it is, or the body is none of this sender's. Refusals quote nothing of the request.
pub fn admit(request: &Request<'_>, surroundings: &Surroundings<'_>) -> Result<Admitted, Refusal> {
    let Surroundings { keys, redactor, home, now } = *surroundings;
    let door = DOORS.iter().find(|door| door.id == request.door).ok_or(Refusal::NoSuchDoor)?;
    let keys = keys.of(door.id).ok_or(Refusal::NoSuchDoor)?;
    if request.query {
        return Err(Refusal::Query);
    }
    if request.ticket.is_some() != door.ticket {
        return Err(Refusal::NoSuchDoor);
    }
    if request.body.len() > LONGEST {
        return Err(Refusal::TooLarge);
    }
    let media = request.header("content-type").unwrap_or_default().split(';').next().unwrap_or_default().trim();
    if !media.eq_ignore_ascii_case("application/json") || request.header("content-encoding").is_some() {
        return Err(Refusal::ContentType);
    }
    (door.prove)(request, keys, now)?;

    let sha256 = Sha256::of(request.body);
    let clean = |text: &str| redactor.text(text).0;
    let said = match (door.read)(request.body, &clean, now) {
        Ok(Read::Nothing(reason)) => return Ok(Admitted::Nothing { reason }),
        Ok(Read::Said(said)) => *said,
        // Whoever sent it is who it says; so it may be a leak in a shape that nobody here has seen: a person looks.
        Err(problem) if door.source != LeakSource::Canary => Said::unread(door, &problem, now),
        Err(problem) => return Err(Refusal::Unreadable(problem)),
    };
    let Said { about, name, suspected, closed, rated, at, remote, what, place, alert, mentions } = said;
    let report = Report { source: door.source, about, name, suspected, closed, rated, at, remote, sha256 };
    let mut leaks: Vec<Leak> = Vec::new();
    if mentions {
        // A text that mentions a key is no finding about it: whoever wrote the text may want that key dead.
        let suspected = Report { suspected: true, rated: report.rated.filter(|rated| rated.hundredths() < 500), ..report.clone() };
        let found = mentions::keys(request.body).into_iter().take(MOST_KEYS);
        leaks.extend(found.map(|key| {
            let account = key.account().unwrap_or_else(|| home.clone());
            suspected.of(Credential::UserKey { key, user: None }, account)
        }));
    }
    if leaks.is_empty() {
        leaks.push(report.of(Credential::Unnamed { what, place }, home.clone()));
    }
    let nonce = Hasher::new("cordon/webhook/v1").part(door.id).part(&sha256.to_string()).finish();
    Ok(Admitted::Leaks { nonce, leaks, alert: alert.map(|alert| (alert, Box::new(report))) })
}

/// The leaks of the keys that the sender itself has named when it was asked.
#[must_use]
pub fn named(report: &Report, named: Named, home: &AccountId) -> Vec<Leak> {
    let report = Report { suspected: report.suspected && !named.active, ..report.clone() };
    let leaks = named.keys.into_iter().take(MOST_KEYS).map(|key| {
        let account = key.account().unwrap_or_else(|| home.clone());
        report.of(Credential::UserKey { key, user: None }, account)
    });
    leaks.collect()
}
