//! Mistakes that other systems made, and that belong to this crate: a test for each.

use serde_json::json;

use super::*;
use crate::{Closed, Count, Denial, Ending, NotCounted, Reason, Refused};

/// A maximum was checked against any entitlement of the user.
#[test]
fn a_duration_is_checked_against_the_entitlement_that_was_asked_for() {
    let long = Ask { seconds: 7200, ..ask(alice()) };
    let wide = entitlement(two());
    let narrow = Entitlement { longest_seconds: 3600, ..wide.clone() };
    let other = Entitlement { name: "dev-admin".parse().unwrap(), ..wide.clone() };
    assert!(Terms::derive(&long, &wide).is_ok());
    assert_eq!(Terms::derive(&long, &narrow), Err(Refused::Duration { asked: 7200, shortest: 900, longest: 3600 }));
    assert!(matches!(Terms::derive(&long, &other), Err(Refused::OtherEntitlement { .. })));
    for seconds in [0, 899, 7201, u32::MAX] {
        assert!(Terms::derive(&Ask { seconds, ..long.clone() }, &wide).is_err(), "{seconds}");
    }
    for session_seconds in [0, 899, 3601] {
        let odd = Entitlement { session_seconds, ..wide.clone() };
        assert_eq!(Terms::derive(&long, &odd), Err(Refused::SessionLength { seconds: session_seconds }));
    }
}

/// Expiry was compared as a locale's text: December came after January.
#[test]
fn a_grant_across_the_year_boundary_ends_in_january() {
    let grant = requested(two());
    let mut basis = basis(&grant, &[]);
    basis.records.approvals = vec![approval(&grant, bob(), 50), approval(&grant, carol(), 58)];
    let approved = grant.step(Event::Decide(&basis), at(58)).unwrap().grant;
    let step = approved.step(Event::Mint(&basis), at(59)).unwrap();
    let State::Active { since, ends } = step.grant.state else { panic!("{:?}", step.grant.state) };
    assert_eq!((since.to_string().as_str(), ends.to_string().as_str()), ("2026-12-31T23:59:00.000Z", "2027-01-01T00:45:00.000Z"));
    assert!(step.grant.may_fetch(&alice(), at(61)).is_ok());
    assert!(step.grant.step(Event::Expire, at(61)).is_err());
    assert!(step.grant.step(Event::Expire, at(105)).is_ok());
}

/// "No self-approval" was a narrow rule, and a broader one allowed it. Here policy allows it, by every route, on every path.
#[test]
fn the_requester_never_counts_whatever_policy_allows() {
    let grant = requested(two());
    let role = |session: &str| Who::Role { id: "role/123456789012/ci".to_owned(), session: Some(session.to_owned()) };
    let tricks = [
        (alice(), NotCounted::Requester),
        (person("alice@example.com", "Approver"), NotCounted::Requester),
        (person("Alice@Example.COM", "Approver"), NotCounted::Requester),
        (role("alice@example.com"), NotCounted::NotAPerson),
        (role("dave@example.com"), NotCounted::NotAPerson),
        (person("mallory@example.com", "Approver"), NotCounted::NotEligible),
        (person("BOB@example.com", "Developer"), NotCounted::Twice),
    ];
    for (trick, why) in tricks {
        let basis = basis(&grant, &[bob(), trick.clone()]);
        let count = Count::of(&grant, &basis.records.approvals, &basis.eligible);
        assert_eq!(count.not, [(crate::records::key(&trick), why)], "{trick}");
        let refused = Refused::NoQuorum { have: 1, needed: 2 };
        assert_eq!(grant.step(Event::Decide(&basis), at(2)), Err(refused.clone()), "{trick}");
        let mut row = grant.clone();
        row.state = State::Approved { by: BTreeSet::new(), at: at(1), mint_by: at(30) };
        assert_eq!(row.step(Event::Mint(&basis), at(2)), Err(refused.clone()), "{trick}");
        let (active, mut minted) = active(two());
        minted.records.approvals = basis.records.approvals.clone();
        assert_eq!(active.step(Event::Renew { by: &alice(), basis: &minted }, at(3)), Err(refused), "{trick}");
    }
    // A role that asks in Bob's name keeps Bob from approving.
    let asked = Ask { requester: role("bob@example.com"), ..ask(alice()) };
    let grant = Grant::request(&asked, &entitlement(two()), at(0), &BTreeSet::new()).unwrap().grant;
    let approvals = [approval(&grant, bob(), 1), approval(&grant, carol(), 1)];
    let count = Count::of(&grant, &approvals, &eligible());
    assert_eq!(count.not, [("person/bob@example.com".to_owned(), NotCounted::Requester)]);
}

