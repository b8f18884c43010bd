//! Alice asks, Bob, Carol and Dave may approve, and what follows.

mod denies_model;
mod life;
mod mistakes;
mod model;
mod properties;

use std::collections::BTreeSet;
use std::num::NonZeroU8;
use std::time::Duration;

use ids::{Sha256, Timestamp};
use people::{Person, Subject, Who};

use crate::{Approval, Ask, Basis, Class, Denies, Eligible, Ending, Entitlement, Event, Grant, Records, State, Terms};

pub(crate) fn person(name: &str, set: &str) -> Who {
    Who::Person(Person { name: name.to_owned(), permission_set: set.to_owned(), account: "123456789012".parse().unwrap() })
}

/// Somebody by a provider's token.
pub(crate) fn subject(subject: &str, name: Option<&str>) -> Who {
    let (issuer, name) = ("https://idp.example".to_owned(), name.map(str::to_owned));
    Who::Subject(Subject { issuer, subject: subject.to_owned(), name, groups: vec!["sg-1".to_owned()], mfa_at: Some(at(0)) })
}

pub(crate) fn alice() -> Who {
    person("alice@example.com", "Developer")
}

pub(crate) fn bob() -> Who {
    person("bob@example.com", "Approver")
}

pub(crate) fn carol() -> Who {
    person("carol@example.com", "Approver")
}

/// Policy lets more people than it should: Alice herself, too.
pub(crate) fn eligible() -> Eligible {
    [alice(), bob(), carol(), person("dave@example.com", "Approver")].iter().filter_map(|who| who.person().cloned()).collect()
}

/// An hour before the year ends: what compares text fails here.
pub(crate) fn at(minutes: u64) -> Timestamp {
    "2026-12-31T23:00:00Z".parse::<Timestamp>().unwrap().plus(Duration::from_secs(minutes * 60))
}

pub(crate) fn two() -> Class {
    Class::Approved { needed: NonZeroU8::new(2).unwrap() }
}

pub(crate) fn entitlement(class: Class) -> Entitlement {
    Entitlement {
        name: "prod-read".parse().unwrap(),
        role: "arn:aws:iam::123456789012:role/jit/prod-read".parse().unwrap(),
        session_policy: Sha256::of(b"session policy"),
        class,
        longest_seconds: 7200,
        session_seconds: 1800,
        policies: Sha256::of(b"policies"),
    }
}

pub(crate) fn ask(requester: Who) -> Ask {
    Ask {
        requester,
        entitlement: "prod-read".parse().unwrap(),
        seconds: 45 * 60,
        reason: "OPS-7: orders are stuck".parse().unwrap(),
        ticket: Some("OPS-7".parse().unwrap()),
        recipient: "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p".parse().unwrap(),
        key: "key-1".to_owned(),
    }
}

pub(crate) fn requested(class: Class) -> Grant {
    Grant::request(&ask(alice()), &entitlement(class), at(0), &BTreeSet::new()).unwrap().grant
}

pub(crate) fn approval(grant: &Grant, by: Who, minutes: u64) -> Approval {
    Approval { grant: grant.id.clone(), terms: grant.terms.digest(), by, at: at(minutes) }
}

pub(crate) fn basis(grant: &Grant, by: &[Who]) -> Basis {
    Basis {
        records: Records {
            opened: Some(grant.request_record()),
            approvals: by.iter().map(|by| approval(grant, by.clone(), 1)).collect(),
            ..Records::default()
        },
        eligible: eligible(),
        derived: Terms::derive(&ask(alice()), &entitlement(grant.terms.class)).unwrap(),
        unreviewed: BTreeSet::new(),
        reserved: Denies::default(),
        other_policies: 0,
    }
}

/// An end, of a grant whose row is to be trusted.
pub(crate) fn end(how: &Ending) -> Event<'_> {
    const NOTHING: &Records =
        &Records { opened: None, approvals: Vec::new(), denials: Vec::new(), minted: Vec::new(), closed: Vec::new() };
    Event::End { how, records: NOTHING }
}

/// An active grant since minute 2, its basis with all records.
pub(crate) fn active(class: Class) -> (Grant, Basis) {
    let grant = requested(class);
    let mut basis = basis(&grant, &[bob(), carol()]);
    let grant = match class {
        Class::Approved { .. } => grant.step(Event::Decide(&basis), at(1)).unwrap().grant,
        Class::BreakGlass => grant,
    };
    let step = grant.step(Event::Mint(&basis), at(2)).unwrap();
    assert!(matches!(step.grant.state, State::Active { .. }));
    basis.records.minted.push(step.mint.unwrap().record);
    (step.grant, basis)
}
