//! The ways a grant goes.

use std::time::Duration;

use serde_json::json;

use super::*;
use crate::{BREAK_GLASS_LONGEST, Condition, Ending, Expected, Lock, Refused, Review, SESSION_TAG};

#[test]
fn asked_approved_active_renewed_returned() {
    let grant = requested(two());
    let mut basis = basis(&grant, &[bob(), carol()]);
    let step = grant.step(Event::Decide(&basis), at(5)).unwrap();
    assert_eq!(step.when, Condition { row: Expected::Revision(0), lock: None });
    assert!(step.mint.is_none() && !step.loud);
    let grant = step.grant;
    assert_eq!(grant.state.name(), "approved");

    let step = grant.step(Event::Mint(&basis), at(6)).unwrap();
    let mint = step.mint.clone().unwrap();
    let grant = step.grant;
    assert_eq!((mint.record.serial, mint.seconds), (1, 1800));
    assert_eq!(mint.tag(), (SESSION_TAG, grant.id.as_str()));
    assert_eq!(mint.source.grant().unwrap(), grant.id);
    assert!(mint.source.as_str().starts_with("alice@example.com+"));
    assert_eq!(grant.state, State::Active { since: at(6), ends: at(52) });
    basis.records.minted.push(mint.record);
    assert_eq!(grant.may_fetch(&alice(), at(7)), Ok(()));

    let again = grant.step(Event::Mint(&basis), at(7)).unwrap_err();
    assert_eq!(again, Refused::WrongState { state: "active", wanted: "approved" });

    let step = grant.step(Event::Renew { by: &alice(), basis: &basis }, at(30)).unwrap();
    let mint = step.mint.unwrap();
    // 52 - 31 minutes: it would last longer, had the grant not to end.
    assert_eq!((mint.record.serial, mint.seconds), (2, 21 * 60));
    assert_eq!(step.grant.state, grant.state);
    let grant = step.grant;
    basis.records.minted.push(mint.record);
    assert_eq!(
        grant.step(Event::Renew { by: &alice(), basis: &basis }, at(37)).unwrap_err(),
        Refused::LittleLeft { left: 14 * 60 }
    );
    assert_eq!(grant.step(Event::Renew { by: &bob(), basis: &basis }, at(31)).unwrap_err(), Refused::NotYours);

    let ended = grant.step(end(&Ending::Returned { by: alice() }), at(40)).unwrap().grant;
    assert_eq!(ended.closed().unwrap().deny_until, Some(at(57)));
    assert!(ended.state.is_final());
    let later = ended.step(end(&Ending::Finding { incident: ids::IncidentId::derive("a", "b") }), at(41));
    assert_eq!(later.unwrap_err(), Refused::WrongState { state: "ended", wanted: "not over" });
    assert!(ended.step(Event::Renew { by: &alice(), basis: &basis }, at(41)).is_err());
    assert!(ended.may_fetch(&alice(), at(41)).is_err());
}

#[test]
fn a_grant_that_ran_out_needs_no_deny() {
    let (grant, basis) = active(two());
    let ends = at(2 + 1 + 45);
    assert_eq!(grant.step(Event::Expire, at(47)).unwrap_err(), Refused::TooEarly(ends));
    assert_eq!(grant.may_fetch(&alice(), ends), Err(Refused::TooLate(ends)));
    assert!(grant.step(Event::Renew { by: &alice(), basis: &basis }, ends).is_err());
    let ended = grant.step(Event::Expire, ends).unwrap().grant;
    assert_eq!(ended.closed().unwrap().deny_until, None);
    let ran_out = grant.step(end(&Ending::RanOut), at(10)).unwrap_err();
    assert_eq!(ran_out, Refused::TooEarly(ends));
}

#[test]
fn nothing_opens_after_its_deadline() {
    let grant = requested(two());
    let basis = basis(&grant, &[bob(), carol()]);
    assert_eq!(grant.step(Event::Decide(&basis), at(240)).unwrap_err(), Refused::TooLate(at(240)));
    assert_eq!(grant.step(Event::Expire, at(240)).unwrap().grant.state, State::Expired { at: at(240) });
    // The quorum was there a minute after the request: half an hour later it is too old to begin with.
    assert_eq!(grant.step(Event::Decide(&basis), at(31)).unwrap_err(), Refused::TooLate(at(31)));
    let approved = grant.step(Event::Decide(&basis), at(30)).unwrap().grant;
    assert_eq!(approved.step(Event::Mint(&basis), at(31)).unwrap_err(), Refused::TooLate(at(31)));
    assert_eq!(approved.step(Event::Expire, at(31)).unwrap().grant.state.name(), "expired");
    let mut forged = approved;
    forged.state = State::Approved { by: BTreeSet::new(), at: at(30), mint_by: at(9999) };
    assert_eq!(forged.step(Event::Mint(&basis), at(31)).unwrap_err(), Refused::TooLate(at(31)));
    // An approval that came too late does not count, even if it is looked at by a clock that is behind.
    let mut late = basis;
    late.records.approvals = vec![approval(&forged, bob(), 1), approval(&forged, carol(), 240)];
    assert_eq!(requested(two()).step(Event::Decide(&late), at(200)).unwrap_err(), Refused::NoQuorum { have: 1, needed: 2 });
}