/// A person may come by Identity Center and by a token. By two ways nobody approves their own, or counts as two.
#[test]
fn nobody_is_two_people_by_two_ways_in() {
    let names = ["00u-alice", "00u-bob", "00u-Bob", "00u-carol"];
    let eligible: Eligible = names.into_iter().map(|name| subject(name, None)).chain([alice(), bob(), carol()]).collect();
    let count = |requester: Who, by: &[Who]| {
        let asked = Ask { requester, ..ask(alice()) };
        let grant = Grant::request(&asked, &entitlement(two()), at(0), &BTreeSet::new()).unwrap().grant;
        let approvals: Vec<_> = by.iter().zip(1..).map(|(by, minute)| approval(&grant, by.clone(), minute)).collect();
        let mut backwards = approvals.clone();
        backwards.reverse();
        let count = Count::of(&grant, &approvals, &eligible);
        assert_eq!(count, Count::of(&grant, &backwards, &eligible), "in whatever order they are listed");
        (count.people.len(), count.not.into_iter().map(|(_, why)| why).collect::<Vec<_>>())
    };
    let alice_by_token = subject("00u-alice", Some("alice@example.com"));
    let bob_by_token = subject("00u-bob", Some("bob@example.com"));
    assert_eq!(count(alice(), &[bob(), subject("00u-carol", Some("carol@example.com"))]), (2, vec![]));
    assert_eq!(count(alice(), &[alice_by_token.clone(), bob()]), (1, vec![NotCounted::Requester]));
    assert_eq!(count(alice_by_token.clone(), &[alice(), bob()]), (1, vec![NotCounted::Requester]));
    assert_eq!(count(alice_by_token, &[subject("00u-alice", None), bob()]), (1, vec![NotCounted::Requester]));
    assert_eq!(count(alice(), &[bob(), bob_by_token.clone()]), (1, vec![NotCounted::Twice]));
    assert_eq!(count(alice(), &[bob_by_token.clone(), bob()]), (1, vec![NotCounted::Twice]));
    // A name that is changed later takes nothing from who had approved by then, and helps nobody afterwards.
    let renamed = subject("00u-bob", Some("carol@example.com"));
    assert_eq!(count(alice(), &[bob_by_token.clone(), carol(), renamed.clone()]), (2, vec![NotCounted::Twice]));
    assert_eq!(count(alice(), &[bob_by_token, renamed, carol()]), (1, vec![NotCounted::Twice, NotCounted::Twice]));
    // Subjects differ by their capital letters; who is not eligible by one does not count by the other.
    assert_eq!(count(alice(), &[subject("00u-bob", None), subject("00u-Bob", None)]), (2, vec![]));
    assert_eq!(count(alice(), &[subject("00u-BOB", None), bob()]), (1, vec![NotCounted::NotEligible]));

    // What is sealed for one is not the other's, and who has asked does not review it as the other.
    let grant = requested(two());
    assert_eq!(grant.may_fetch(&subject("00u-alice", Some("alice@example.com")), at(1)), Err(Refused::NotYours));
    let asked = Ask { requester: subject("00u-alice", None), ..ask(alice()) };
    let other = Grant::request(&asked, &entitlement(Class::BreakGlass), at(0), &BTreeSet::new()).unwrap().grant;
    assert_eq!(other.may_fetch(&subject("00u-Alice", None), at(1)), Err(Refused::NotYours));
    assert!(other.source().as_str().starts_with("00u-alice+"), "{}", other.source().as_str());
}

