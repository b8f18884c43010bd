//! What there is to know of each kind of credential: one file for each.

use ids::Timestamp;
use serde::{Deserialize, Serialize};
use signal::Credential;

use super::observed::Principal;
use super::patterns::ALL;
use super::steps::{Revoke, Rule};

/// A kind of credential, and what ends it.
#[derive(Debug)]
pub struct Pattern {
    /// Its name, in kebab case.
    pub id: &'static str,
    /// How it is recognised.
    pub recognised: &'static str,
    /// What ends it.
    pub done: &'static str,
    /// How it shows that it is ended.
    pub shown: &'static str,
    /// What goes on all the same.
    pub survives: &'static str,
    /// Whether a credential is of this kind.
    pub matches: fn(&Credential) -> bool,
    /// Whether its principal makes it this kind, where the credential alone does not say.
    pub principal: Option<fn(&Principal) -> bool>,
    /// The plan's steps, unless only people can end it.
    pub procedure: Option<fn(&Rule, &Credential, &Principal) -> Procedure>,
    /// What people have to do: all of it where there is no procedure, the rest where there is one.
    pub by_hand: &'static [&'static str],
}

/// The steps of a plan, and what they leave.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Procedure {
    /// What to do, all of it at the same time.
    pub steps: Vec<Revoke>,
    /// What is so already.
    pub already: Vec<String>,
    /// What goes on all the same.
    pub survives: Vec<Survivor>,
    /// What was seen on the way that a person should know.
    pub remarks: Vec<String>,
}

/// Something that goes on although the credential is ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Survivor {
    /// What.
    pub what: String,
    /// Until when at the latest, where there is an end.
    pub until: Option<Timestamp>,
}

/// Every kind that is known, the particular before the general.
pub fn patterns() -> impl Iterator<Item = &'static Pattern> {
    ALL.iter().copied()
}

/// The kind of a credential, as far as it shows without looking at its principal.
#[must_use]
pub fn pattern_of(credential: &Credential) -> Option<&'static Pattern> {
    patterns().find(|pattern| pattern.principal.is_none() && (pattern.matches)(credential))
}

/// The kind of a credential whose principal was looked at.
#[must_use]
pub fn pattern_seen(credential: &Credential, principal: &Principal) -> Option<&'static Pattern> {
    patterns().find(|pattern| (pattern.matches)(credential) && pattern.principal.is_none_or(|is| is(principal)))
}