#[test]
fn closing_asks_for_less_than_opening() {
    let grant = requested(two());
    let reason = "not now".parse().unwrap();
    let deny = |grant: &Grant, by: &Who| {
        grant.step(Event::Deny { by, reason: &reason, eligible: &eligible(), records: &Records::default() }, at(3))
    };
    assert_eq!(deny(&grant, &bob()).unwrap().grant.denial_record().unwrap().by, bob());
    assert!(deny(&grant, &alice()).is_ok());
    assert_eq!(deny(&grant, &person("mallory@example.com", "Approver")).unwrap_err(), Refused::NotEligible);
    assert!(deny(&active(two()).0, &bob()).is_err());
    // A clock that is far behind opens nothing, and still closes.
    let mut ahead = grant.clone();
    ahead.changed = at(100);
    let basis = basis(&ahead, &[bob(), carol()]);
    assert_eq!(ahead.step(Event::Decide(&basis), at(94)).unwrap_err(), Refused::ClockBehind(at(100)));
    let ended = ahead.step(end(&Ending::Returned { by: alice() }), at(94)).unwrap().grant;
    assert_eq!((ended.changed, ended.closed().unwrap().deny_until), (at(100), None));
    assert_eq!(grant.step(end(&Ending::Returned { by: bob() }), at(4)).unwrap_err(), Refused::NotYours);
}

#[test]
fn break_glass_is_immediate_loud_short_and_reviewed_before_the_next() {
    let mut entitlement = entitlement(Class::BreakGlass);
    let first = Grant::request(&ask(alice()), &entitlement, at(0), &BTreeSet::new()).unwrap();
    assert!(first.loud);
    let grant = first.grant;
    let mut basis = basis(&grant, &[]);
    assert_eq!(grant.step(Event::Decide(&basis), at(0)).unwrap_err(), Refused::NoSuchStep);
    let step = grant.step(Event::Mint(&basis), at(0)).unwrap();
    assert!(step.loud && step.mint.is_some());
    let lock = "break-glass#person/alice@example.com".to_owned();
    assert_eq!(step.when.lock, Some(Lock::Take(lock.clone())));
    assert_eq!(step.when.to_string(), format!("only if the grant is at revision 0, and nobody else has {lock}"));
    assert_eq!(step.grant.review, Some(Review::Due { by: at(24 * 60) }));
    assert!(!step.grant.review_is_late(at(24 * 60 - 1)) && step.grant.review_is_late(at(24 * 60)));

    // Two that were asked for before either was used want one lock.
    let second = Ask { key: "key-2".to_owned(), ..ask(alice()) };
    let other = Grant::request(&second, &entitlement, at(0), &BTreeSet::new()).unwrap().grant;
    let mut others = basis.clone();
    others.records.opened = Some(other.request_record());
    assert_eq!(other.step(Event::Mint(&others), at(0)).unwrap().when.lock, Some(Lock::Take(lock.clone())));
    // And whatever the table says of the lock, what is unreviewed on record refuses.
    let open = BTreeSet::from([grant.id.clone()]);
    assert_eq!(Grant::request(&second, &entitlement, at(9), &open).unwrap_err(), Refused::ReviewPending(grant.id.clone()));
    others.unreviewed = open;
    assert_eq!(other.step(Event::Mint(&others), at(0)).unwrap_err(), Refused::ReviewPending(grant.id));

    let note = "looked at each call".parse().unwrap();
    let review = |grant: &Grant, by: &Who| grant.step(Event::Review { by, note: &note, eligible: &eligible() }, at(60));
    assert_eq!(review(&step.grant, &bob()).unwrap_err(), Refused::WrongState { state: "active", wanted: "ended" });
    basis.records.minted.push(step.mint.unwrap().record);
    assert!(step.grant.step(Event::Renew { by: &alice(), basis: &basis }, at(10)).unwrap().loud);
    let ended = step.grant.step(end(&Ending::Returned { by: alice() }), at(20)).unwrap().grant;
    assert_eq!(review(&ended, &person("Alice@Example.com", "Approver")).unwrap_err(), Refused::OwnReview);
    assert_eq!(review(&ended, &subject("00u-alice", Some("alice@example.com"))).unwrap_err(), Refused::OwnReview);
    assert_eq!(review(&ended, &person("mallory@example.com", "Approver")).unwrap_err(), Refused::NotEligible);
    let role = Who::Role { id: "role/123456789012/ci".to_owned(), session: Some("bob@example.com".to_owned()) };
    assert_eq!(review(&ended, &role).unwrap_err(), Refused::NotAPerson);
    let done = review(&ended, &bob()).unwrap();
    assert_eq!(done.when.lock, Some(Lock::Free(lock)));
    assert!(!done.grant.review_is_late(at(99_999)));
    assert_eq!(review(&done.grant, &bob()).unwrap_err(), Refused::NoSuchStep);

    entitlement.longest_seconds = 12 * 3600;
    let long = Ask { seconds: BREAK_GLASS_LONGEST + 1, ..ask(alice()) };
    assert!(matches!(Terms::derive(&long, &entitlement), Err(Refused::Duration { longest: BREAK_GLASS_LONGEST, .. })));
    assert_eq!(Terms::derive(&ask(role), &entitlement), Err(Refused::NotAPerson));
}