/// Approve and decline raced without a condition: a declined request with a live grant.
#[test]
fn of_an_approval_and_a_denial_one_wins() {
    let grant = requested(two());
    let mut basis = basis(&grant, &[bob(), carol()]);
    let reason: Reason = "no".parse().unwrap();
    let approve = grant.step(Event::Decide(&basis), at(2)).unwrap();
    let dave = person("dave@example.com", "Approver");
    let deny =
        grant.step(Event::Deny { by: &dave, reason: &reason, eligible: &basis.eligible, records: &basis.records }, at(2)).unwrap();
    assert_eq!(approve.when, deny.when);
    assert!(approve.when.row_is(Some(&grant)) && !approve.when.row_is(Some(&deny.grant)) && !approve.when.row_is(None));
    assert!(!deny.when.row_is(Some(&approve.grant)));
    // A denial that comes second still holds, until the first session.
    let second = approve
        .grant
        .step(Event::Deny { by: &dave, reason: &reason, eligible: &basis.eligible, records: &basis.records }, at(2))
        .unwrap();
    assert!(!second.when.row_is(Some(&grant)));
    assert!(second.grant.step(Event::Mint(&basis), at(3)).is_err());
    // And whoever sets the row back finds the record.
    basis.records.denials.push(deny.grant.denial_record().unwrap());
    assert_eq!(grant.step(Event::Decide(&basis), at(3)), Err(Refused::DeniedOnRecord));
    assert_eq!(approve.grant.step(Event::Mint(&basis), at(3)), Err(Refused::DeniedOnRecord));
}

/// The approver saw labels that the client sent.
#[test]
fn what_is_approved_is_derived_and_no_label_gets_in() {
    let sent = serde_json::to_value(ask(alice())).unwrap();
    for (field, value) in [
        ("role", json!("arn:aws:iam::123456789012:role/admin")),
        ("label", json!("harmless")),
        ("session_policy", json!(Sha256::of(b"*"))),
        ("class", json!({"kind": "break_glass"})),
    ] {
        let mut more = sent.clone();
        more[field] = value;
        assert!(serde_json::from_value::<Ask>(more).is_err(), "{field}");
    }
    let entitlement = entitlement(two());
    let terms = Terms::derive(&ask(alice()), &entitlement).unwrap();
    assert_eq!(
        (terms.role, terms.session_policy, terms.policies),
        (entitlement.role, entitlement.session_policy, entitlement.policies)
    );
}

/// Whoever could edit what was approved got something else: a key that was swapped, a longer time, a wider policy.
#[test]
fn any_difference_from_what_was_approved_refuses() {
    let grant = requested(two());
    let good = basis(&grant, &[bob(), carol()]);
    let changes: [fn(&mut Terms); 13] = [
        |terms| terms.requester = bob(),
        |terms| terms.requester = person("alice@example.com", "Admin"),
        |terms| terms.entitlement = "prod-admin".parse().unwrap(),
        |terms| terms.class = Class::Approved { needed: NonZeroU8::MIN },
        |terms| terms.class = Class::BreakGlass,
        |terms| terms.role = "arn:aws:iam::123456789012:role/jit/prod-admin".parse().unwrap(),
        |terms| terms.session_policy = Sha256::of(b"wider"),
        |terms| terms.seconds += 1,
        |terms| terms.session_seconds += 1,
        |terms| terms.ticket = None,
        |terms| terms.policies = Sha256::of(b"newer"),
        |terms| terms.recipient = "age1lggyhqrw2nlhcxprm67z43rta597azn8gknawjehu9d9dl0jq3yqqvfafg".parse().unwrap(),
        |terms| terms.reason = "OPS-7: orders are stuck.".parse().unwrap(),
    ];
    for (n, change) in changes.iter().enumerate() {
        // In the row.
        let mut row = grant.clone();
        change(&mut row.terms);
        assert_ne!(row.terms.digest(), grant.terms.digest(), "{n}");
        for state in [State::Requested, State::Approved { by: BTreeSet::new(), at: at(1), mint_by: at(30) }] {
            row.state = state;
            assert!(row.step(Event::Decide(&good), at(2)).is_err(), "{n}");
            assert!(row.step(Event::Mint(&good), at(2)).is_err(), "{n}");
        }
        // In what is deployed.
        let mut basis = good.clone();
        change(&mut basis.derived);
        assert_eq!(grant.step(Event::Decide(&basis), at(2)), Err(Refused::Changed), "{n}");
        // In what an approver saw.
        let mut basis = good.clone();
        let mut seen = grant.terms.clone();
        change(&mut seen);
        basis.records.approvals[1].terms = seen.digest();
        assert_eq!(grant.step(Event::Decide(&basis), at(2)), Err(Refused::NoQuorum { have: 1, needed: 2 }), "{n}");
    }
    // An approval of another grant of the same terms.
    let mut basis = good;
    basis.records.approvals[0].grant = ids::GrantId::derive("person/alice@example.com", "another");
    assert_eq!(grant.step(Event::Decide(&basis), at(2)), Err(Refused::NoQuorum { have: 1, needed: 2 }));
}

