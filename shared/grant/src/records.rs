//! What the records say of a grant. They are input: whoever reads them has checked each signature and who signed.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU8;

use ids::{GrantId, RoleArn, Sha256, SourceIdentity, Timestamp};
use people::{Person, Who};
use serde::{Deserialize, Serialize};

use crate::Grant;

/// A request, as it was recorded.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Opened {
    /// The grant.
    pub grant: GrantId,
    /// Digest of what was asked for.
    pub terms: Sha256,
    /// When.
    pub at: Timestamp,
    /// Until when it can be approved.
    pub approve_by: Timestamp,
}

/// Somebody's approval, as it was recorded.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Approval {
    /// The grant.
    pub grant: GrantId,
    /// Digest of what they saw.
    pub terms: Sha256,
    /// Who.
    pub by: Who,
    /// When.
    pub at: Timestamp,
}

/// Somebody's denial, as it was recorded. It counts whatever digest they saw: closing asks for less than opening.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Denial {
    /// The grant.
    pub grant: GrantId,
    /// Who.
    pub by: Who,
    /// When.
    pub at: Timestamp,
}

/// The intent to make a session, as it was recorded before the call.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Minted {
    /// The grant.
    pub grant: GrantId,
    /// 1 for its first session, then one more each. One record for each: it is created once.
    pub serial: u32,
    /// When.
    pub at: Timestamp,
    /// When the grant ends.
    pub ends: Timestamp,
}

/// An end, as it was recorded: what has to be denied, and until when. One that was recorded may still lose its write to a session's; then the
/// end is stepped again from there and recorded again.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Closed {
    /// The grant.
    pub grant: GrantId,
    /// The role whose sessions it had.
    pub role: RoleArn,
    /// What its sessions carry.
    pub source: SourceIdentity,
    /// When the last of its sessions has ended by itself, whatever clocks say; none if it can have none.
    pub deny_until: Option<Timestamp>,
}

/// All that the records say of one grant. What is about another grant is not looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Records {
    /// Its request.
    pub opened: Option<Opened>,
    /// Approvals.
    pub approvals: Vec<Approval>,
    /// Denials.
    pub denials: Vec<Denial>,
    /// Sessions that were meant to be made.
    pub minted: Vec<Minted>,
    /// Its ends.
    pub closed: Vec<Closed>,
}

impl Records {
    /// The first session's intent of this grant, and the highest number of them.
    pub(crate) fn sessions(&self, grant: &GrantId) -> Option<(&Minted, u32)> {
        let own = || self.minted.iter().filter(|minted| minted.grant == *grant);
        Some((own().min_by_key(|minted| minted.serial)?, own().map(|minted| minted.serial).max()?))
    }

    pub(crate) fn denied(&self, grant: &GrantId) -> bool {
        self.denials.iter().any(|denial| denial.grant == *grant)
    }

    /// Whether an end is on record that denies for as long.
    pub(crate) fn denies_until(&self, grant: &GrantId, until: Option<Timestamp>) -> bool {
        self.closed.iter().any(|closed| closed.grant == *grant && closed.deny_until >= until)
    }

    pub(crate) fn ended(&self, grant: &GrantId) -> bool {
        self.closed.iter().any(|closed| closed.grant == *grant)
    }
}

/// The name by which people are compared: small letters, whatever a record has; but a provider's subject as it is, because there they differ.
#[must_use]
pub fn key(who: &Who) -> String {
    match who {
        Who::Person(_) | Who::Role { .. } => who.id().to_ascii_lowercase(),
        Who::Subject(_) => who.id(),
    }
}

/// Every name that somebody answers to: their own, and what they call themselves, which can only count against them.
fn names(who: &Who) -> BTreeSet<String> {
    [Some(key(who)), who.calls_itself().map(|id| id.to_ascii_lowercase())].into_iter().flatten().collect()
}

/// Whether two of them may be one person, who comes by two ways.
pub(crate) fn may_be_one(one: &Who, other: &Who) -> bool {
    !names(one).is_disjoint(&names(other))
}

/// The people whom policy lets approve, deny and review this grant, as it is now. Policy is asked by the caller, about each of those who come up.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Eligible(BTreeSet<String>);

impl Eligible {
    /// Whether policy lets them, and they are a person.
    #[must_use]
    pub fn has(&self, who: &Who) -> bool {
        who.is_person() && self.0.contains(&key(who))
    }
}

impl FromIterator<Who> for Eligible {
    /// Whoever of them is a person.
    fn from_iter<I: IntoIterator<Item = Who>>(people: I) -> Self {
        Self(people.into_iter().filter(Who::is_person).map(|who| key(&who)).collect())
    }
}

impl FromIterator<Person> for Eligible {
    fn from_iter<I: IntoIterator<Item = Person>>(people: I) -> Self {
        Self(people.into_iter().map(|person| key(&Who::Person(person))).collect())
    }
}

/// Why an approval does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NotCounted {
    /// It is of another grant.
    OtherGrant,
    /// It is of other terms.
    OtherTerms,
    /// A role approved, whoever that was.
    NotAPerson,
    /// The requester, by whatever name, permission set and way in; or the person whose name the requesting role's session has.
    Requester,
    /// It came after the deadline.
    TooLate,
    /// Policy does not let them.
    NotEligible,
    /// They have been counted already, or somebody who may be they.
    Twice,
}

/// How approvals were counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Count {
    /// The people whose approval counts, and when they first gave it: `person/bob@example.com`.
    pub people: BTreeMap<String, Timestamp>,
    /// What does not count: whose, and why.
    pub not: Vec<(String, NotCounted)>,
}

impl Count {
    /// Counts the approvals of `grant`.
    #[must_use]
    pub fn of(grant: &Grant, approvals: &[Approval], eligible: &Eligible) -> Self {
        Self::of_terms(grant, grant.terms.digest(), approvals, eligible)
    }

    pub(crate) fn of_terms(grant: &Grant, terms: Sha256, approvals: &[Approval], eligible: &Eligible) -> Self {
        // In the order of time, so that a later approval takes nothing from an earlier one.
        let mut in_time: Vec<&Approval> = approvals.iter().collect();
        in_time.sort_by_key(|approval| approval.at);
        let (mut count, mut known) = (Self::default(), BTreeSet::new());
        for approval in in_time {
            let by = key(&approval.by);
            let why = if approval.grant != grant.id {
                NotCounted::OtherGrant
            } else if approval.terms != terms {
                NotCounted::OtherTerms
            } else if !approval.by.is_person() {
                NotCounted::NotAPerson
            } else if may_be_one(&approval.by, &grant.terms.requester) {
                NotCounted::Requester
            } else if approval.at >= grant.approve_by {
                NotCounted::TooLate
            } else if !eligible.has(&approval.by) {
                NotCounted::NotEligible
            } else {
                let names = names(&approval.by);
                let new = known.is_disjoint(&names);
                known.extend(names);
                if new {
                    count.people.insert(by, approval.at);
                    continue;
                }
                NotCounted::Twice
            };
            count.not.push((by, why));
        }
        count
    }

    /// When so many had approved; none if they have not. Later approvals do not move it.
    #[must_use]
    pub fn reached(&self, needed: NonZeroU8) -> Option<Timestamp> {
        let mut times: Vec<Timestamp> = self.people.values().copied().collect();
        times.sort_unstable();
        times.get(usize::from(needed.get() - 1)).copied()
    }
}