#[test]
fn a_run_that_died_between_its_record_and_its_write_moves_no_end() {
    let grant = requested(two());
    let mut basis = basis(&grant, &[bob(), carol()]);
    let approved = grant.step(Event::Decide(&basis), at(1)).unwrap().grant;
    let died = approved.step(Event::Mint(&basis), at(2)).unwrap().mint.unwrap();
    basis.records.minted.push(died.record.clone());
    let step = approved.step(Event::Mint(&basis), at(12)).unwrap();
    let mint = step.mint.unwrap();
    assert_eq!((mint.record.serial, mint.record.ends), (2, died.record.ends));
    assert_eq!(step.grant.state, State::Active { since: at(12), ends: died.record.ends });
}

#[test]
fn a_session_does_not_begin_if_its_end_could_not_be_written() {
    let grant = requested(two());
    let mut basis = basis(&grant, &[bob(), carol()]);
    let approved = grant.step(Event::Decide(&basis), at(1)).unwrap().grant;
    let alone = {
        let mut one = Denies::default();
        one.extend([grant.source()]);
        one.size()
    };
    basis.other_policies = crate::ROLE_POLICIES - alone;
    assert!(approved.step(Event::Mint(&basis), at(2)).is_ok());
    basis.other_policies += 1;
    let refused = approved.step(Event::Mint(&basis), at(2)).unwrap_err();
    assert_eq!(refused, Refused::NoRoomToEnd { size: crate::ROLE_POLICIES + 1, limit: crate::ROLE_POLICIES });
}

/// What is written today must be read for good: a change here is a new format.
#[test]
fn the_written_form_is_stable() {
    let grant = requested(two());
    let written = json!({
        "format": "cordon/grant/v1",
        "id": "GRANT",
        "terms": {
            "format": "cordon/grant/terms/v1",
            "requester": {"kind": "person", "name": "alice@example.com", "permission_set": "Developer", "account": "123456789012"},
            "entitlement": "prod-read",
            "class": {"kind": "approved", "needed": 2},
            "role": "arn:aws:iam::123456789012:role/jit/prod-read",
            "session_policy": Sha256::of(b"session policy"),
            "seconds": 2700,
            "session_seconds": 1800,
            "reason": "OPS-7: orders are stuck",
            "ticket": "OPS-7",
            "recipient": "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p",
            "policies": Sha256::of(b"policies"),
        },
        "opened": "2026-12-31T23:00:00.000Z",
        "approve_by": "2027-01-01T03:00:00.000Z",
        "revision": 0,
        "changed": "2026-12-31T23:00:00.000Z",
        "sessions": 0,
        "state": {"state": "requested"},
    });
    let written: serde_json::Value = serde_json::from_str(&written.to_string().replace("GRANT", grant.id.as_str())).unwrap();
    assert_eq!(serde_json::to_value(&grant).unwrap(), written);
    // Both computed outside of Rust, from the documented parts.
    assert_eq!(grant.id.as_str(), "gr-6acc331f367063d94664");
    assert_eq!(grant.terms.digest().to_string(), "bd52e8c62d9d93cca44d01221576099ae0f9dac21b17cf66a595a109990ce5b8");
    let mut newer = written;
    newer["format"] = json!("cordon/grant/v2");
    assert!(serde_json::from_value::<Grant>(newer).is_err());
    let (active, _) = active(Class::BreakGlass);
    let revoked = Ending::Revoked { by: bob(), reason: "enough: \"now\"\nand then".parse().unwrap() };
    let ended = active.step(end(&revoked), at(9)).unwrap().grant;
    for grant in [active, ended] {
        assert_eq!(serde_json::from_str::<Grant>(&serde_json::to_string(&grant).unwrap()).unwrap(), grant);
    }
}

#[test]
fn what_is_shown_to_an_approver_is_all_of_it_and_on_lines_of_its_own() {
    let terms =
        Terms::derive(&Ask { reason: "a: b\n  needs 0 to approve".parse().unwrap(), ..ask(alice()) }, &entitlement(two())).unwrap();
    let shown = terms.to_string();
    assert!(shown.contains("because: a: b\\n  needs 0 to approve\n"), "{shown}");
    assert_eq!(shown.lines().count(), 8, "{shown}");
    assert_eq!(at(1).plus(Duration::from_secs(60)), at(2));
}