/// The records of eligibility and approval could be written by those they were about: here, the row.
#[test]
fn a_forged_row_opens_nothing_and_moves_no_end() {
    let (grant, basis) = active(two());
    let mut row = grant.clone();
    row.state = State::Active { since: at(2), ends: at(9999) };
    let renew = Event::Renew { by: &alice(), basis: &basis };
    assert_eq!(row.step(renew, at(3)), Err(Refused::NotOnRecord("it ends at another time")));
    row.approve_by = at(9999);
    assert_eq!(row.step(renew, at(3)), Err(Refused::NotOnRecord("it was asked for otherwise")));
    // Active at once, never minted.
    let mut never = basis.clone();
    never.records.minted.clear();
    assert_eq!(grant.step(Event::Renew { by: &alice(), basis: &never }, at(3)), Err(Refused::NotOnRecord("it was never active")));
    never.records.opened = None;
    assert_eq!(
        grant.step(Event::Renew { by: &alice(), basis: &never }, at(3)),
        Err(Refused::NotOnRecord("it was never asked for"))
    );
    // Ended, and set back; denied, and set back.
    let ended = grant.step(end(&Ending::Returned { by: alice() }), at(4)).unwrap().grant;
    let mut over = basis.clone();
    over.records.closed.push(ended.closed().unwrap());
    assert_eq!(grant.step(Event::Renew { by: &alice(), basis: &over }, at(5)), Err(Refused::EndedOnRecord));
    let mut denied = basis.clone();
    denied.records.denials.push(Denial { grant: grant.id.clone(), by: bob(), at: at(4) });
    assert_eq!(grant.step(Event::Renew { by: &alice(), basis: &denied }, at(5)), Err(Refused::DeniedOnRecord));
    // Set back to the start: the end stays where the first session put it.
    let mut approved = requested(two());
    approved.state = State::Approved { by: BTreeSet::new(), at: at(1), mint_by: at(30) };
    let again = approved.step(Event::Mint(&basis), at(20)).unwrap();
    assert_eq!(again.mint.unwrap().record.ends, at(48));
}

/// The other way round: a row that is set back, or forward to its end, does not hide a session from what ends it.
#[test]
fn a_forged_row_hides_no_session_from_its_end() {
    let (grant, basis) = active(two());
    let revoked = Ending::Revoked { by: bob(), reason: "a leak".parse().unwrap() };
    let revoke = Event::End { how: &revoked, records: &basis.records };
    let states = [
        State::Requested,
        State::Approved { by: BTreeSet::new(), at: at(1), mint_by: at(30) },
        State::Denied { by: bob(), at: at(3), reason: "no".parse().unwrap() },
        State::Expired { at: at(3) },
        State::Active { since: at(2), ends: at(3) },
        State::Ended { at: at(3), how: Ending::RanOut, deny_until: None },
    ];
    for state in states {
        let row = Grant { state, ..grant.clone() };
        let ended = row.step(revoke, at(4)).unwrap().grant;
        assert_eq!(ended.closed().unwrap().deny_until, Some(at(53)), "{}", row.state);
        // Once that is on record, there is nothing left to do.
        let mut over = basis.records.clone();
        over.closed.push(ended.closed().unwrap());
        assert!(ended.step(Event::End { how: &revoked, records: &over }, at(5)).is_err());
        // Nor is a grant that has a session only denied.
        let reason = "no".parse().unwrap();
        let deny = Event::Deny { by: &bob(), reason: &reason, eligible: &basis.eligible, records: &basis.records };
        assert!(row.step(deny, at(4)).is_err(), "{}", row.state);
    }
    // What is derived only grows by a forged end: the genuine one stays in.
    let genuine = grant.step(revoke, at(4)).unwrap().grant.closed().unwrap();
    let forged = Closed { source: ids::SourceIdentity::of("eve", &grant.id), deny_until: Some(at(4)), ..genuine.clone() };
    for ends in [[&genuine, &forged], [&forged, &genuine]] {
        assert!(Denies::derive(&grant.terms.role, ends, at(5)).document().unwrap().contains(grant.source().as_str()));
    }
}

/// State was kept as text and split at colons: reasons were cut, and whoever wrote them wrote the state.
#[test]
fn a_reason_is_kept_whole_or_refused() {
    for text in ["a: b: c", "two\nlines", "\"quotes\" and \\", "ünïcode 値", "state: approved"] {
        let reason: Reason = text.parse().unwrap();
        assert_eq!(serde_json::from_str::<Reason>(&serde_json::to_string(&reason).unwrap()).unwrap().as_str(), text);
        let terms = Terms::derive(&Ask { reason: reason.clone(), ..ask(alice()) }, &entitlement(two())).unwrap();
        let read: Terms = serde_json::from_str(&serde_json::to_string(&terms).unwrap()).unwrap();
        assert_eq!((read.digest(), read.reason), (terms.digest(), reason));
    }
    for text in ["", " \n ", "\u{1b}[2K", "a\rb", "a\0b", "a\u{202e}b", "a\u{200b}b", "a\u{2066}b", &"x".repeat(1001)] {
        assert!(text.parse::<Reason>().is_err(), "{text:?}");
        assert!(serde_json::from_value::<Reason>(json!(text)).is_err(), "{text:?}");
    }
}

/// A captured request was replayed within its window.
#[test]
fn a_replayed_request_is_the_grant_that_is_there() {
    let first = requested(two());
    let again = Grant::request(&ask(alice()), &entitlement(two()), at(3), &BTreeSet::new()).unwrap();
    assert_eq!(again.grant.id, first.id);
    assert!(!again.when.row_is(Some(&first)) && again.when.row_is(None));
    let mut spelt = ask(person("alice@example.com", "Other"));
    assert_eq!(spelt.grant(), first.id);
    spelt.key = "key-2".to_owned();
    assert_ne!(spelt.grant(), first.id);
    assert_ne!(ask(bob()).grant(), first.id);
}

/// Assign, audit, then schedule the revoke: a crash in between left access standing. Here the end is in the write that allows the first call.
#[test]
fn the_end_is_durable_before_the_call() {
    let (grant, _) = active(two());
    let State::Active { ends, .. } = grant.state else { panic!("{:?}", grant.state) };
    assert_eq!(grant.step(Event::Expire, ends).unwrap().grant.state.name(), "ended");
}

/// Overlapping grants ended each other.
#[test]
fn one_end_leaves_other_grants_of_the_same_role_alone() {
    let (grant, _) = active(two());
    let ended = grant.step(end(&Ending::Returned { by: alice() }), at(4)).unwrap().grant.closed().unwrap();
    let other = Grant::request(&Ask { key: "key-2".to_owned(), ..ask(alice()) }, &entitlement(two()), at(0), &BTreeSet::new())
        .unwrap()
        .grant;
    let document = Denies::derive(&grant.terms.role, [&ended], at(5)).document().unwrap();
    assert!(document.contains(grant.source().as_str()) && document.contains(grant.id.as_str()));
    assert!(!document.contains(other.source().as_str()) && !document.contains(other.id.as_str()));
    let elsewhere = Closed { role: "arn:aws:iam::123456789012:role/other".parse().unwrap(), ..ended };
    assert!(Denies::derive(&grant.terms.role, [&elsewhere], at(5)).is_empty());
}
